"""What to do about an error, in half a sentence; and what is said of a mistake of estiva's own."""

import tempfile
import traceback

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


def advised(error: Exception) -> str:
    """What is wrong, and where that is known what to do."""
    text = with_details(str(error), error.detail) if isinstance(error, RegistryError) else str(error)
    advice = next((advice for kind, advice in _ADVICE if isinstance(error, kind)), "")
    return f"{text}; {advice}" if advice and ";" not in text else text


def unforeseen(error: Exception) -> str:
    """What is said of an error that nobody thought of; where it happened is kept in a file, for whoever mends it."""
    if isinstance(error, OSError):
        return f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror or error)
    with tempfile.NamedTemporaryFile("w", prefix="estiva-fault-", suffix=".txt", delete=False) as file:
        traceback.print_exception(error, file=file)
    return f"a mistake of estiva's own ({type(error).__name__}: {error}); please report it with {file.name}"
