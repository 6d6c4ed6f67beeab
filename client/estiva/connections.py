"""HTTP over blocking sockets: connections that are used again, files that go out by sendfile, bodies read in place.

Big bodies are what a registry's client moves: plain sockets can be handed to `os.sendfile`, and bodies read into one
buffer (docs/performance.md has the figures). TLS is loaded where it is spoken.
"""

import os
import selectors
import socket
import threading
from base64 import b64encode
from collections import defaultdict
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from estiva.bodies import TIMEOUT, Stop, is_ready, received, send
from estiva.failures import ConnectionFailed
from estiva.protocol.steps import Request, Response
from estiva.wire import Answer, BadAnswer, Connection

if TYPE_CHECKING:
    import ssl

_NOT_TLS = frozenset({"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE"})
_NOBODY_TRUSTED = frozenset({18, 19, 20, 21})
"""OpenSSL's X509_V_ERR of certificates whose issuer is not known or not trusted."""


class Connections:
    """Does requests; may be used by several threads at the same time."""

    def __init__(self, *, timeout: float = TIMEOUT, context: "ssl.SSLContext | None" = None) -> None:
        self._timeout = timeout
        self._context = context
        self._idle: defaultdict[tuple[str, str], list[Connection]] = defaultdict(list)
        self._busy: set[Connection] = set()
        self._lock = threading.Lock()

    def ask(self, request: Request, stop: Stop = lambda: False) -> Response:
        """The answer; ConnectionFailed where none came, or not all of it."""
        parts = urlsplit(request.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConnectionFailed(f"{request.url!r} is no address of a registry")
        place = parts.scheme, parts.netloc
        idle = self._take(place)
        if idle is not None:
            response = self._exchange_on_idle(idle, request, place, stop)
            if response is not None:
                return response
        return self._exchange(self.connect(*place), request, place, stop)

    def close(self) -> None:
        """Close what is not in use."""
        with self._lock:
            idle, self._idle = self._idle, defaultdict(list)
        for connection in (connection for connections in idle.values() for connection in connections):
            connection.close()

    def cut(self) -> None:
        """End what is under way: whoever waits for an answer gets ConnectionFailed."""
        with self._lock:
            sockets = [connection.sock for connection in self._busy]
        for sock in sockets:
            with suppress(OSError):
                socket.socket.shutdown(sock, socket.SHUT_RDWR)

    def _take(self, place: tuple[str, str]) -> Connection | None:
        with self._lock:
            while self._idle[place]:
                connection = self._idle[place].pop()
                if not is_ready(connection.sock, selectors.EVENT_READ, 0):
                    return connection
                connection.close()  # the registry has hung up, or said something nobody asked for
        return None

    def _exchange_on_idle(
        self, connection: Connection, request: Request, place: tuple[str, str], stop: Stop
    ) -> Response | None:
        """None where a connection that was idle broke before it took anything that counts."""
        try:
            return self._exchange(connection, request, place, stop)
        except ConnectionFailed:
            if request.method in ("GET", "HEAD") and request.sink is None:
                return None
            raise

    def _exchange(self, connection: Connection, request: Request, place: tuple[str, str], stop: Stop) -> Response:
        reusable = False
        with self._lock:
            self._busy.add(connection)
        try:
            send(connection, request, self._target(place, request.url), stop)
            with connection.receive(request.method) as answer:
                response = received(answer, request, stop, connection.sock)
                reusable = answer.leaves_open
                return response
        except OSError as error:
            raise ConnectionFailed(f"cannot reach {place[1]}: {reason(error)}") from error
        finally:
            with self._lock:
                self._busy.discard(connection)
                if reusable:
                    self._idle[place].append(connection)
            if not reusable:
                connection.close()

    def connect(self, scheme: str, netloc: str) -> Connection:
        """A new connection, through the proxy where there is one; ConnectionFailed. Whoever asked for it closes it."""
        proxy = proxy_of(scheme, netloc)
        try:
            sock = self._open(*(_address(proxy, 80) if proxy else _address_of(scheme, netloc)))
            try:
                return Connection(self._encrypted(sock, netloc, proxy) if scheme == "https" else sock)
            except BaseException:
                sock.close()
                raise
        except (OSError, ValueError) as error:
            raise ConnectionFailed(f"cannot reach {_shown(proxy) or netloc}: {reason(error)}") from error

    def _open(self, host: str, port: int) -> socket.socket:
        """A host's name that is ASCII is looked up as it is: as text, Python would load Unicode's tables."""
        name: Any = host.encode() if host.isascii() else host
        sock = socket.create_connection((name, port), self._timeout)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock

    def _encrypted(self, sock: socket.socket, netloc: str, proxy: str) -> socket.socket:
        host, port = _address_of("https", netloc)
        if proxy:
            _tunnel(sock, f"[{host}]:{port}" if ":" in host else f"{host}:{port}", _proxy_authorization(proxy))
        return self._tls().wrap_socket(sock, server_hostname=host)

    def _target(self, place: tuple[str, str], url: str) -> tuple[str, dict[str, str]]:
        """What the request line names, and what a proxy wants besides."""
        parts = urlsplit(url)
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        proxy = proxy_of(*place) if place[0] == "http" else ""
        return (f"http://{place[1]}{path}", _proxy_authorization(proxy)) if proxy else (path, {})

    def _tls(self) -> "ssl.SSLContext":
        if self._context is None:
            import ssl

            self._context = ssl.create_default_context()
        return self._context


def _tunnel(sock: socket.socket, place: str, authorization: dict[str, str]) -> None:
    """Have the proxy on this socket pass on what follows (RFC 9110 section 9.3.6); OSError where it does not."""
    Connection(sock).send_head("CONNECT", place, {"Host": place, **authorization})
    with Answer(sock, "CONNECT") as answer:
        if not 200 <= answer.status < 300:
            raise BadAnswer(f"the proxy answers with {answer.status}")


def _distrust(error: "ssl.SSLCertVerificationError") -> str:
    """What is wrong with a certificate, and where it is nobody's that is trusted, what to do."""
    said = error.verify_message.rstrip(".")
    if error.verify_code in _NOBODY_TRUSTED:
        return f"{said}; if that is as it should be, name its authority's file in --ca-file or SSL_CERT_FILE"
    return said


def _address_of(scheme: str, netloc: str) -> tuple[str, int]:
    return _address(f"//{netloc}", 443 if scheme == "https" else 80)


def _address(url: str, port: int) -> tuple[str, int]:
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or port


def proxy_of(scheme: str, netloc: str) -> str:
    """The proxy that the environment names for this, empty where there is none."""
    if not any(name.lower() in ("http_proxy", "https_proxy", "all_proxy") for name in os.environ):
        return ""
    from urllib.request import getproxies, proxy_bypass

    proxies = getproxies()
    if proxy_bypass(netloc):
        return ""
    proxy = proxies.get(scheme) or proxies.get("all") or ""
    return proxy if "://" in proxy or not proxy else f"http://{proxy}"


def _shown(proxy: str) -> str:
    """What to call a proxy where others read it: without a password."""
    return f"the proxy {urlsplit(proxy).netloc.rpartition('@')[2]}" if proxy else ""


def _proxy_authorization(proxy: str) -> dict[str, str]:
    parts = urlsplit(proxy)
    if not parts.username:
        return {}
    text = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return {"Proxy-Authorization": f"Basic {b64encode(text.encode()).decode()}"}


PLAIN_HTTP = "--plain-http (plain_http=True) does, too"


def reason(error: BaseException, *, plain: str = PLAIN_HTTP) -> str:
    """Why a connection failed, in a few words; of errors that wrap others, the first one's.

    `plain` is what to do where the other side speaks HTTP without TLS.
    """
    import ssl  # only here, where something went wrong

    cause = error.__cause__ or error.__context__
    if cause is not None and not isinstance(error, OSError):
        return reason(cause, plain=plain)
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate does not hold: {_distrust(error)}"
    if isinstance(error, ssl.SSLError):
        if error.reason in _NOT_TLS:
            return f"it speaks HTTP without TLS there; {plain}"
        return f"no TLS connection ({error.reason or 'unknown error'})"
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
