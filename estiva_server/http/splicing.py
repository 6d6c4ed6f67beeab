"""What arrives on one socket on its way into a connection, by the kernel's splice, without a copy of ours."""

import asyncio
import contextlib
import fcntl
import os
import socket
from collections.abc import Callable
from time import monotonic

PIPE_BYTES = 512 * 1024
AVAILABLE = hasattr(os, "splice")


class SourceError(OSError):
    """The other side gave less than it was to give."""


class Splicing:
    """Sends `count` bytes that arrive on the socket `source` as they come and as the client takes them.

    Works on a duplicate of the connection's descriptor, as loops keep a transport's own to themselves. The transport's
    write buffer must be empty when `start` is called, and nothing may be written to the transport until `done` is
    called: with None when all is sent, with a SourceError when `source` ended, broke, or brought nothing for
    `patience` seconds, else with the client's error. `source` must not block; it stays the caller's to close, and after
    an error bytes of it may be lost. Raises OSError when no descriptor is left.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        connection: int,
        source: int,
        count: int,
        patience: float,
        done: Callable[[OSError | None], None],
    ) -> None:
        self._loop = loop
        self._source = source
        self._missing = count
        self._patience = patience
        self._done = done
        self._held = 0
        self._slice = 0
        self._reading = self._writing = False
        self._taken_at = monotonic()
        self._out, self._in = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        with contextlib.suppress(OSError):  # a user may only have so many large ones
            fcntl.fcntl(self._in, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        try:
            # The family only matters to calls that name an address, so any will do.
            self._client: socket.socket | None = socket.socket(
                socket.AF_INET, socket.SOCK_STREAM, 0, fileno=os.dup(connection)
            )
        except BaseException:
            self._close_pipe()
            raise
        self._watch: asyncio.TimerHandle | None = None
        self._waits_since = 0.0
        self.sent = 0
        """How much the client took."""

    @property
    def progress_at(self) -> float:
        """When the client last took something, or had nothing to take."""
        return monotonic() if self._reading else self._taken_at

    def start(self, head: bytes, slice_bytes: int) -> None:
        """Begin with what is there. There is no head."""
        assert not head
        self._slice = slice_bytes
        self._waits_since = self._taken_at = monotonic()
        self._watch = self._loop.call_later(self._patience, self._look)
        self._advance()

    def cancel(self, error: OSError) -> None:
        """Stop, as the connection is going away."""
        self._finish(error)

    def _advance(self) -> None:
        try:
            reads = self._move()
        except OSError as error:
            self._finish(error)
            return
        if not self._held and not self._missing:
            self._finish(None)
        else:
            self._wait(reads=reads)

    def _move(self) -> bool:
        """One slice, so that other connections get their turn: whether it now waits for the source.

        The pipe is filled only when it is empty: then it is the source, and not the pipe, that makes a call wait.
        """
        assert self._client is not None
        end = self.sent + self._slice
        while self.sent < end and (self._held or self._missing):
            try:
                if not self._held:
                    self._fill()
                sent = os.splice(self._out, self._client.fileno(), self._held, flags=os.SPLICE_F_NONBLOCK)
            except (BlockingIOError, InterruptedError):
                break
            self._held -= sent
            self.sent += sent
            self._taken_at = monotonic()
        return not self._held

    def _fill(self) -> None:
        try:
            count = os.splice(self._source, self._in, min(self._missing, PIPE_BYTES), flags=os.SPLICE_F_NONBLOCK)
        except (BlockingIOError, InterruptedError):
            raise
        except OSError as error:
            raise SourceError(f"broke off: {type(error).__name__}") from error
        if count == 0:
            raise SourceError("ended before its announced size")
        self._held = count
        self._missing -= count

    def _wait(self, *, reads: bool) -> None:
        assert self._client is not None
        if reads and not self._reading:
            self._waits_since = monotonic()
        if self._reading is not reads:
            self._reading = reads
            if reads:
                self._loop.add_reader(self._source, self._advance)
            else:
                self._loop.remove_reader(self._source)
                self._taken_at = monotonic()
        elif reads:
            self._waits_since = monotonic()  # something came since
        if self._writing is reads:
            self._writing = not reads
            if self._writing:
                self._loop.add_writer(self._client.fileno(), self._advance)
            else:
                self._loop.remove_writer(self._client.fileno())

    def _look(self) -> None:
        """See whether the source has brought anything for a while."""
        now = monotonic()
        due = self._waits_since + self._patience if self._reading else now + self._patience
        if due <= now:
            self._finish(SourceError("brought nothing for too long"))
        else:
            self._watch = self._loop.call_later(due - now, self._look)

    def _finish(self, error: OSError | None) -> None:
        if self._client is None:
            return
        if self._reading:
            self._loop.remove_reader(self._source)
        if self._writing:
            self._loop.remove_writer(self._client.fileno())
        if self._watch is not None:
            self._watch.cancel()
        self._client.close()
        self._client = None
        self._close_pipe()
        self._done(error)

    def _close_pipe(self) -> None:
        os.close(self._out)
        os.close(self._in)
