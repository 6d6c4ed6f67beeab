"""The bytes of one unfinished upload: parts that the bucket has, parts on their way, and what is too little for one."""

import errno
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future
from contextlib import suppress
from dataclasses import dataclass

from storage.blobs import UploadUnknownError
from storage.blobs.s3.bucket import Bucket, MultipartMissingError, ObjectMissingError, Part
from storage.blobs.s3.memory import MIB, UploadMemory
from storage.blobs.s3.names import Names
from storage.blobs.s3.state import Large, Tail, UploadState

PARTS_ON_THEIR_WAY = 2
MOST_PARTS = 10_000
LARGEST_COPY = 5 * 1024 * MIB


def part_size(number: int) -> int:
    """The size of a part: 8 MiB, and 16 beyond the first 16 GiB, so that 10,000 parts hold 140 GiB."""
    return 8 * MIB if number <= 2000 else 16 * MIB


@dataclass(frozen=True, slots=True)
class Equipment:
    """What all uploads of a store share."""

    bucket: Bucket
    names: Names
    memory: UploadMemory
    threads: Executor
    part_size: Callable[[int], int] = part_size


class Content:
    """Takes bytes in order and has them stored in the background. One thread at a time uses it."""

    def __init__(self, equipment: Equipment, upload_id: str, state: UploadState, parts: list[Part]) -> None:
        self._bucket, self._names = equipment.bucket, equipment.names
        self._memory, self._threads = equipment.memory, equipment.threads
        self._part_size = equipment.part_size
        self._id = upload_id
        self.large = state.large
        self.parts = parts
        self._stored = state.large.size if self.is_put_together and state.large else sum(part.size for part in parts)
        self._on_their_way: deque[tuple[int, Future[Part]]] = deque()
        self._buffer = bytearray()
        self._tail = state.tail if state.tail and state.tail.after == self._stored else None
        self._tail_is_here = self._tail is None
        """Whether the buffer begins with the tail's bytes."""

    @property
    def offset(self) -> int:
        """How many bytes were taken."""
        waiting = len(self._buffer) if self._tail_is_here or self._tail is None else self._tail.size
        return self._stored + sum(size for size, _ in self._on_their_way) + waiting

    @property
    def is_put_together(self) -> bool:
        """Whether the content is one object already (that of a commit that was refused)."""
        return self.large is not None and self.large.multipart is None

    @property
    def is_small(self) -> bool:
        """Whether no part of it is stored or on its way: all of it fits into one request."""
        return not self.parts and not self._on_their_way and not self.is_put_together

    @property
    def multipart(self) -> tuple[str, str]:
        """The name and id of the multipart upload that was begun."""
        assert self.large is not None
        assert self.large.multipart is not None
        return self._names.large(self.large.generation), self.large.multipart

    def append(self, data: memoryview, begin: Callable[[], None]) -> None:
        """Take one piece; `begin` is called to begin a multipart upload (see `begin_multipart`).

        OSError when something before it could not be stored: then `offset` has gone back to where that was.
        """
        if len(data):
            self.bring_tail()
        while len(data):
            number = len(self.parts) + len(self._on_their_way) + 1
            size = self._part_size(number)
            piece = data[: size - len(self._buffer)]
            self._memory.take(len(piece))
            self._buffer += piece
            data = data[len(piece) :]
            if len(self._buffer) == size:
                if self.large is None or self.is_put_together:
                    begin()
                self._send()

    def begin_multipart(self, generation: str) -> None:
        """Begin the multipart upload; content that was put together before becomes its first part."""
        before = self.large
        name = self._names.large(generation)
        self.large = Large(generation, self._bucket.begin_multipart(name))
        if before is not None:
            if before.size > LARGEST_COPY:
                raise OSError(errno.EFBIG, "content of more than 5 GiB whose digest was refused can't be added to")
            source = self._names.large(before.generation), before.size
            self.parts.append(self._bucket.copy_part(*self.multipart, 1, source))
            self._stored = before.size
            self._bucket.delete([source[0]])

    def bring_tail(self) -> None:
        """Have the tail's bytes in memory, to go on behind them. UploadUnknownError when they are gone."""
        if self._tail is not None and not self._tail_is_here:
            self._memory.take(self._tail.size)
            try:
                self._buffer += self._bucket.fetch(self._tail.name).body
            except ObjectMissingError:
                raise UploadUnknownError(self._id) from None
            finally:
                self._memory.give(self._tail.size - len(self._buffer))
            self._tail_is_here = True

    def settle(self) -> None:
        """Return when every part that was sent is stored. OSError: `offset` then tells how many bytes are."""
        while self._on_their_way:
            self._settle_one()

    def stage(self) -> Tail | None:
        """After `settle`: have what is left stored too, under a name of its own."""
        if not self._buffer:
            return self._tail
        if self._tail is None or (self._tail.after, self._tail.size) != (self._stored, len(self._buffer)):
            name = self._names.new_tail(self._id)
            self._bucket.put(name, bytes(self._buffer))
            self._tail = Tail(name, len(self._buffer), self._stored)
        self._tail_is_here = False
        self._drop_buffer()
        return self._tail

    def small(self) -> bytes:
        """All of it, where no part was sent."""
        self.bring_tail()
        return bytes(self._buffer)

    def put_small(self, name: str) -> None:
        """Make all of it one object, where no part was sent."""
        if self._tail is not None and not self._tail_is_here:
            try:
                self._bucket.copy(self._tail.name, name)
            except ObjectMissingError:
                raise UploadUnknownError(self._id) from None
        else:
            self._bucket.put(name, bytes(self._buffer))

    def finish_parts(self) -> None:
        """Make what is left the last part, and return when all are stored. A multipart upload was begun."""
        if self._tail is not None and not self._tail_is_here:
            number = len(self.parts) + 1
            part = self._bucket.copy_part(*self.multipart, number, (self._tail.name, self._tail.size))
            self._tail = None
            self._add(part)
        elif self._buffer:
            self._send()
        self.settle()

    def put_together(self) -> int:
        """Make the parts one object; its size. UploadUnknownError when the upload was discarded."""
        name, multipart = self.multipart
        try:
            self._bucket.complete_multipart(name, multipart, self.parts)
        except MultipartMissingError:
            # Or the answer was lost, and the request sent again; the name is this upload's alone.
            with suppress(ObjectMissingError):
                if self._bucket.size(name) == self._stored:
                    return self._stored
            raise UploadUnknownError(self._id) from None
        return self._stored

    @property
    def has_loose_end(self) -> bool:
        """Whether there are bytes that are in no part yet."""
        return bool(self._buffer) or (self._tail is not None and not self._tail_is_here)

    def let_go(self) -> None:
        """Give the memory back, whatever is in it."""
        self._drop_buffer()

    def _send(self) -> None:
        number = len(self.parts) + len(self._on_their_way) + 1
        if number > MOST_PARTS:
            raise OSError(errno.EFBIG, "the blob is larger than a multipart upload can be")
        while len(self._on_their_way) >= PARTS_ON_THEIR_WAY:
            self._settle_one()
        body, self._buffer = bytes(self._buffer), bytearray()
        future = self._threads.submit(self._bucket.put_part, *self.multipart, number, body)
        size = len(body)
        future.add_done_callback(lambda done: self._memory.give(size))
        self._on_their_way.append((size, future))

    def _settle_one(self) -> None:
        _, future = self._on_their_way.popleft()
        try:
            self._add(future.result())
        except MultipartMissingError:
            self._go_back()
            raise UploadUnknownError(self._id) from None
        except BaseException:
            self._go_back()
            raise

    def _add(self, part: Part) -> None:
        self.parts.append(part)
        self._stored += part.size

    def _go_back(self) -> None:
        """Forget what comes after a part that could not be stored; parts behind it are written over later."""
        while self._on_their_way:
            self._on_their_way.popleft()[1].exception()
        self._drop_buffer()
        if self._tail is not None:
            self._tail_is_here = False
            if self._tail.after != self._stored:
                self._tail = None

    def _drop_buffer(self) -> None:
        self._memory.give(len(self._buffer))
        self._buffer = bytearray()
