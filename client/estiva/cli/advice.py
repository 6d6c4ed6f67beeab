"""What to do about an error, in half a sentence; and what is said of a mistake of estiva's own."""

import re
import tempfile
import traceback

from estiva.cli.failing import CommandError
from estiva.cli.words import with_details
from estiva.errors import Denied, ManifestUnknown, NameUnknown, RegistryError, Unauthorized
from estiva.failures import ConnectionFailed

_ADVICE: tuple[tuple[type[Exception], str], ...] = (
    (Unauthorized, "`estiva login HOST` signs in"),
    (Denied, "who administers the registry can allow it by a policy"),
    (ManifestUnknown, "`estiva tags HOST/REPOSITORY` lists what there is"),
    (NameUnknown, "`estiva ls HOST` lists what there is"),
    (ConnectionFailed, "`estiva doctor HOST` finds out why"),
)

_LISTS = "lists what there is"
_ADVICE_BY_WORDS: tuple[tuple[str, str], ...] = (
    (
        r"there is no cluster|Cluster not found",
        "`estiva clusters ls` lists what there is, `estiva clusters create` makes one",
    ),
    (r"there is no task |task was not found", "`estiva ps` lists what runs"),
    (r"there is no service |Service not found", f"`estiva services ls` {_LISTS}"),
    (
        r"TaskDefinition not found|describe task definition",
        f"`estiva taskdefs ls` {_LISTS}, `estiva taskdefs register FILE` adds to it",
    ),
    (r"\((?:name: [^)]*, )?(user|robot|group|issuer): ", f"`estiva \\1s ls` {_LISTS}"),
    (r"\(policy: ", f"`estiva policies ls` {_LISTS}"),
    (r"no such (quota|webhook|credential|secret)", f"`estiva \\1s ls` {_LISTS}"),
    (r"no such rule", f"`estiva upstreams ls` {_LISTS}"),
    (r"repository name not known", f"`estiva repos ls` {_LISTS}"),
    (r"the repository has no policy", "`estiva repos policy set NAME FILE` gives it one"),
    (r"cannot reach ", "`estiva doctor` finds out why"),
)
"""What a server, or a verb, says: a pattern that is found in it, and what to do, with what the pattern caught."""

_ROOM = "`estiva quotas ls` shows who has how much room to an administrator, who may give more"
_QUOTA = {"limit", "used", "requested"}
"""What a registry tells along with a refusal for want of room."""


def _is_of_quota(error: Exception) -> bool:
    return isinstance(error, Denied) and isinstance(error.detail, dict) and error.detail.keys() >= _QUOTA


def advised(error: Exception) -> str:
    """What is wrong, and where that is known what to do."""
    text = with_details(str(error), error.detail) if isinstance(error, RegistryError) else str(error)
    if isinstance(error, CommandError):
        advice = next(
            (found.expand(advice) for words, advice in _ADVICE_BY_WORDS if (found := re.search(words, text))), ""
        )
    elif _is_of_quota(error):
        advice = _ROOM
    else:
        advice = next((advice for kind, advice in _ADVICE if isinstance(error, kind)), "")
    return f"{text}; {advice}" if advice and ";" not in text else text


def unforeseen(error: Exception) -> str:
    """What is said of an error that nobody thought of; where it happened is kept in a file, for whoever mends it."""
    if isinstance(error, OSError):
        return f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror or error)
    with tempfile.NamedTemporaryFile("w", prefix="estiva-fault-", suffix=".txt", delete=False) as file:
        traceback.print_exception(error, file=file)
    return f"a mistake of estiva's own ({type(error).__name__}: {error}); please report it with {file.name}"
