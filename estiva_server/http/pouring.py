"""Receiving a request body from the socket inside a worker thread: read, decode, hash and write without the event loop.

A thread is held only while bytes flow. A client that makes it wait goes back to the event loop, where waiting
costs a descriptor, and a long body gives its thread up every so often, so that a few slow or large uploads do
not keep the others waiting.
"""

import asyncio
import enum
import os
import select
from concurrent.futures import Executor
from dataclasses import dataclass
from time import monotonic

from registry.api.body import BodyTimedOut, BodyTooLarge, ClientDisconnected, End, MalformedBody, Write
from registry.threads import Steadfast, in_thread

from .framing import Framing, FramingError
from .settings import KIB, ConnectionSettings

_TURN_SECONDS = 0.5
_POLL_MILLISECONDS = 20
_WORTH_POLLING = 16 * KIB  # a client that brought less since the last wait is waited for on the event loop
_LEAST_ROOM = 64 * KIB


class _Turn(enum.Enum):
    COMPLETE = enum.auto()
    MORE = enum.auto()
    WAIT = enum.auto()


class Buffers:
    """Reusable buffers for worker threads: at most as many are kept as were ever in use at once."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._free: list[memoryview] = []

    def take(self) -> memoryview:
        """A buffer nobody else has. Safe in any thread: a list's pop is atomic."""
        try:
            return self._free.pop()
        except IndexError:
            return memoryview(bytearray(self._size))

    def give(self, buffer: memoryview) -> None:
        """Give a buffer back."""
        self._free.append(buffer)


class Source:
    """Where a body comes from: the socket's descriptor, its framing and what was already read of it."""

    def __init__(self, descriptor: int, framing: Framing, begun: bytes) -> None:
        self.descriptor = os.dup(descriptor)
        self.framing = framing
        self.begun = begun
        self.rest = b""
        """What was read beyond the end of the message."""

    def close(self) -> None:
        """Release the descriptor."""
        os.close(self.descriptor)


@dataclass(frozen=True, slots=True)
class Sink:
    """Where a body goes: its pieces, at most `limit` bytes, and what is done after the last of them."""

    write: Write
    end: End
    limit: int | None


class Pour:
    """One request body on its way to its sink."""

    def __init__(self, source: Source, sink: Sink, settings: ConnectionSettings, buffers: Buffers) -> None:
        self._source = source
        self._write = sink.write
        self._end = sink.end
        self._limit = sink.limit
        self._settings = settings
        self._buffers = buffers
        self._total = 0
        self._stop = False
        self._abandoned = False
        self._ready: asyncio.Future[None] | None = None
        self._poll = select.poll()
        self._poll.register(source.descriptor, select.POLLIN)
        self._recent = 0
        self._waited = 0.0
        self._window_total = 0
        self._view = memoryview(b"")
        self._filled = 0

    def check_announced(self) -> None:
        """Raise BodyTooLarge when the announced length is beyond the limit, before any of it is received."""
        if self._source.framing.length is not None:
            self._check_limit(self._source.framing.length)

    async def run(self, loop: asyncio.AbstractEventLoop, executor: Executor) -> int:
        """Receive to the end of the body; return its length. When this returns or raises, no thread is in `write`."""
        while True:
            turn = await self._in_thread(executor)
            if turn is _Turn.COMPLETE:
                return self._total
            if turn is _Turn.WAIT:
                started = monotonic()
                await self._readable(loop)
                self._count_wait(monotonic() - started)

    def abandon(self) -> None:
        """The connection is lost: end as if the client had gone away. Called on the event loop."""
        self._abandoned = True
        self._wake()

    def _wake(self) -> None:
        if self._ready is not None and not self._ready.done():
            self._ready.set_result(None)

    async def _in_thread(self, executor: Executor) -> _Turn:
        return await in_thread(executor, self._turn, Steadfast(self._end_turn))

    def _end_turn(self) -> None:
        self._stop = True

    async def _readable(self, loop: asyncio.AbstractEventLoop) -> None:
        """Wait on the event loop until the client sends, or its time is up."""
        ready = self._ready = loop.create_future()
        descriptor = self._source.descriptor
        loop.add_reader(descriptor, self._wake)
        try:
            await asyncio.wait([ready], timeout=self._settings.body_window - self._waited)
        finally:
            loop.remove_reader(descriptor)
            ready.cancel()
            self._ready = None

    def _count_wait(self, seconds: float) -> None:
        """Only time spent waiting for the client counts, so that a busy disk or a full pool is not held against it."""
        self._waited += seconds
        if self._waited < self._settings.body_window:
            return
        if self._total - self._window_total < self._settings.body_rate * self._settings.body_window:
            raise BodyTimedOut(f"the request body came slower than {self._settings.body_rate} bytes per second")
        self._waited = 0.0
        self._window_total = self._total

    # From here on: in the worker thread.

    def _turn(self) -> _Turn:
        self._view = self._buffers.take()
        self._filled = 0
        try:
            return self._receive()
        finally:
            view, self._view = self._view, memoryview(b"")
            self._buffers.give(view)

    def _receive(self) -> _Turn:
        try:
            turn = self._receive_until(monotonic() + _TURN_SECONDS)
        except (ClientDisconnected, MalformedBody, BodyTooLarge, BodyTimedOut):
            self._flush()
            raise
        self._flush()
        if turn is _Turn.COMPLETE:
            self._end()
        return turn

    def _receive_until(self, end: float) -> _Turn:
        self._take_begun()
        framing = self._source.framing
        while not framing.complete:
            if self._stop or monotonic() > end:
                return _Turn.MORE
            if self._abandoned:
                raise ClientDisconnected("the connection was lost before the end of the request body")
            self._make_room()
            count = self._read()
            if count is None:
                if not self._worth_polling() or not self._poll_briefly():
                    return _Turn.WAIT
            elif count == 0:
                raise ClientDisconnected("the client went away before the end of the request body")
            else:
                self._recent += count
                self._take(count)
        return _Turn.COMPLETE

    def _take_begun(self) -> None:
        begun, self._source.begun = self._source.begun, b""
        while begun:
            self._make_room()
            count = min(len(begun), len(self._view) - self._filled)
            self._view[self._filled : self._filled + count] = begun[:count]
            begun = begun[count:]
            self._take(count)
            if self._source.framing.complete:
                self._source.rest += begun
                return

    def _make_room(self) -> None:
        room = len(self._view) - self._filled
        if room == 0 or (room < _LEAST_ROOM and self._source.framing.length is None):
            self._flush()

    def _read(self) -> int | None:
        """Read what is there, behind what is held; None when nothing is there yet."""
        room = len(self._view) - self._filled
        most = self._source.framing.most_to_read()
        count = room if most is None else min(room, most)
        try:
            return os.readv(self._source.descriptor, [self._view[self._filled : self._filled + count]])
        except (BlockingIOError, InterruptedError):
            return None
        except OSError as error:
            raise ClientDisconnected("the connection broke before the end of the request body") from error

    def _worth_polling(self) -> bool:
        worth = self._recent >= _WORTH_POLLING
        self._recent = 0
        return worth

    def _poll_briefly(self) -> bool:
        started = monotonic()
        ready = bool(self._poll.poll(_POLL_MILLISECONDS))
        self._count_wait(monotonic() - started)
        return ready

    def _take(self, count: int) -> None:
        """Decode `count` raw bytes that lie behind what is held, moving the body bytes among them together."""
        start = self._filled
        raw = self._view[start : start + count]
        try:
            spans, taken = self._source.framing.decode(raw)
        except FramingError as error:
            raise MalformedBody(str(error)) from error
        if taken < count:
            self._source.rest += bytes(raw[taken:])
        for begin, end in spans:
            self._check_limit(self._total + end - begin)
            target = self._filled
            if target != start + begin:
                self._view[target : target + end - begin] = raw[begin:end]
            self._filled += end - begin
            self._total += end - begin

    def _check_limit(self, total: int) -> None:
        if self._limit is not None and total > self._limit:
            raise BodyTooLarge(f"the request body is longer than {self._limit} bytes")

    def _flush(self) -> None:
        if self._filled:
            filled, self._filled = self._filled, 0
            self._write(self._view[:filled])
