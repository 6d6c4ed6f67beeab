"""What the kernel sends out of a connection, in order with what its transport writes."""

import asyncio
from collections.abc import Callable

from .sendfile import FileSending
from .splicing import Splicing

Done = Callable[[int, OSError | None], None]
"""Told how many bytes of a file were sent, and what went wrong if that is not all."""


class Outlet:
    """Sends one file span, or what a socket brings, at a time, once the transport has written all before it."""

    def __init__(self, loop: asyncio.AbstractEventLoop, transport: asyncio.Transport, slice_bytes: int) -> None:
        self._loop = loop
        self._transport = transport
        self._slice_bytes = slice_bytes
        self._sending: FileSending | Splicing | None = None
        self._head: bytes | None = None

    @property
    def busy(self) -> bool:
        """Whether something is being sent."""
        return self._sending is not None

    def send(self, head: bytes, file: int, span: tuple[int, int], done: Done) -> None:
        """Send `head` and then the span (offset, count) of the open `file`. Raises OSError if it cannot begin."""
        descriptor = self._transport.get_extra_info("socket").fileno()

        def finished(error: OSError | None) -> None:
            self._sending = self._head = None
            done(sending.sent, error)

        sending = FileSending(self._loop, descriptor, file, span, finished)
        self._begin(sending, head)

    def _begin(self, sending: FileSending | Splicing, head: bytes) -> None:
        self._sending = sending
        if self._transport.get_write_buffer_size() == 0:
            sending.start(head, self._slice_bytes)
        else:
            self._head = head
            self._transport.set_write_buffer_limits(high=0)  # so that `drained` is called when it is empty

    async def send_span(self, file: int, span: tuple[int, int]) -> OSError | None:
        """Send the span of the open `file`; return what went wrong, if anything did."""
        finished: asyncio.Future[OSError | None] = self._loop.create_future()

        def done(_: int, error: OSError | None) -> None:
            if not finished.done():
                finished.set_result(error)

        self.send(b"", file, span, done)
        try:
            return await finished
        finally:
            self.cancel(ConnectionAbortedError("cancelled"))

    async def pass_on(self, source: int, count: int, patience: float) -> tuple[int, OSError | None]:
        """Send what arrives on the socket `source`; how much was sent, and what went wrong, if anything did."""
        finished: asyncio.Future[OSError | None] = self._loop.create_future()

        def done(error: OSError | None) -> None:
            self._sending = self._head = None
            if not finished.done():
                finished.set_result(error)

        descriptor = self._transport.get_extra_info("socket").fileno()
        sending = Splicing(self._loop, descriptor, source, count, patience, done)
        self._begin(sending, b"")
        try:
            error = await finished
        finally:
            self.cancel(ConnectionAbortedError("cancelled"))
        return sending.sent, error

    def drained(self) -> None:
        """The transport's write buffer has sunk below its low-water mark."""
        head, self._head = self._head, None
        if head is not None and self._sending is not None:
            self._transport.set_write_buffer_limits()
            self._sending.start(head, self._slice_bytes)

    def cancel(self, error: OSError) -> None:
        """Stop what is being sent, if anything is."""
        if self._sending is not None:
            self._sending.cancel(error)

    def stalled(self, now: float, timeout: float) -> bool:
        """Whether the client has taken nothing for so long."""
        return self._sending is not None and now - self._sending.progress_at >= timeout
