"""A response with a blob that is on its way from another registry."""

import logging
from collections.abc import Mapping
from contextlib import aclosing

from starlette.types import Receive, Scope, Send

from registry.mirroring.arriving import ArrivingBlob

logger = logging.getLogger("estiva.registry")


class ArrivingResponse:
    """`length` bytes of the blob from `offset`, sent as they come in."""

    def __init__(
        self, blob: ArrivingBlob, offset: int, length: int, headers: Mapping[str, str], status_code: int = 200
    ) -> None:
        self.status_code = status_code
        self.raw_headers = [
            (name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()
        ]
        self.raw_headers.append((b"content-length", b"%d" % length))
        self._blob = blob
        self._offset = offset
        self._length = length

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it (ASGI). A client that leaves stops nothing: what is on its way is kept for the next."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        left = self._length
        try:
            async with aclosing(self._blob.read(self._offset, self._length)) as pieces:
                async for piece in pieces:
                    left -= len(piece)
                    await send({"type": "http.response.body", "body": piece, "more_body": left > 0})
        except Exception as error:
            # Too late for an error: the connection is dropped, and the client sees a body cut short.
            logger.warning("a blob that was sent as it came in broke off: %s", error)
            raise ConnectionAbortedError("the blob did not come in whole") from error
        if not self._length:
            await send({"type": "http.response.body", "body": b""})
