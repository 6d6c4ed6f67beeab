"""A span of a file on its way into a connection by the kernel's sendfile."""

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable
from time import monotonic

_ADVISE_FROM = 1024 * 1024


class FileSending:
    """Sends `count` bytes of `file` from `offset`, after `head`, whenever the socket has room.

    Works on a duplicate of the connection's descriptor, as loops keep a transport's own to themselves. The
    transport's write buffer must be empty when `start` is called, and nothing may be written to the transport
    until `done` is called: with None when all is sent, else with the error. `done` may be called before `start`
    returns. The file stays the caller's to close. Raises OSError when no descriptor is left.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        connection: int,
        file: int,
        span: tuple[int, int],
        done: Callable[[OSError | None], None],
    ) -> None:
        self._loop = loop
        self._file = file
        self._offset, self._count = span
        self._done = done
        self._head = b""
        self._slice = 0
        # The family only matters to calls that name an address, so any will do.
        self._socket: socket.socket | None = socket.socket(
            socket.AF_INET, socket.SOCK_STREAM, 0, fileno=os.dup(connection)
        )
        self._waiting = False
        self.progress_at = monotonic()
        """When the client last took something."""
        self.sent = 0
        """How much of the file it took."""

    def start(self, head: bytes, slice_bytes: int) -> None:
        """Begin with what the socket takes at once."""
        self._head = head
        self._slice = slice_bytes
        if self._count >= _ADVISE_FROM:
            with contextlib.suppress(OSError):  # advice only; not every file system takes it
                os.posix_fadvise(self._file, self._offset, self._count, os.POSIX_FADV_SEQUENTIAL)
        self._advance()

    def cancel(self, error: OSError) -> None:
        """Stop, as the connection is going away."""
        self._finish(error)

    def _advance(self) -> None:
        try:
            self._send()
        except (BlockingIOError, InterruptedError):
            pass
        except OSError as error:
            self._finish(error)
            return
        if self._socket is None:
            return
        if not self._head and not self._count:
            self._finish(None)
        elif not self._waiting:
            self._waiting = True
            self._loop.add_writer(self._socket.fileno(), self._advance)

    def _send(self) -> None:
        """One slice, so that other connections get their turn."""
        assert self._socket is not None
        if self._head:
            sent = self._socket.send(self._head, socket.MSG_MORE if self._count else 0)
            self.progress_at = monotonic()
            self._head = self._head[sent:]
            if self._head:
                return
        if self._count:
            sent = os.sendfile(self._socket.fileno(), self._file, self._offset, min(self._count, self._slice))
            if sent == 0:
                raise OSError("the file ended before its announced size")
            self.progress_at = monotonic()
            self._offset += sent
            self._count -= sent
            self.sent += sent

    def _finish(self, error: OSError | None) -> None:
        if self._socket is None:
            return
        if self._waiting:
            self._loop.remove_writer(self._socket.fileno())
        self._socket.close()
        self._socket = None
        self._done(error)
