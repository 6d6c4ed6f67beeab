"""A command in a task that is typed at while it runs, over a connection that is no longer HTTP.

After 101 both sides send JSON objects, one in each line. The client: `data` (base64), `eof` (true: no more input),
`size` (columns and rows of its terminal), or none of them; something at least every `SILENCE` seconds, so that it is
known to be there. The server: what the command writes, as `stream` and `data` (base64), and at the end `exit_code`, or
`error`.
"""

import asyncio
import base64
import contextlib
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from orchestrator.engines import EngineDown, Exec, Refused

PROTOCOL = "estiva-exec"
"""The name of it in `Upgrade`."""
LONGEST_LINE = 128 * 1024
SILENCE = 120.0
LARGEST_SIZE = 10_000


class Malformed(Exception):
    """The client sent what this protocol does not have; the message says what."""


class TypingAlong(Response):
    """The answer to such a request: 101, and then the command until it ends or its client leaves.

    `opened` holds the command, which began already, and is closed in the end.
    """

    def __init__(self, running: Exec, opened: AsyncExitStack) -> None:
        super().__init__(status_code=101)
        self._running = running
        self._opened = opened

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI. Returns when both directions have ended."""
        async with self._opened:
            fields = [(b"connection", b"Upgrade"), (b"upgrade", PROTOCOL.encode())]
            await send({"type": "http.response.start", "status": 101, "headers": fields})
            showing = asyncio.create_task(self._show(send))
            typing = asyncio.create_task(self._take(receive))
            try:
                await asyncio.wait({showing, typing}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for one in (showing, typing):
                    one.cancel()
                ends = await asyncio.gather(showing, typing, return_exceptions=True)
            last = _last(*ends)
            await send({"type": "http.response.body", "body": b"" if last is None else _line(last)})

    async def _show(self, send: Send) -> int:
        """Send what the command writes; its exit code."""
        async for stream, data in self._running.output():
            shown = _line({"stream": stream, "data": base64.b64encode(data).decode()})
            await send({"type": "http.response.body", "body": shown, "more_body": True})
        return await self._running.exit_code()

    async def _take(self, receive: Receive) -> None:
        """Do what the client says, until it leaves. Malformed."""
        async for line in _lines(receive):
            said = _parsed(line)
            if said.size is not None:
                await self._running.resize(*said.size)
            with contextlib.suppress(EngineDown):  # the command ends, or has closed its input: its output tells
                if said.data:
                    await self._running.write(said.data)
                if said.eof:
                    await self._running.write_eof()


class _Said:
    """One line of the client."""

    def __init__(self, value: dict[str, Any]) -> None:
        if unknown := value.keys() - {"data", "eof", "size"}:
            raise Malformed(f"unknown member {min(unknown)[:64]}")
        try:
            self.data = base64.b64decode(value.get("data", ""), validate=True)
        except (ValueError, TypeError):
            raise Malformed("data is not base64") from None
        self.eof = value.get("eof", False) is True
        self.size = size_of(value.get("size"))


def size_of(value: Any) -> tuple[int, int] | None:
    """Columns and rows of a terminal, where they are said. Malformed."""
    if value is None:
        return None
    if isinstance(value, list) and len(value) == 2 and all(type(one) is int for one in value):
        columns, rows = value
        if 0 < columns <= LARGEST_SIZE and 0 < rows <= LARGEST_SIZE:
            return columns, rows
    raise Malformed("size is a list of columns and rows")


async def _lines(receive: Receive) -> AsyncIterator[bytes]:
    """Whole lines, until the client leaves. Malformed where one is too long, or the client is silent."""
    rest = b""
    while True:
        try:
            async with asyncio.timeout(SILENCE):
                message = await receive()
        except TimeoutError:
            raise Malformed(f"nothing came for {SILENCE:.0f} seconds") from None
        if message["type"] != "http.request":
            return
        *whole, rest = (rest + message.get("body", b"")).split(b"\n")
        if max(map(len, (*whole, rest))) > LONGEST_LINE:
            raise Malformed("a line is too long")
        for line in whole:
            yield line


def _parsed(line: bytes) -> _Said:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise Malformed("a line is no JSON object")
    return _Said(value)


def _last(showed: int | BaseException, typed: BaseException | None) -> dict[str, Any] | None:
    """The last line: how the command ended, or why nothing more is shown of it; None where the client has left."""
    if isinstance(showed, int):
        return {"exit_code": showed}
    for why in (typed, showed):
        if isinstance(why, Malformed | EngineDown | Refused):
            return {"error": str(why)}
        if why is not None and not isinstance(why, asyncio.CancelledError):
            raise why
    return None


def _line(value: dict[str, Any]) -> bytes:
    return json.dumps(value).encode() + b"\n"
