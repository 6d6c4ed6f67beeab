"""`estiva push` and `estiva pull` without the machinery of all the other verbs, which takes longer than a small image.

What is not understood here down to the last word (help, completion, a wrong option) is left to that machinery, so that
there is one place for what is said of it. `moving.py` declares the same options; a test compares the two.
"""

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

from estiva.cli import options, transfers
from estiva.failures import ReferenceInvalid

Kind = Literal["text", "texts", "number", "flag", "platform"]

ROOT: Mapping[str, Kind] = {
    "--server": "text",
    "--username": "text",
    "--password": "text",
    "--ca-file": "text",
    "--json": "flag",
    "--quiet": "flag",
}
_BOTH: Mapping[str, Kind] = {
    "--parallel": "number",
    "--plain-http": "flag",
    "--quiet": "flag",
    "--json": "flag",
}
OPTIONS: Mapping[str, Mapping[str, Kind]] = {
    "push": {"--select": "text", "--mount-from": "texts", **_BOTH},
    "pull": {"--platform": "platform", **_BOTH},
}
SHORT = {"-q": "--quiet"}


class _Unclear(Exception):
    """Something is not as simple as it has to be here."""


def read(arguments: Sequence[str]) -> Callable[[], None] | None:
    """What these arguments ask for, None where it is nothing for here."""
    words = list(arguments)[::-1]
    try:
        before = _options(words, ROOT)
        verb = words.pop() if words else ""
        if verb not in OPTIONS or "_ESTIVA_COMPLETE" in os.environ:
            return None
        given, plain = _options(words, OPTIONS[verb]), []
        while words:
            plain.append(words.pop())
            given |= _options(words, OPTIONS[verb], given)
        first, second = plain
    except (_Unclear, ValueError):
        return None
    given["as_json"] = given.pop("json", False)
    root = _root(before)
    if verb == "push":
        return partial(_ending, partial(transfers.push, root, Path(first), second, **given))
    return partial(_ending, partial(transfers.pull, root, first, Path(second), **given))


def _root(before: Mapping[str, Any]) -> options.Root:
    """With what the environment says where no option does."""
    defaults = {"server": options.DEFAULT_SERVER, "username": options.DEFAULT_USERNAME, "password": "", "ca_file": ""}
    said = {name: os.environ.get(f"ESTIVA_{name.upper()}") or default for name, default in defaults.items()}
    return {"json": False, "quiet": False, **said, **before}


def _options(words: list[str], known: Mapping[str, Kind], before: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The options up to the next word that is none; `words` are taken from the end."""
    found: dict[str, Any] = {}
    while words and (words[-1].startswith("-") or not words[-1]):
        name, equals, text = words.pop().partition("=")
        name = SHORT.get(name, name)
        kind, member = known.get(name), name.removeprefix("--").replace("-", "_")
        if kind is None or (equals and (kind == "flag" or not name.startswith("--"))):
            raise _Unclear
        if kind == "flag":
            found[member] = True
            continue
        value = text if equals else _value(words)
        earlier = found.get(member, (before or {}).get(member, ()))
        found[member] = (*earlier, value) if kind == "texts" else _READ.get(kind, str)(value)
    return found


def _value(words: list[str]) -> str:
    if not words or words[-1].startswith("-"):
        raise _Unclear
    return words.pop()


def _number(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and 1 <= int(text) <= options.MOST_PARALLEL):
        raise _Unclear
    return int(text)


def _platform(text: str) -> str:
    from estiva.platform import Platform

    try:
        return str(Platform.parse(text))
    except ReferenceInvalid:
        raise _Unclear from None


_READ: Mapping[Kind, Callable[[str], Any]] = {"number": _number, "platform": _platform}


def _ending(move: Callable[[], None]) -> None:
    """Do it; Ctrl-C and a closed standard output end it as they end every other verb."""
    try:
        move()
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
