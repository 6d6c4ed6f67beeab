"""Reading a blob for what it is: hashed to its end, and compared with what was promised."""

import hashlib
from collections import OrderedDict
from collections.abc import Callable
from time import monotonic

from estiva.digest import Digest
from storage.blobs import BlobMissingError, BlobStore
from storage.metadata.soundness import Promised, State

PIECE = 1024 * 1024


class Reading:
    """The hash and the length of a blob's bytes, taken in their order."""

    def __init__(self, digest: Digest, size: int) -> None:
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


def examine(blob_store: BlobStore, promised: Promised, pause: Callable[[int], None]) -> State:
    """What the bytes under a blob's key are. `pause` is called with the length of each piece read. OSError."""
    try:
        file = blob_store.open_blob(promised.key)
    except BlobMissingError:
        return State.MISSING
    reading = Reading(promised.digest, promised.size)
    with file:
        while not reading.is_too_long and (piece := file.read(PIECE)):
            reading.take(piece)
            pause(len(piece))
    return State.LIVE if reading.is_right else State.CORRUPT


class Proven:
    """Storage keys whose bytes this process has read and found right, and not long ago. The oldest go first."""

    def __init__(self, good_for: float = 86400.0, limit: int = 100_000) -> None:
        self._good_for = good_for
        self._limit = limit
        self._until: OrderedDict[str, float] = OrderedDict()

    def __contains__(self, key: str) -> bool:
        return self._until.get(key, 0.0) > monotonic()

    def add(self, key: str) -> None:
        """Take note of a key that was just read."""
        self._until.pop(key, None)
        self._until[key] = monotonic() + self._good_for
        if len(self._until) > self._limit:
            self._until.popitem(last=False)

    def forget(self, key: str) -> None:
        """Read that key again before it counts. Idempotent."""
        self._until.pop(key, None)
