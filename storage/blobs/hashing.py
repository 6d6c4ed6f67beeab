"""Hashing what is stored.

`hashlib.sha256` and `sha512` are OpenSSL's where it is there: with the processor's own SHA instructions 2 GiB/s per
core for sha256 and 1.1 for sha512 (Python's built-in ones: 0.35 and 0.55; the `cryptography` package is the same
OpenSSL). They release the interpreter's lock for pieces of 2 KiB and more, so two uploads hash on two cores. Pieces of
64 KiB to 4 MiB run equally fast.
"""

import hashlib
import io
import threading
from collections import OrderedDict
from collections.abc import Iterable

from estiva.digest import Algorithm, Digest

_HASHES = {Algorithm.SHA256: hashlib.sha256, Algorithm.SHA512: hashlib.sha512}


class RunningHash:
    """The hash of everything from byte 0 to `length`."""

    __slots__ = ("_hash", "algorithm", "length")

    def __init__(self, algorithm: Algorithm) -> None:
        self.algorithm = algorithm
        self.length = 0
        self._hash = _HASHES[algorithm]()

    def update(self, data: memoryview) -> None:
        """Take the next piece."""
        self._hash.update(data)
        self.length += len(data)

    def digest(self) -> Digest:
        """The digest of what was taken so far."""
        return Digest(self.algorithm, self._hash.hexdigest())


def digest_of_file(file: io.FileIO, algorithm: Algorithm) -> Digest:
    """The digest of a file from its first byte to its last, read in one pass."""
    file.seek(0)
    return Digest(algorithm, hashlib.file_digest(file, _HASHES[algorithm]).hexdigest())


def digest_of_pieces(pieces: Iterable[bytes], algorithm: Algorithm) -> Digest:
    """The digest of content that comes in pieces."""
    running = RunningHash(algorithm)
    for piece in pieces:
        running.update(memoryview(piece))
    return running.digest()


class RunningHashes:
    """The running hashes of uploads that wait for their next request; the oldest go when there are too many.

    Losing one costs a second pass over the upload's bytes and nothing else; one of an upload that never goes on
    waits until it is the oldest.
    """

    def __init__(self, limit: int = 4096) -> None:
        self._limit = limit
        self._waiting: OrderedDict[str, RunningHash] = OrderedDict()
        self._lock = threading.Lock()

    def keep(self, upload_id: str, running: RunningHash) -> None:
        """Keep a hash until `take`."""
        with self._lock:
            self._waiting[upload_id] = running
            if len(self._waiting) > self._limit:
                self._waiting.popitem(last=False)

    def take(self, upload_id: str, algorithm: Algorithm, length: int) -> RunningHash | None:
        """The hash of an upload's first `length` bytes: kept here, or new for 0. None: only a second pass tells.

        The length is proof enough that nobody else wrote meanwhile: an upload only grows, except that a failed
        write goes back to the length that it started from, and so never below one that was kept here.
        """
        with self._lock:
            kept = self._waiting.pop(upload_id, None)
        if kept is not None and kept.length == length and kept.algorithm is algorithm:
            return kept
        return RunningHash(algorithm) if length == 0 else None
