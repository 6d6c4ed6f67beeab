"""The connections to other registries: one pool, and a look at every address before it is spoken to.

The name is resolved here and the connection goes to an address that was looked at, so no name, and no redirect, leads
inside. Nothing is decoded, no redirect is followed, no cookie is kept: bodies are bytes with a digest.
"""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from ipaddress import ip_address
from urllib.parse import urlsplit

import httpcore2

from auth.fetching import is_fetchable, may_be_spoken_to
from registry.upstream.errors import UpstreamInvalid, UpstreamUnavailable

MOST_ADDRESSES = 4
MOST_CONNECTIONS = 64
KEPT_FOR = 30.0
USER_AGENT = "estiva"

Body = bytes | AsyncIterator[bytes] | None


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds to wait for a connection, and for the next byte in either direction."""

    connect: float = 5.0
    silence: float = 20.0


@dataclass(slots=True)
class Answer:
    """What came back: the status, the headers by name in lower case, and the body, piece by piece."""

    url: str
    status: int
    headers: Mapping[str, str]
    pieces: AsyncIterator[bytes] = field(repr=False)

    async def read(self, limit: int) -> bytes:
        """The whole body. UpstreamInvalid where it is longer than `limit`."""
        body = bytearray()
        async for piece in self.pieces:
            body += piece
            if len(body) > limit:
                raise UpstreamInvalid(f"the answer is longer than {limit} bytes", status=self.status)
        return bytes(body)


class Network:
    """Sends requests. Unless `private`, only HTTPS to public addresses."""

    def __init__(self, *, private: bool, patience: Patience | None = None) -> None:
        self._private = private
        self._patience = patience or Patience()
        self._pool: httpcore2.AsyncConnectionPool | None = None

    @asynccontextmanager
    async def send(self, method: str, url: str, headers: Mapping[str, str], body: Body = None) -> AsyncIterator[Answer]:
        """One request, as it is, and its answer. UpstreamUnavailable, also when the answer breaks off."""
        if not is_fetchable(url, private=self._private):
            raise UpstreamUnavailable(f"{origin(url)} is no place that may be spoken to")
        fields = {"User-Agent": USER_AGENT, "Host": urlsplit(url).netloc, **headers}
        timeout = {"connect": self._patience.connect, "pool": self._patience.silence}
        timeout |= {"read": self._patience.silence, "write": self._patience.silence}
        with_body = {} if body is None else {"content": body}
        async with AsyncExitStack() as opened:
            # Only what the network does is told as the network's: not what the caller does with the answer.
            with _told_apart(url):
                response = await opened.enter_async_context(
                    self._opened().stream(
                        method, url, headers=list(fields.items()), extensions={"timeout": timeout}, **with_body
                    )
                )
            yield Answer(url, response.status, _by_name(response.headers), _pieces(url, response.aiter_stream()))

    async def close(self) -> None:
        """Let go of every connection."""
        if self._pool is not None:
            await self._pool.aclose()

    def _opened(self) -> httpcore2.AsyncConnectionPool:
        # Made at the first request: certificates of authorities take 20 ms to read, and most servers have no upstream.
        if self._pool is None:
            self._pool = httpcore2.AsyncConnectionPool(
                ssl_context=ssl.create_default_context(),
                max_connections=MOST_CONNECTIONS,
                keepalive_expiry=KEPT_FOR,
                network_backend=_GuardedBackend(self._private),
            )
        return self._pool


class _GuardedBackend(httpcore2.AsyncNetworkBackend):
    """Connects to addresses that may be spoken to."""

    def __init__(self, private: bool) -> None:
        self._private = private
        self._plain = httpcore2.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's signature
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """A connection to the first address of that name that takes one."""
        failure: Exception = httpcore2.ConnectError("no address")
        for address in await self._addresses(host, port, timeout):
            try:
                return await self._plain.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                failure = error
        raise failure

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's signature
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """No registry listens there."""
        raise httpcore2.ConnectError("no unix sockets")

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)

    async def _addresses(self, host: str, port: int, seconds: float | None) -> list[str]:
        try:
            async with asyncio.timeout(seconds):
                found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except TimeoutError:
            raise httpcore2.ConnectTimeout("its name could not be resolved in time") from None
        except OSError as error:
            raise httpcore2.ConnectError(f"its name can't be resolved: {error.strerror}") from None
        addresses = dict.fromkeys(str(target[0]) for *_, target in found)
        fit = [one for one in addresses if may_be_spoken_to(ip_address(one), private=self._private)]
        if not fit:
            raise httpcore2.ConnectError("it has no address that may be spoken to")
        return fit[:MOST_ADDRESSES]


async def _pieces(url: str, stream: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    with _told_apart(url):
        async for piece in stream:
            yield piece


@contextmanager
def _told_apart(url: str) -> Iterator[None]:
    """Turns the network's own errors into ours."""
    place = origin(url)
    try:
        yield
    except httpcore2.TimeoutException as error:
        raise UpstreamUnavailable(f"{place} did not answer in time") from error
    except (httpcore2.NetworkError, httpcore2.ProtocolError, OSError) as error:
        text = " ".join(str(error).split())[:200]
        raise UpstreamUnavailable(f"{place} can't be reached: {text or type(error).__name__}") from error


def _by_name(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Headers by name; those that come several times are one list."""
    found: dict[str, str] = {}
    for name, value in headers:
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        found[key] = f"{found[key]}, {text}" if key in found else text
    return found


def origin(url: str) -> str:
    """Scheme and host of a URL: its path or query may hold what is nobody's business."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}"
