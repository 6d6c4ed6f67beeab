"""Blob contents for pushing: new to the registry every time, yet without hashing or copying while timed.

All blobs of one size share a random beginning, kept in a file that is sent with ``sendfile``, and
differ in a stamp at their very end, so that the digest of a new blob needs only the stamp to be hashed.
A second file holds the same bytes framed as HTTP chunks for pushes without a Content-Length.
"""

from __future__ import annotations

import hashlib
import itertools
import os
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Protocol

CHUNK = 32 << 10
"""What Go's ``io.Copy``, and so docker, writes as one HTTP chunk."""
LARGEST = 256 << 20
STAMP = 64
_PIECE = 1 << 20
_FRAME = len(b"8000\r\n") + CHUNK + len(b"\r\n")


class Hash(Protocol):
    """The part of a hashlib object that is used here."""

    def copy(self) -> Hash: ...
    def update(self, data: bytes, /) -> None: ...
    def hexdigest(self) -> str: ...


@dataclass(frozen=True)
class Body:
    """One new blob: ``plain_prefix`` bytes of a shared file, then a tail that ends with its own stamp."""

    size: int
    digest: str
    shared: bytes
    """The beginning of the tail, one object for all bodies of a size."""
    stamp: bytes

    @property
    def tail(self) -> bytes:
        """The last 32 KiB."""
        return self.shared + self.stamp

    @property
    def plain_prefix(self) -> int:
        """How many bytes of the plain file come before the tail."""
        return self.size - CHUNK

    @property
    def framed_prefix(self) -> int:
        """How many bytes of the framed file come before the tail's own chunk."""
        return self.plain_prefix // CHUNK * _FRAME

    @property
    def framed_tail(self) -> bytes:
        """The last chunk with the end of the chunked body."""
        return b"%x\r\n%b%b\r\n0\r\n\r\n" % (CHUNK, self.shared, self.stamp)


class Contents:
    """A source of new blobs, backed by two files in ``directory``.

    Sizes are multiples of 32 KiB and at most ``largest``.
    """

    def __init__(self, directory: Path, largest: int = LARGEST) -> None:
        self._stamps = itertools.count()
        self._prefixes: dict[int, tuple[Hash, bytes]] = {}
        self._fixed: dict[int, Body] = {}
        self._plain = (directory / "contents").open("w+b")
        self._framed = (directory / "contents.framed").open("w+b")
        for _ in range(0, largest, min(_PIECE, largest)):
            piece = os.urandom(min(_PIECE, largest))
            self._plain.write(piece)
            for begin in range(0, len(piece), CHUNK):
                self._framed.write(b"8000\r\n%b\r\n" % piece[begin : begin + CHUNK])
        self._plain.flush()
        self._framed.flush()
        # Written back now rather than by the kernel in the middle of somebody's timed part.
        os.fsync(self._plain.fileno())
        os.fsync(self._framed.fileno())

    @property
    def plain(self) -> int:
        """The descriptor of the file with the shared beginning."""
        return self._plain.fileno()

    @property
    def framed(self) -> int:
        """The descriptor of the file with the shared beginning in HTTP chunks."""
        return self._framed.fileno()

    def new(self, size: int) -> Body:
        """A blob of ``size`` bytes that nobody has seen yet."""
        if size < CHUNK or size % CHUNK:
            raise ValueError(f"a body is a multiple of {CHUNK} bytes, not {size}")
        known, shared = self._prefix(size)
        stamp = b"%0*x" % (STAMP, next(self._stamps))
        digest = known.copy()
        digest.update(stamp)
        return Body(size, f"sha256:{digest.hexdigest()}", shared, stamp)

    def fixed(self, size: int) -> Body:
        """The same body of this size at every call: what the reading scenarios read."""
        if size not in self._fixed:
            self._fixed[size] = self.new(size)
        return self._fixed[size]

    def _prefix(self, size: int) -> tuple[Hash, bytes]:
        if size not in self._prefixes:
            digest = hashlib.sha256()
            for begin in range(0, size - STAMP, _PIECE):
                digest.update(os.pread(self.plain, min(_PIECE, size - STAMP - begin), begin))
            self._prefixes[size] = digest, os.pread(self.plain, CHUNK - STAMP, size - CHUNK)
        return self._prefixes[size]

    def __enter__(self) -> Contents:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._plain.close()
        self._framed.close()
