"""Blobs that another server has: a redirect to it, or its bytes passed on, never more than a few pieces in memory."""

import asyncio
from collections.abc import Mapping
from math import inf
from typing import BinaryIO

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from registry import Registry
from registry.api.call import Call
from registry.api.files import Verify
from registry.api.repeating import repeatable_head
from registry.elsewhere import Elsewhere
from registry.verifying import Reading
from storage.blobs import BlobMissingError
from storage.metadata.blobs import BlobRecord

PIECE = 512 * 1024

Span = tuple[int, int]
"""Offset and length."""


async def answer(
    registry: Registry, call: Call, blob: BlobRecord, part: Span | None, headers: dict[str, str]
) -> "Response | PassedOn":
    """The answer to GET or HEAD of a blob that is elsewhere. HEAD asks nobody there."""
    elsewhere = registry.pulling.elsewhere
    assert elsewhere is not None
    if call.method == "HEAD":
        response = Response(headers={**headers, "Content-Length": str(blob.size)})
        holds = inf if blob.promised_at is None else registry.pulling.word_holds_for
        repeatable_head(call, response, blob.size, at_most=holds)
        return response
    if elsewhere.redirects(lambda: _came_encrypted(call)):
        where = {"Location": elsewhere.url_of(blob.key), "Docker-Content-Digest": str(blob.digest)}
        # A cache that kept this would send clients to an address that is no longer good.
        return Response(status_code=307, headers={**where, "Content-Length": "0", "Cache-Control": "no-store"})
    # Whoever drives this only to see whether it has to wait finds out before S3 is asked for anything.
    await asyncio.sleep(0)
    offset, length = part or (0, blob.size)
    file = await registry.pulling.open(blob, offset)
    if part is None:
        return PassedOn(file, length, headers, elsewhere, verify=_verification(registry, blob, elsewhere))
    headers["Content-Range"] = f"bytes {offset}-{offset + length - 1}/{blob.size}"
    return PassedOn(file, length, headers, elsewhere, status_code=206)


def _came_encrypted(call: Call) -> bool:
    return call.admission.origin.base_url(call.scope).startswith("https:")


def _verification(registry: Registry, blob: BlobRecord, elsewhere: Elsewhere) -> Verify | None:
    """How to verify a blob's bytes while they are passed on, None where that has been done."""
    if registry.pulling.is_proven(blob):
        return None
    reading = Reading(blob.digest, blob.size)

    async def verify(piece: bytes, is_last: bool) -> None:
        await asyncio.get_running_loop().run_in_executor(elsewhere.threads, reading.take, piece)
        if is_last and not await registry.pulling.judge(blob, reading):
            raise ConnectionAbortedError("the blob's bytes are wrong")

    return verify


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
        loop = asyncio.get_running_loop()
        reading = self._read(loop) if self._left else None
        try:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
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
