"""HTTP to a Docker Engine: one pool over its socket, a deadline for every call, and the version that both speak."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode, urlsplit

import httpcore2

from orchestrator.engines import EngineDown

NEWEST_API = (1, 47)
"""The newest version of the API that the driver knows; older engines are spoken to in theirs."""
SOON = 30.0
"""Seconds within which an engine answers what takes no time."""
CONNECT = 5.0
MOST_CONNECTIONS = 256
KEPT_FOR = 30.0
LONGEST_LINE = 1 << 20

JSON = dict[str, Any]


class ApiError(EngineDown):
    """The engine answered with an error; its own words. Where nobody makes a refusal of it, it counts as silence."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status, self.message = status, message


@dataclass(slots=True)
class Stream:
    """An answer that comes bit by bit, and the connection under it where it was upgraded."""

    pieces: AsyncIterator[bytes]
    connection: httpcore2.AsyncNetworkStream | None = field(repr=False)

    async def lines(self) -> AsyncIterator[JSON]:
        """The answer as JSON objects, one on each line."""
        rest = b""
        async for piece in self.pieces:
            *whole, rest = (rest + piece).split(b"\n")
            for line in whole:
                if line.strip():
                    yield _parsed(line, "a stream")
            if len(rest) > LONGEST_LINE:
                raise EngineDown("the engine sent a line without end")
        if rest.strip():
            yield _parsed(rest, "a stream")


class DockerHTTP:
    """Requests to the engine at `unix:///path`, `tcp://host:port` or, with certificates, `tcp+tls://host:port`.

    Raises EngineDown where it does not answer in time, ApiError where it answers with an error.
    """

    def __init__(self, endpoint: str, tls: ssl.SSLContext | None = None) -> None:
        where = urlsplit(endpoint)
        self.endpoint, self.is_local = endpoint, where.scheme == "unix"
        if where.scheme == "unix" and where.path:
            self._base, socket = "http://docker", where.path
        elif where.scheme in ("tcp", "http", "tcp+tls", "https") and where.hostname:
            scheme = "https" if where.scheme in ("tcp+tls", "https") else "http"
            self._base, socket = f"{scheme}://{where.netloc}", None
        else:
            raise ValueError(f"{endpoint} is no place of an engine: unix:///path, tcp://host:port, tcp+tls://host:port")
        self._pool = httpcore2.AsyncConnectionPool(
            uds=socket, ssl_context=tls, max_connections=MOST_CONNECTIONS, keepalive_expiry=KEPT_FOR
        )
        self._version: tuple[int, int] | None = None

    async def api(self) -> tuple[int, int]:
        """The version of the API that is spoken, such as (1, 41)."""
        if self._version is None:
            told = await self._ask("GET", "/version", SOON)
            major, _, minor = str(told["ApiVersion"]).partition(".")
            self._version = min((int(major), int(minor)), NEWEST_API)
        return self._version

    async def ask(
        self, method: str, path: str, query: Mapping[str, Any] | None = None, body: Any = None, *, within: float = SOON
    ) -> Any:
        """The whole answer, parsed; None where it is empty. `body`: bytes of a tar, or what becomes JSON."""
        return await self._ask(method, await self._path(path, query), within, body)

    @asynccontextmanager
    async def stream(
        self,
        method: str,
        path: str,
        query: Mapping[str, Any] | None = None,
        body: Any = None,
        *,
        headers: Mapping[str, str] | None = None,
        silence: float | None = SOON,
    ) -> AsyncIterator[Stream]:
        """An answer while it comes; EngineDown when the engine is silent for longer than `silence` seconds."""
        async with AsyncExitStack() as opened:
            path = await self._path(path, query)
            with _told(path):
                async with asyncio.timeout(SOON if silence is None else max(silence, SOON)):
                    response = await opened.enter_async_context(self._send(method, path, silence, body, headers))
            if response.status >= 400:
                raise await _error(response)
            yield Stream(_pieces(path, response), response.extensions.get("network_stream"))

    async def close(self) -> None:
        """Let go of every connection."""
        await self._pool.aclose()

    async def _path(self, path: str, query: Mapping[str, Any] | None) -> str:
        major, minor = await self.api()
        stated = {name: _word(value) for name, value in (query or {}).items() if value is not None}
        return f"/v{major}.{minor}{path}" + (f"?{urlencode(stated)}" if stated else "")

    async def _ask(self, method: str, path: str, within: float, body: Any = None) -> Any:
        with _told(path):
            async with asyncio.timeout(within), self._send(method, path, within, body) as response:
                if response.status >= 400:
                    raise await _error(response)
                content = await response.aread()
            return _parsed(content, path) if content.strip() else None

    def _send(
        self, method: str, path: str, silence: float | None, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> Any:
        fields = {"Host": "docker", **(headers or {})}
        content = b""
        if isinstance(body, bytes):
            content, fields["Content-Type"] = body, "application/x-tar"
        elif body is not None:
            content, fields["Content-Type"] = json.dumps(body).encode(), "application/json"
        timeout = {"connect": CONNECT, "pool": SOON, "write": SOON, "read": silence}
        return self._pool.stream(
            method,
            f"{self._base}{path}",
            headers=list(fields.items()),
            content=content,
            extensions={"timeout": timeout},
        )


@contextmanager
def _told(path: str) -> Iterator[None]:
    """What the network does, told as the engine's silence."""
    what = path.partition("?")[0]
    try:
        yield
    except TimeoutError as error:
        raise EngineDown(f"the engine did not answer {what} in time") from error
    except (httpcore2.TimeoutException, httpcore2.NetworkError, httpcore2.ProtocolError) as error:
        raise EngineDown(f"the engine cannot be spoken to ({what}): {error or type(error).__name__}") from error


async def _pieces(path: str, response: httpcore2.Response) -> AsyncIterator[bytes]:
    with _told(path):
        async for piece in response.aiter_stream():
            yield piece


async def _error(response: httpcore2.Response) -> ApiError:
    content = await response.aread()
    try:
        message = str(json.loads(content)["message"])
    except (ValueError, KeyError, TypeError):
        message = content.decode(errors="replace")[:1000]
    return ApiError(response.status, message.strip())


def _parsed(content: bytes, path: str) -> Any:
    try:
        return json.loads(content)
    except ValueError as error:
        raise EngineDown(f"the engine answered {path.partition('?')[0]} with something that is no JSON") from error


def _word(value: Any) -> str:
    if isinstance(value, bool):
        return "1" if value else "0"
    return json.dumps(value) if isinstance(value, dict) else str(value)
