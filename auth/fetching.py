"""Fetching small JSON documents from servers that an operator has named, or telling them something; nowhere else.

The name is resolved once and the connection goes to an address that was looked at, so no name can first look
harmless and then lead inside. Redirects are not followed, and no proxy is asked.
"""

import contextlib
import http.client
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Any, TypeVar
from urllib.parse import SplitResult, urlsplit

TIMEOUT = 5.0
"""Seconds for everything but the resolving of the name, however slowly the server sends."""
LARGEST_DOCUMENT = 256 * 1024
MOST_ADDRESSES = 4
_NAT64 = IPv6Network("64:ff9b::/96")
_PORTS = {"http": 80, "https": 443}

T = TypeVar("T")

Address = tuple[str, int]


class FetchError(Exception):
    """The document can't be had; the text says why."""


def is_fetchable(url: str, *, private: bool) -> bool:
    """Whether the URL is one that `fetch_json` would try: HTTPS, or HTTP too where `private`, and nothing odd."""
    try:
        parts = urlsplit(url)
        named = bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
    odd = parts.fragment or "@" in parts.netloc or not url.isascii() or not url.isprintable() or " " in url
    return named and not odd and (parts.scheme == "https" or (private and parts.scheme == "http"))


def fetch_json(url: str, *, private: bool) -> Any:
    """The JSON document at that URL. Blocking: call it in a thread. FetchError.

    Unless `private`, only HTTPS on public addresses is spoken: loopback, private and link-local ones are refused.
    """
    if not is_fetchable(url, private=private):
        raise FetchError("not an https URL" if not private else "not an http or https URL")
    try:
        return json.loads(_exchange(urlsplit(url), private, _get))
    except (OSError, http.client.HTTPException, ValueError, RecursionError) as error:
        raise _failure(error) from None


def post(url: str, content: bytes, headers: Mapping[str, str], *, private: bool) -> None:
    """POST these bytes to that URL; return once the server has answered 2xx. Blocking: call it in a thread. FetchError.

    The same limits as for `fetch_json`. Nothing of the answer but its status is read.
    """
    if not is_fetchable(url, private=private):
        raise FetchError("not an https URL" if not private else "not an http or https URL")

    def ask(connection: http.client.HTTPConnection, path: str, host: str) -> None:
        connection.request("POST", path, content, {"Host": host, **headers})
        with connection.getresponse() as response:
            if not 200 <= response.status < 300:
                raise FetchError(f"status {response.status}")

    try:
        _exchange(urlsplit(url), private, ask)
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise _failure(error) from None


def _failure(error: Exception) -> FetchError:
    return FetchError(f"{type(error).__name__}: {str(error)[:200]}")


def may_be_spoken_to(address: IPv4Address | IPv6Address, *, private: bool) -> bool:
    """Whether connections may go there. What stands for an IPv4 address is judged as that."""
    if isinstance(address, IPv6Address):
        address = _meant(address)
    if address.is_link_local or address.is_multicast or address.is_unspecified:
        return False
    return private or address.is_global


def _meant(address: IPv6Address) -> IPv4Address | IPv6Address:
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address


def _exchange(url: SplitResult, private: bool, ask: Callable[[http.client.HTTPConnection, str, str], T]) -> T:
    """What `ask` makes of a connection to that URL's server, a path and a Host header."""
    host = url.hostname or ""
    port = url.port or _PORTS[url.scheme]
    deadline = time.monotonic() + TIMEOUT
    with contextlib.ExitStack() as opened:
        connected = opened.enter_context(_connected(_resolve(host, port, private), deadline))
        if url.scheme == "https":
            tls = ssl.create_default_context()
            connected = opened.enter_context(
                tls.wrap_socket(connected, server_hostname=host, do_handshake_on_connect=False)
            )
        opened.enter_context(_ended_at(deadline, connected))
        if isinstance(connected, ssl.SSLSocket):
            connected.do_handshake()
        connection = http.client.HTTPConnection(host, port)
        connection.sock = connected
        return ask(connection, (url.path or "/") + (f"?{url.query}" if url.query else ""), url.netloc)


def _get(connection: http.client.HTTPConnection, path: str, host: str) -> bytes:
    connection.request("GET", path, headers={"Host": host, "Accept": "application/json"})
    with connection.getresponse() as response:
        if response.status != http.client.OK:
            raise FetchError(f"status {response.status}")
        body = response.read(LARGEST_DOCUMENT + 1)
        if len(body) > LARGEST_DOCUMENT:
            raise FetchError("the document is too large")
        if response.length:
            raise FetchError("the document ends too early")
        return body


def _resolve(host: str, port: int, private: bool) -> list[Address]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = dict.fromkeys(str(target[0]) for *_, target in found)
    fit = [address for address in addresses if may_be_spoken_to(ip_address(address), private=private)]
    if not fit:
        raise FetchError("no address that may be spoken to")
    return [(address, port) for address in fit[:MOST_ADDRESSES]]


def _connected(addresses: list[Address], deadline: float) -> socket.socket:
    """A connection to the first of these that takes one."""
    failure: OSError = TimeoutError("timed out")
    for address in addresses:
        remaining = deadline - time.monotonic()
        if remaining <= 0:
            break
        try:
            return socket.create_connection(address, remaining)
        except OSError as error:
            failure = error
    raise failure


@contextlib.contextmanager
def _ended_at(deadline: float, connected: socket.socket) -> Iterator[None]:
    """Shut the connection down at that time: a timeout alone begins anew with each byte that trickles in."""
    late = threading.Event()

    def end() -> None:
        late.set()
        with contextlib.suppress(OSError):  # it has ended by itself
            socket.socket.shutdown(connected, socket.SHUT_RDWR)

    watch = threading.Timer(max(deadline - time.monotonic(), 0), end)
    watch.daemon = True
    watch.start()
    try:
        yield
    finally:
        watch.cancel()
        # Whatever became of it: what was cut off may look like an end.
        if late.is_set():
            raise FetchError("timed out") from None
