"""A recording proxy: what a real client says to the registry, and how many bytes it sends.

Bytes go through unchanged in both directions; the proxy only follows HTTP/1.1's framing closely enough to know where
one request ends and the next begins. What is not HTTP (a TLS greeting) goes through unread.
"""

import asyncio
import contextlib
import re
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass

_PIECE = 1 << 16
_TLS_GREETING = b"\x16"


@dataclass
class Exchange:
    """One request and its answer."""

    method: str
    target: str
    status: int = 0
    sent: int = 0


@dataclass(frozen=True)
class _Head:
    raw: bytes
    words: list[str]
    length: int
    chunked: bool
    closing: bool
    sized: bool

    @classmethod
    def parse(cls, raw: bytes) -> "_Head":
        first, *lines = raw.decode("latin-1").split("\r\n")
        headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        return cls(
            raw=raw,
            words=first.split(" ", 2),
            length=int(headers.get("content-length", "0")),
            chunked=headers.get("transfer-encoding", "").lower() == "chunked",
            closing=headers.get("connection", "").lower() == "close",
            sized="content-length" in headers,
        )


class Wire:
    """The proxy in front of one registry; a client is pointed at `host` and its exchanges are read here."""

    def __init__(self, registry_port: int) -> None:
        self.exchanges: list[Exchange] = []
        self.host = ""
        self._registry_port = registry_port
        self._open: set[asyncio.StreamWriter] = set()
        self._awaited: tuple[str, str, Callable[[], None]] | None = None

    @contextlib.contextmanager
    def open(self) -> Iterator["Wire"]:
        """Listen on a free loopback port, on a thread of its own, until the block ends."""
        loop = asyncio.new_event_loop()
        ready = threading.Event()
        stop = asyncio.Event()
        thread = threading.Thread(target=loop.run_until_complete, args=(self._serve(ready, stop),), name="wire")
        thread.start()
        try:
            assert ready.wait(10), "the proxy did not come up"
            yield self
        finally:
            loop.call_soon_threadsafe(stop.set)
            thread.join(10)
            assert not thread.is_alive(), "the proxy did not end"
            loop.close()

    def clear(self) -> None:
        """Forget what was said so far."""
        self.exchanges.clear()

    def before_the_next(self, method: str, path: str, act: Callable[[], None]) -> None:
        """Call `act`, once, before the next request of that method whose target matches goes on to the registry."""
        self._awaited = (method, path, act)

    def select(self, method: str, path: str, *statuses: int) -> list[Exchange]:
        """The exchanges of that method whose target matches the pattern and whose answer is one of `statuses`."""
        return [
            one
            for one in self.exchanges
            if one.method == method and re.search(path, one.target) and (not statuses or one.status in statuses)
        ]

    def uploaded(self) -> int:
        """How many bytes of blobs were sent, whatever became of them."""
        return sum(one.sent for one in self.exchanges if one.method != "GET" and "/blobs/" in one.target)

    def accepted(self) -> list[Exchange]:
        """The requests to change something that the registry did, or began to do."""
        writing = ("POST", "PUT", "PATCH", "DELETE")
        return [one for method in writing for one in self.select(method, "^/v2/") if 200 <= one.status < 300]

    def mounted(self) -> set[str]:
        """The digests that a mount made part of a repository (201), without their bytes."""
        found = (re.search(r"[?&]mount=([^&]+)", one.target) for one in self.select("POST", r"/blobs/uploads/", 201))
        return {match.group(1).replace("%3A", ":") for match in found if match}

    def found(self, repository: str) -> set[str]:
        """The digests that HEAD found in the repository."""
        pattern = rf"^/v2/{repository}/blobs/(sha\d+:[0-9a-f]+)"
        matches = (re.search(pattern, one.target) for one in self.select("HEAD", pattern, 200))
        return {match.group(1) for match in matches if match}

    def downloaded(self) -> set[str]:
        """The digests of the blobs that were fetched."""
        found = (re.search(r"/blobs/(sha\d+:[0-9a-f]+)", one.target) for one in self.select("GET", "/blobs/", 200, 206))
        return {match.group(1) for match in found if match}

    async def _serve(self, ready: threading.Event, stop: asyncio.Event) -> None:
        server = await asyncio.start_server(self._client, "127.0.0.1", 0)
        self.host = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        ready.set()
        await stop.wait()
        # First no more are accepted: asyncio leaves a connection open that it has accepted, but not yet handed over,
        # when its server closes (Go's clients dial ahead of what they send).
        for listening in server.sockets:
            asyncio.get_running_loop().remove_reader(listening.fileno())
        # A conversation ends by itself when both its connections are gone; none is interrupted in the middle of a step.
        while conversations := asyncio.all_tasks() - {asyncio.current_task()}:
            for writer in set(self._open):
                writer.transport.abort()
            await asyncio.wait(conversations, timeout=1)
        server.close()

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # A side that hangs up in the middle ends the conversation; the client's own error is what a test sees.
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            async with self._closing(writer):
                upstream_reader, upstream_writer = await asyncio.open_connection("127.0.0.1", self._registry_port)
                async with self._closing(upstream_writer):
                    await self._converse(reader, upstream_writer, upstream_reader, writer)

    async def _converse(
        self,
        reader: asyncio.StreamReader,
        upstream_writer: asyncio.StreamWriter,
        upstream_reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        first = await reader.readexactly(1)
        if first == _TLS_GREETING:
            upstream_writer.write(first + await reader.read(_PIECE))
            await _splice(reader, upstream_writer, upstream_reader, writer)
            return
        while await self._exchange(first, reader, upstream_writer, upstream_reader, writer):
            first = await reader.readexactly(1)

    @contextlib.asynccontextmanager
    async def _closing(self, writer: asyncio.StreamWriter) -> AsyncIterator[None]:
        """Close it at the end, and stay until it is: what was written last may have to go out first."""
        self._open.add(writer)
        try:
            yield
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()
            self._open.discard(writer)

    async def _exchange(
        self,
        first: bytes,
        reader: asyncio.StreamReader,
        upstream_writer: asyncio.StreamWriter,
        upstream_reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> bool:
        """Carry one request and its answer; False where the connection ends with it."""
        request = _Head.parse(first + await reader.readuntil(b"\r\n\r\n"))
        exchange = Exchange(method=request.words[0], target=request.words[1])
        self.exchanges.append(exchange)
        self._act_before(exchange)
        upstream_writer.write(request.raw)
        sending = asyncio.create_task(_carry_body(request, reader, upstream_writer, exchange))
        try:
            answer = await _carry_answer(exchange, upstream_reader, writer)
            if request.closing or answer.closing:
                return False
            await sending
            return True
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)

    def _act_before(self, exchange: Exchange) -> None:
        if self._awaited is None:
            return
        method, path, act = self._awaited
        if exchange.method == method and re.search(path, exchange.target):
            self._awaited = None
            act()


async def _carry_answer(
    exchange: Exchange, upstream_reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> _Head:
    while True:
        answer = _Head.parse(await upstream_reader.readuntil(b"\r\n\r\n"))
        exchange.status = int(answer.words[1])
        writer.write(answer.raw)
        if exchange.status >= 200:
            break
    if exchange.method != "HEAD" and exchange.status not in {204, 304}:
        if answer.chunked or answer.sized:
            await _carry_body(answer, upstream_reader, writer)
        else:
            await _pour(upstream_reader, writer)
    await writer.drain()
    return answer


async def _carry_body(
    head: _Head, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, exchange: Exchange | None = None
) -> None:
    async for piece, payload in _chunks(reader) if head.chunked else _pieces(reader, head.length):
        if exchange is not None:
            exchange.sent += payload
        writer.write(piece)
        await writer.drain()


async def _pieces(reader: asyncio.StreamReader, length: int) -> AsyncIterator[tuple[bytes, int]]:
    while length > 0:
        piece = await reader.read(min(_PIECE, length))
        if not piece:
            raise asyncio.IncompleteReadError(b"", length)
        length -= len(piece)
        yield piece, len(piece)


async def _chunks(reader: asyncio.StreamReader) -> AsyncIterator[tuple[bytes, int]]:
    while True:
        line = await reader.readuntil(b"\r\n")
        yield line, 0
        size = int(line.split(b";")[0], 16)
        if size == 0:
            break
        async for piece in _pieces(reader, size):
            yield piece
        yield await reader.readexactly(2), 0
    while line != b"\r\n":
        line = await reader.readuntil(b"\r\n")
        yield line, 0


async def _pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while piece := await reader.read(_PIECE):
        writer.write(piece)
        await writer.drain()


async def _splice(
    reader: asyncio.StreamReader,
    upstream_writer: asyncio.StreamWriter,
    upstream_reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
) -> None:
    there = asyncio.create_task(_pour(reader, upstream_writer))
    back = asyncio.create_task(_pour(upstream_reader, writer))
    # Whichever side hangs up, the conversation is over: a greeting that is refused has nothing more to say.
    await asyncio.wait({there, back}, return_when=asyncio.FIRST_COMPLETED)
    for task in (there, back):
        task.cancel()
    await asyncio.gather(there, back, return_exceptions=True)
