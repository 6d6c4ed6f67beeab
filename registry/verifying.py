"""Reading a blob for what it is: hashed to its end, and compared with what was promised."""

import hashlib
from collections import OrderedDict
from collections.abc import Callable
from time import monotonic
from typing import NamedTuple

from estiva.digest import Digest
from storage.blobs import BlobMissingError, BlobStore
from storage.blobs.identity import Identity, identity_of_opened
from storage.metadata.soundness import Promised, State

PIECE = 1024 * 1024
READ_FOR = 86400.0
COMMITTED_FOR = 600.0
"""Seconds: what came in so long ago is mostly still in the kernel's memory, and reading it would show nothing new."""


class Reading:
    """The hash and the length of a blob's bytes, taken in their order."""

    def __init__(self, digest: Digest, size: int, identity: Identity = b"") -> None:
        self.identity = identity
        """Of the file that is read, from before its first byte was."""
        self._digest = digest
        self._size = size
        self._hash = hashlib.new(digest.algorithm.value)
        self._length = 0

    def take(self, piece: bytes) -> None:
        """Take the next piece."""
        self._hash.update(piece)
        self._length += len(piece)

    @property
    def is_right(self) -> bool:
        """Whether all that was taken is the blob."""
        return self._length == self._size and self._hash.hexdigest() == self._digest.hex

    @property
    def is_too_long(self) -> bool:
        """Whether more was taken than the blob has."""
        return self._length > self._size


class Examined(NamedTuple):
    """What a blob's bytes are, and the file that they were read from."""

    state: State
    identity: Identity = b""


def examine(blob_store: BlobStore, promised: Promised, pause: Callable[[int], None]) -> Examined:
    """What the bytes under a blob's key are. `pause` is called with the length of each piece read. OSError."""
    try:
        file = blob_store.open_blob(promised.key)
    except BlobMissingError:
        return Examined(State.MISSING)
    with file:
        reading = Reading(promised.digest, promised.size, identity_of_opened(file))
        while not reading.is_too_long and (piece := file.read(PIECE)):
            reading.take(piece)
            pause(len(piece))
    return Examined(State.LIVE if reading.is_right else State.CORRUPT, reading.identity)


class Proven:
    """Storage keys whose bytes this process has hashed and found right, not long ago, each with its file's identity.

    The oldest go first: all of them take some 30 MB.
    """

    def __init__(self, limit: int = 65_536) -> None:
        self._limit = limit
        self._noted: OrderedDict[str, tuple[float, Identity]] = OrderedDict()

    def seconds_left(self, key: str, identity: Identity) -> float:
        """For how long that file needs no reading; 0 where it has to be read, as nobody did or it was changed since."""
        noted = self._noted.get(key)
        return max(0.0, noted[0] - monotonic()) if noted is not None and noted[1] == identity else 0.0

    def add_read(self, key: str, identity: Identity) -> None:
        """Take note of a key that was just read."""
        self._add(key, identity, READ_FOR)

    def add_committed(self, key: str, identity: Identity) -> None:
        """Take note of a key whose bytes were hashed as they came in, and were never read."""
        self._add(key, identity, COMMITTED_FOR)

    def _add(self, key: str, identity: Identity, seconds: float) -> None:
        self._noted.pop(key, None)
        self._noted[key] = monotonic() + seconds, identity
        if len(self._noted) > self._limit:
            self._noted.popitem(last=False)

    def forget(self, key: str) -> None:
        """Read that key again before it counts. Idempotent."""
        self._noted.pop(key, None)
