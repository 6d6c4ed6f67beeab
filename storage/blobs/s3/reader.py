"""A blob's bytes out of a bucket, as a file that reads on where a connection broke."""

import contextlib
import errno
import io
import logging
from time import sleep
from typing import Any

from storage.blobs import BlobMissingError
from storage.blobs.s3.bucket import BROKEN_BODY, Bucket, ConditionFailedError, ObjectMissingError

logger = logging.getLogger("estiva.blobs")

TRIES_WITHOUT_PROGRESS = 4
FIRST_PAUSE = 0.1


class ObjectReader(io.RawIOBase):
    """Reads one object, from wherever `seek` says, with one request for as long as it is read in order.

    OSError when the server gives nothing more after several tries; then the reader stays where it was.
    """

    def __init__(self, bucket: Bucket, name: str, size: int | None = None) -> None:
        self._bucket = bucket
        self._name = name
        self._size = size
        self._position = 0
        self._etag: str | None = None
        self._body: Any = None
        self._body_at = 0

    def open(self) -> None:
        """Ask for the bytes, so that a missing object is noticed now. BlobMissingError."""
        if self._body is None:
            self._request()

    def readable(self) -> bool:
        """Yes."""
        return True

    def seekable(self) -> bool:
        """Yes."""
        return True

    def write(self, data: Any) -> int:
        """Never: blobs don't change."""
        raise io.UnsupportedOperation("write")

    def tell(self) -> int:
        """Where the next byte comes from."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Read on from there."""
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self.size}[whence]
        self._position = max(0, start + offset)
        return self._position

    @property
    def size(self) -> int:
        """The object's length. BlobMissingError."""
        if self._size is None:
            self._request()
        assert self._size is not None
        return self._size

    def read(self, size: int = -1) -> bytes:
        """At most so many bytes, fewer only before the end; all that are left for -1."""
        if size is None or size < 0:
            size = max(0, self.size - self._position)
        tries = TRIES_WITHOUT_PROGRESS
        while size and (self._size is None or self._position < self._size):
            self._ask()
            if self._position >= self.size:
                break
            try:
                data = self._read_on(size)
            except BROKEN_BODY as error:
                self._drop()
                tries -= 1
                if not tries:
                    raise OSError(errno.EIO, f"S3 broke off: {type(error).__name__}") from error
                logger.warning("reading on at byte %d, as S3 broke off: %s", self._position, type(error).__name__)
                sleep(FIRST_PAUSE * 2 ** (TRIES_WITHOUT_PROGRESS - tries - 1))
                continue
            self._position += len(data)
            self._body_at = self._position
            return data
        return b""

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer."""
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def _ask(self) -> None:
        """Have an answer that begins where the next byte comes from. OSError: that was tried often enough."""
        if self._body is None or self._body_at != self._position:
            self._drop()
            self._request()

    def _read_on(self, size: int) -> bytes:
        data: bytes = self._body.read(size)
        if not data:
            raise OSError(errno.EIO, "the answer ended before the object did")
        return data

    def _request(self) -> None:
        if self._size is not None and self._position >= self._size:
            return
        try:
            self._body, size, self._etag = self._bucket.stream(self._name, self._position, self._etag)
        except (ObjectMissingError, ConditionFailedError):
            raise BlobMissingError(self._name) from None
        if self._size not in (None, size):
            self._drop()
            raise BlobMissingError(f"{self._name} is {size} bytes long instead of {self._size}")
        self._size = size
        self._body_at = self._position

    def _drop(self) -> None:
        if self._body is not None:
            # Closed, not read to its end: the connection is of no more use.
            with contextlib.suppress(*BROKEN_BODY):
                self._body.close()
            self._body = None

    def close(self) -> None:
        """Hang up."""
        self._drop()
        super().close()
