"""Where uploads were begun, in one small file each, so that a push that was broken off is continued by the next."""

import hashlib
from contextlib import suppress
from pathlib import Path

from estiva.digest import Digest
from estiva.reference import RepositoryName


class FileJournal:
    """Remembers uploads in a folder. What can't be written or read is as if it had not been remembered."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def find(self, registry: str, name: RepositoryName, digest: Digest) -> str:
        """The URL of an upload that was begun, empty where there is none."""
        with suppress(OSError, UnicodeDecodeError):
            return self._file(registry, name, digest).read_text().strip()
        return ""

    def keep(self, registry: str, name: RepositoryName, digest: Digest, location: str) -> None:
        """An upload was begun, or goes on at another URL. The URL may hold a secret: nobody else may read it."""
        with suppress(OSError):
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            file = self._file(registry, name, digest)
            partial = file.with_suffix(".new")
            partial.touch(mode=0o600)
            partial.write_text(location)
            partial.replace(file)

    def forget(self, registry: str, name: RepositoryName, digest: Digest) -> None:
        """The upload is over."""
        with suppress(OSError):
            self._file(registry, name, digest).unlink(missing_ok=True)

    def _file(self, registry: str, name: RepositoryName, digest: Digest) -> Path:
        return self._folder / hashlib.sha256(f"{registry} {name} {digest}".encode()).hexdigest()[:40]
