"""What comes from containers bit by bit: lines of logs, and commands that run in them."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from typing import Any

import httpcore2

from orchestrator.engines import EngineDown, LogLine, Refused
from orchestrator.engines.docker_http import ApiError, DockerHTTP
from orchestrator.engines.docker_views import seconds

_STREAMS = {1: "stdout", 2: "stderr"}
_PIECE = 1 << 16
_HEADER = 8
_ENDED_WITHIN = 10.0


async def frames(pieces: AsyncIterator[bytes], terminal: bool) -> AsyncIterator[tuple[str, bytes]]:
    """(stdout or stderr, bytes) from the engine's frames of 8 + n bytes; a terminal has one stream and no frames."""
    rest = bytearray()
    async for piece in pieces:
        if terminal:
            yield "stdout", piece
            continue
        rest += piece
        while len(rest) >= _HEADER:
            end = _HEADER + int.from_bytes(rest[4:_HEADER], "big")
            if len(rest) < end:
                break
            if rest[0] in _STREAMS:
                yield _STREAMS[rest[0]], bytes(rest[_HEADER:end])
            elif rest[0] == 3:  # the engine itself, when it cannot go on
                raise EngineDown(rest[_HEADER:end].decode(errors="replace"))
            del rest[:end]


async def log_lines(parts: AsyncIterator[tuple[str, bytes]]) -> AsyncIterator[LogLine]:
    """Lines that begin with their time, each stream's put together on its own."""
    rests = {"stdout": b"", "stderr": b""}
    async for stream, data in parts:
        *whole, rests[stream] = (rests[stream] + data).split(b"\n")
        for line in whole:
            yield _line(stream, line)
    for stream, rest in rests.items():
        if rest:
            yield _line(stream, rest)


def _line(stream: str, line: bytes) -> LogLine:
    at, _, text = line.decode(errors="replace").partition(" ")
    return LogLine(seconds(at) or 0.0, stream, text.removesuffix("\r"))


class DockerExec:
    """A command that runs in a container, over a connection that is no longer HTTP."""

    def __init__(
        self, http: DockerHTTP, exec_id: str, connection: httpcore2.AsyncNetworkStream, terminal: bool
    ) -> None:
        self._http, self._id = http, exec_id
        self._connection, self._terminal = connection, terminal

    def output(self) -> AsyncIterator[tuple[str, bytes]]:
        """See `Exec.output`."""
        return frames(self._read(), self._terminal)

    async def write(self, data: bytes) -> None:
        """See `Exec.write`; EngineDown where nobody takes it any more."""
        try:
            await self._connection.write(data)
        except httpcore2.NetworkError as error:
            raise EngineDown("the command takes no more input") from error

    async def write_eof(self) -> None:
        """See `Exec.write_eof`. Refused over TLS, where a connection has no half."""
        if self._connection.get_extra_info("ssl_object") is not None:
            raise Refused("CannotExecError", "the end of input cannot be told over TLS", lasting=True)
        raw = self._connection.get_extra_info("socket")
        # `write` returns when all of it is with the kernel, so nothing is cut off.
        try:
            raw.shutdown(socket.SHUT_WR)
        except OSError as error:
            raise EngineDown("the command takes no more input") from error

    async def resize(self, columns: int, rows: int) -> None:
        """See `Exec.resize`."""
        if self._terminal:
            with contextlib.suppress(ApiError):  # it has ended meanwhile
                await self._http.ask("POST", f"/exec/{self._id}/resize", {"w": columns, "h": rows})

    async def exit_code(self) -> int:
        """See `Exec.exit_code`; EngineDown where it goes on though its output has ended."""
        deadline = asyncio.get_running_loop().time() + _ENDED_WITHIN
        while asyncio.get_running_loop().time() < deadline:
            told: dict[str, Any] = await self._http.ask("GET", f"/exec/{self._id}/json")
            if not told["Running"] and told["ExitCode"] is not None:
                return int(told["ExitCode"])
            await asyncio.sleep(0.02)
        raise EngineDown("the command goes on, though its output has ended")

    async def _read(self) -> AsyncIterator[bytes]:
        while True:
            try:
                piece = await self._connection.read(_PIECE)
            except httpcore2.ReadError:
                return
            if not piece:
                return
            yield piece
