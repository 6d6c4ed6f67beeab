"""Receiving a large request body piece by piece, off the event loop.

`pour_body` is what an endpoint calls. Where the server offers the scope extension `estiva.body` (see
`PourBody`), the body goes from the socket to `write` inside one worker thread; everywhere else it is collected
from ASGI messages with the same promises.
"""

import asyncio
from collections.abc import Callable
from typing import Protocol, cast

from starlette.types import Receive, Scope

EXTENSION = "estiva.body"
PIECE_BYTES = 512 * 1024

Write = Callable[[memoryview], None]
End = Callable[[], None]


def nothing() -> None:
    """The end of a body after which nothing is left to do in the worker thread."""


class BodyError(Exception):
    """The request body could not be received whole. What was received before has been handed to `write`."""


class ClientDisconnected(BodyError):
    """The client went away before the end of the body; nobody is left to answer."""


class MalformedBody(BodyError):
    """The body is not what its framing says (broken chunked coding): 400."""


class BodyTimedOut(BodyError):
    """The client sends too slowly: 408."""


class BodyTooLarge(BodyError):
    """The body is longer than the limit: 413. Nothing beyond the limit has been handed to `write`."""


class PourBody(Protocol):
    """The scope extension `estiva.body`: read the rest of the body into `write`, in a worker thread.

    Calls `write` with non-empty pieces in order, never two at once, and `end` after the last piece of a body that
    came whole, in the same thread; the memory is reused after each call returns. Returns the number of bytes.
    Whatever `write` and `end` raise ends the pour and comes out here; the connection is closed after the response.
    """

    async def __call__(self, write: Write, limit: int | None = None, end: End = nothing) -> int: ...


async def pour_body(scope: Scope, receive: Receive, write: Write, limit: int | None = None, end: End = nothing) -> int:
    """Hand the whole request body to `write` in large pieces, off the event loop; return its length.

    `write` runs in a worker thread, one call at a time, with memory that is only valid during the call; so does
    `end`, once, after the last piece of a body that came whole. Raises `BodyError`s, and whatever those two raise.
    """
    extension = (scope.get("extensions") or {}).get(EXTENSION)
    if extension is not None:
        return await cast(PourBody, extension)(write, limit, end)
    return await _Collector(receive, write, limit, end).run()


class _Collector:
    """Collects ASGI messages into pieces; while one piece is written in a thread the next is received."""

    def __init__(self, receive: Receive, write: Write, limit: int | None, end: End) -> None:
        self._receive = receive
        self._write = write
        self._end = end
        self._limit = limit
        self._total = 0
        self._piece = bytearray()
        self._writing: asyncio.Future[None] | None = None

    async def run(self) -> int:
        try:
            await self._collect()
        except BodyError:
            await self._flush()
            raise
        finally:
            await self._settle()
        return self._total

    async def _collect(self) -> None:
        more = True
        while more:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise ClientDisconnected("the client went away before the end of the request body")
            self._take(message.get("body", b""))
            more = message.get("more_body", False)
            if len(self._piece) >= PIECE_BYTES and more:
                await self._flush()
        await self._flush(self._end)
        await self._written()

    def _take(self, data: bytes) -> None:
        if self._limit is not None and self._total + len(data) > self._limit:
            raise BodyTooLarge(f"the request body is longer than {self._limit} bytes")
        self._total += len(data)
        self._piece += data

    async def _flush(self, end: End = nothing) -> None:
        """Start writing what has been collected, after the piece before it, and then `end`."""
        await self._written()
        if self._piece or end is not nothing:
            piece, self._piece = self._piece, bytearray()
            self._writing = asyncio.ensure_future(asyncio.to_thread(self._in_thread, piece, end))

    def _in_thread(self, piece: bytearray, end: End) -> None:
        if piece:
            self._write(memoryview(piece))
        end()

    async def _written(self) -> None:
        writing, self._writing = self._writing, None
        if writing is None:
            return
        try:
            await asyncio.shield(writing)
        except asyncio.CancelledError:
            self._writing = writing
            raise

    async def _settle(self) -> None:
        """Return only when no thread is in `write` any more, even when cancelled: its file is about to close."""
        writing, self._writing = self._writing, None
        if writing is None:
            return
        cancelled: asyncio.CancelledError | None = None
        while not writing.done():
            try:
                await asyncio.wait([writing])
            except asyncio.CancelledError as error:
                cancelled = error
        if cancelled is not None:
            raise cancelled
        writing.result()
