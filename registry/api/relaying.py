"""Bodies that another server has: read and sent, with a few pieces in memory at most, or handed over by the kernel."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, BinaryIO

from starlette.types import Message, Receive, Scope, Send

from estiva.errors import BlobUnknown
from registry.api import passing
from registry.api.files import Verify
from registry.elsewhere import Elsewhere
from storage.blobs import BlobMissingError
from storage.blobs.direct import DirectBody, Wanted

logger = logging.getLogger("estiva.pulling")

PIECE = 512 * 1024

Reopen = Callable[[int], Awaitable[BinaryIO]]
"""Opens the blob at an offset, in the way that tries again. BlobUnknown, OSError."""


class PassedOn:
    """`length` bytes of what was opened, read in a thread while the piece before is sent; closes it whatever happens.

    When the other server gives no more, the connection is dropped: the client sees a body cut short.
    """

    def __init__(
        self,
        file: BinaryIO,
        length: int,
        headers: Mapping[str, str],
        elsewhere: Elsewhere,
        *,
        status_code: int = 200,
        verify: Verify | None = None,
    ) -> None:
        self.status_code = status_code
        self.raw_headers = [
            (name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()
        ]
        self.raw_headers.append((b"content-length", b"%d" % length))
        self.file = file
        self._left = length
        self._threads = elsewhere.threads
        self._verify = verify

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it (ASGI)."""
        start: Message = {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}
        await self.send_body(send, start)

    async def send_body(self, send: Send, start: Message | None = None) -> None:
        """Send only the body, of a response that has started; or what starts it first."""
        loop = asyncio.get_running_loop()
        reading = self._read(loop) if self._left else None
        try:
            if start is not None:
                await send(start)
            if reading is None:
                await send({"type": "http.response.body", "body": b""})
            while reading is not None:
                piece = await self._piece(reading)
                self._left -= len(piece)
                reading = self._read(loop) if self._left else None
                if self._verify is not None:
                    await self._verify(piece, self._left == 0)
                await send({"type": "http.response.body", "body": piece, "more_body": self._left > 0})
        finally:
            await self._close(loop, reading)

    async def _piece(self, reading: "asyncio.Future[bytes]") -> bytes:
        try:
            piece = await asyncio.shield(reading)
        except (OSError, BlobMissingError) as error:
            raise ConnectionAbortedError(f"a blob was broken off: {error}") from error
        if not piece:
            if self._verify is not None:
                await self._verify(b"", True)  # there is no more of it: from now on nobody is told that it is here
            raise ConnectionAbortedError("the other server's object ended before its recorded size")
        return piece

    def _read(self, loop: asyncio.AbstractEventLoop) -> "asyncio.Future[bytes]":
        return loop.run_in_executor(self._threads, self.file.read, min(PIECE, self._left))

    async def _close(self, loop: asyncio.AbstractEventLoop, reading: "asyncio.Future[bytes] | None") -> None:
        """Hang up in a thread, once nobody reads; also when this request was cancelled."""

        def close(done: object = None) -> None:
            loop.run_in_executor(self._threads, self.file.close)

        if reading is None or reading.done():
            close()
        else:
            reading.add_done_callback(close)


class HandedOver:
    """The bytes of a socket; where it breaks off, what is missing is read in the way that tries again."""

    def __init__(
        self, body: DirectBody, wanted: Wanted, headers: Mapping[str, str], elsewhere: Elsewhere, reopen: Reopen
    ) -> None:
        self.status_code = 200 if wanted.is_all else 206
        self.raw_headers = [
            (name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()
        ]
        self.raw_headers.append((b"content-length", b"%d" % wanted.length))
        self.body = body
        self._wanted = wanted
        self._elsewhere = elsewhere
        self._reopen = reopen

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it (ASGI)."""
        sent = len(self.body.begun)
        failure = None
        try:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            more = self.body.left > 0
            await send({"type": "http.response.body", "body": self.body.begun, "more_body": more})
            if more:
                count, failure = await self._hand_over(send)
                sent += count
        finally:
            self.body.close(was_taken=sent == self._wanted.length)
        if failure is not None:
            logger.warning("reading on at byte %d, as S3 %s", self._wanted.offset + sent, failure)
            await self._read_on(send, sent)

    async def _hand_over(self, send: Send) -> tuple[int, str | None]:
        message: dict[str, Any] = {"type": passing.EXTENSION, "source": self.body.fileno(), "count": self.body.left}
        await send(message)
        return message["count"], message["failure"]

    async def _read_on(self, send: Send, sent: int) -> None:
        try:
            file = await self._reopen(self._wanted.offset + sent)
        except (OSError, BlobUnknown) as error:
            raise ConnectionAbortedError(f"a blob was broken off: {error}") from error
        await PassedOn(file, self._wanted.length - sent, {}, self._elsewhere).send_body(send)
