"""A htpasswd file as a live source of users, for those who come from another registry. bcrypt entries only."""

import logging
import time
from pathlib import Path

logger = logging.getLogger("estiva.auth")

SETTLED = 2.0
"""Seconds after which a file's times tell of every further change: the clock behind them ticks slowly."""
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
    """The file's entries as they are now. While it can't be read, the last good ones count."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, ...] | None = None
        self._failure = ""
        self._entries: dict[str, str] = {}
        self._load()

    def hash_of(self, name: str) -> str | None:
        """The user's bcrypt hash; None where the file has no such user."""
        try:
            self._load()
            self._failure = ""
        except HtpasswdError as error:
            self._log(str(error))
        return self._entries.get(name)

    def example(self) -> str | None:
        """The hash of one of its users, to see how long verifying takes; None where it has none."""
        return next(iter(self._entries.values()), None)

    def _log(self, failure: str) -> None:
        """Say it once, and not with every sign-in."""
        if failure != self._failure:
            logger.error("htpasswd file not used: %s", failure)
        self._failure = failure

    def _load(self) -> None:
        try:
            status = self._path.stat()
            seen = (status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino)
            if seen == self._seen:
                return
            self._entries = parse(self._path.read_text())
        except (OSError, UnicodeDecodeError) as error:
            raise HtpasswdError(f"cannot be read: {type(error).__name__}") from None
        # A file that was written a moment ago may be written again and look the same.
        settled = time.time() - status.st_ctime > SETTLED
        self._seen = seen if settled else None
