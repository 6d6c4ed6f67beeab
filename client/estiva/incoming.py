"""A blob that arrives: in a file that a later pull continues, checked before anybody finds it under its name."""

import hashlib
import os
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Self

from estiva.descriptor import Descriptor
from estiva.digest import Digest
from estiva.errors import DigestInvalid
from estiva.failures import ContentInvalid
from estiva.protocol.steps import Response

_CHUNK = 1 << 20
_CONTENT_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")


class IncomingBlob:
    """Writes a blob to `partial` and, when all of it is there and has the digest, renames it to `target`.

    What an earlier try left in `partial` is hashed again and kept. Nobody else may write to it meanwhile:
    ContentInvalid where another process does.
    """

    def __init__(self, blob: Descriptor, partial: Path, target: Path, moved: Callable[[int], None]) -> None:
        self.blob = blob
        self.offset = 0
        self._partial = partial
        self._target = target
        self._moved = moved
        self._hash = hashlib.new(blob.digest.algorithm.value)
        self._file: BinaryIO | None = None

    def open(self) -> Self:
        """Take what is there already."""
        try:
            self._partial.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.fdopen(os.open(self._partial, os.O_RDWR | os.O_CREAT, 0o666), "r+b", buffering=0)
            _lock(self._file, self._partial)
            self._take_up()
        except OSError as error:
            self.close()
            raise ContentInvalid(f"cannot write {self._partial}: {error.strerror}") from None
        except BaseException:
            self.close()
            raise
        return self

    def accept(self, response: Response) -> bool:
        """Whether the answer is the blob, from where we are or from its beginning."""
        if response.status == 200:
            self._back_to_beginning()
            return True
        match = _CONTENT_RANGE.fullmatch(response.header("content-range"))
        return response.status == 206 and match is not None and int(match[1]) == self.offset

    def write(self, piece: memoryview) -> None:
        """Append a piece; DigestInvalid beyond the blob's size, ContentInvalid where the disk refuses."""
        if self.offset + len(piece) > self.blob.size:
            raise DigestInvalid(f"the registry sends more than the {self.blob.size} bytes of {self.blob.digest}")
        assert self._file is not None
        self._hash.update(piece)
        left = piece
        try:
            while left:
                left = left[self._file.write(left) :]
        except OSError as error:
            raise ContentInvalid(f"cannot write {self._partial}: {error.strerror}") from None
        self.offset += len(piece)
        self._moved(len(piece))

    @property
    def is_whole(self) -> bool:
        """Whether all bytes are here."""
        return self.offset == self.blob.size

    def finish(self) -> None:
        """Give the blob its name; DigestInvalid, and the bytes are gone, where they are not what was asked for."""
        digest = Digest(self.blob.digest.algorithm, self._hash.hexdigest())
        if digest != self.blob.digest:
            self._partial.unlink(missing_ok=True)
            raise DigestInvalid(f"the registry sent something else than {self.blob.digest}", detail=str(digest))
        try:
            self._target.parent.mkdir(parents=True, exist_ok=True)
            self._partial.replace(self._target)
        except OSError as error:
            raise ContentInvalid(f"cannot write {self._target}: {error.strerror}") from None

    def close(self) -> None:
        """Let go of the file; what is in it stays for the next try."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _take_up(self) -> None:
        assert self._file is not None
        while piece := self._file.read(_CHUNK):
            self._hash.update(piece)
            self.offset += len(piece)
        if self.offset > self.blob.size:
            self._restart()
        elif self.offset:
            self._moved(self.offset)

    def _back_to_beginning(self) -> None:
        if self.offset:
            self._moved(-self.offset)
            self._restart()

    def _restart(self) -> None:
        assert self._file is not None
        self._file.seek(0)
        self._file.truncate()
        self._hash, self.offset = hashlib.new(self.blob.digest.algorithm.value), 0


def _lock(file: BinaryIO, path: Path) -> None:
    with suppress(ImportError):  # where there is no flock (Windows), two pulls of one blob are the caller's care
        import fcntl

        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ContentInvalid(f"another pull is writing {path}") from None
