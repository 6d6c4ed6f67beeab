"""A response that is a part of a file, sent by the kernel where the server offers that."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import BinaryIO

from starlette.types import Receive, Scope, Send

from storage.blobs.identity import Identity

ZERO_COPY = "http.response.zerocopysend"
PIECE = 1024 * 1024

Verify = Callable[[bytes, bool], Awaitable[None]]
"""Is given every piece before it is sent, and whether it is the last one; raises where the content is wrong."""


class FileResponse:
    """`length` bytes of an open file from `offset`; closes the file whatever happens.

    With `verify`, every piece is looked at before it is sent, while one of the `slots` is held. Otherwise it goes out
    through the ASGI extension `http.response.zerocopysend` where server and file allow that, and is read piece by
    piece in a thread where not.
    """

    def __init__(
        self,
        file: BinaryIO,
        offset: int,
        length: int,
        headers: Mapping[str, str],
        *,
        status_code: int = 200,
        verify: Verify | None = None,
        slots: AbstractAsyncContextManager[None] | None = None,
    ) -> None:
        self._slots = slots or nullcontext()
        self.identity: Identity = b""
        """Which file it is that may be sent again as it is; empty where that makes no difference."""
        self.verify = verify
        self.status_code = status_code
        self.offset = offset
        self.length = length
        self.file = file
        self.raw_headers = [
            (name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()
        ]
        self.raw_headers.append((b"content-length", b"%d" % length))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it (ASGI)."""
        try:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            if scope["method"] == "HEAD" or self.length == 0:
                await send({"type": "http.response.body", "body": b""})
            elif self.verify is None and ZERO_COPY in (scope.get("extensions") or {}) and _is_real(self.file):
                await send({"type": ZERO_COPY, "file": self.file.fileno(), "offset": self.offset, "count": self.length})
            else:
                async with self._slots:
                    await self._copy(send)
        finally:
            self.file.close()

    async def _copy(self, send: Send) -> None:
        await asyncio.to_thread(self.file.seek, self.offset)
        left = self.length
        while left:
            piece = await asyncio.to_thread(self.file.read, min(PIECE, left))
            if not piece:
                if self.verify is not None:
                    await self.verify(b"", True)
                # Too late for an error: the connection is dropped, and the client sees a body cut short.
                raise ConnectionAbortedError("the blob's file ended before its recorded size")
            left -= len(piece)
            if self.verify is not None:
                # The last piece is held back until all of it is known to be right: wrong bytes never look complete.
                await self.verify(piece, left == 0)
            await send({"type": "http.response.body", "body": piece, "more_body": left > 0})


def _is_real(file: BinaryIO) -> bool:
    try:
        file.fileno()
    except OSError:
        return False
    return True
