"""Blobs from one store into another under the same keys, so that every fact that names one still does."""

from dataclasses import dataclass, field
from typing import BinaryIO, Protocol

from estiva.digest import Digest
from storage.blobs import BlobMissingError, BlobStore
from storage.blobs.hashing import digest_of_pieces

PIECE = 1024 * 1024


class Adopting(Protocol):
    """A store that takes blobs under keys which another store has given."""

    def adopt_blob(self, key: str, file: BinaryIO, size: int) -> None:
        """Store these bytes under that key, all or nothing. OSError."""
        ...


@dataclass(slots=True)
class Copying:
    """What a copy has come to."""

    copied: int = 0
    copied_bytes: int = 0
    present: int = 0
    """Blobs that the target had already, in their size."""
    skipped: list[str] = field(default_factory=list)
    """Keys whose bytes are not what their digest says, in the source or after the copy: not in the target."""


def copy_blobs(source: BlobStore, target: BlobStore, adopting: Adopting, progress: Copying) -> None:
    """Copy what the target (the same store as `adopting`) lacks; `progress` tells how far it has come. OSError.

    What is copied is read back and hashed. Blobs never change, so a copy that was broken off, or made while the source
    was in use, goes on where it was when it is made again.
    """
    there = {entry.key: entry.size for entry in target.stored_blobs()}
    for entry in source.stored_blobs():
        if there.get(entry.key) == entry.size:
            progress.present += 1
        elif _copied(source, target, adopting, entry.key, entry.size):
            progress.copied += 1
            progress.copied_bytes += entry.size
        else:
            progress.skipped.append(entry.key)


def _copied(source: BlobStore, target: BlobStore, adopting: Adopting, key: str, size: int) -> bool:
    try:
        if not _is_right(source, key):
            return False
        with source.open_blob(key) as file:
            adopting.adopt_blob(key, file, size)
    except BlobMissingError:
        return False  # deleted meanwhile
    if _is_right(target, key):
        return True
    target.delete_blob(key)
    return False


def _is_right(store: BlobStore, key: str) -> bool:
    algorithm, _, name = key.split("/")
    named = Digest.parse(f"{algorithm}:{name.partition('.')[0]}")
    with store.open_blob(key) as file:
        return digest_of_pieces(iter(lambda: file.read(PIECE), b""), named.algorithm) == named
