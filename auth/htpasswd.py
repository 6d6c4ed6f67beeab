"""A htpasswd file as a live source of users, for those who come from another registry. bcrypt entries only."""

import logging
from pathlib import Path
from time import monotonic

logger = logging.getLogger("estiva.auth")

LOOK_EVERY = 1.0
BCRYPT = ("$2a$", "$2b$", "$2y$")


class HtpasswdError(Exception):
    """The file can't be read or holds what is no htpasswd entry; the text says which line."""


def parse(text: str) -> dict[str, str]:
    """User names and their bcrypt hashes. HtpasswdError."""
    entries: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        entry = line.strip()
        if not entry or entry.startswith("#"):
            continue
        name, colon, stored = entry.partition(":")
        if not colon or not name or not stored.startswith(BCRYPT):
            raise HtpasswdError(f"line {number} is not NAME:BCRYPT-HASH")
        entries[name] = stored
    return entries


class Htpasswd:
    """The file's entries, read again when the file changes. While it can't be read, the last good ones count."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._looked = 0.0
        self._seen: tuple[int, int, int] | None = None
        self._entries: dict[str, str] = {}
        self._load()

    def hash_of(self, name: str) -> str | None:
        """The user's bcrypt hash; None where the file has no such user."""
        if monotonic() - self._looked > LOOK_EVERY:
            try:
                self._load()
            except HtpasswdError as error:
                logger.error("htpasswd file not used: %s", error)
        return self._entries.get(name)

    def example(self) -> str | None:
        """The hash of one of its users, to see how long verifying takes; None where it has none."""
        return next(iter(self._entries.values()), None)

    def _load(self) -> None:
        self._looked = monotonic()
        try:
            status = self._path.stat()
            seen = (status.st_mtime_ns, status.st_size, status.st_ino)
            if seen == self._seen:
                return
            self._entries = parse(self._path.read_text())
        except (OSError, UnicodeDecodeError) as error:
            raise HtpasswdError(f"cannot be read: {type(error).__name__}") from None
        self._seen = seen
