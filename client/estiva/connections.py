"""HTTP over blocking sockets: connections that are used again, files that go out by sendfile, bodies read in place.

The standard library's client, because big bodies are what a registry's client moves: its sockets can be handed to
`os.sendfile`, and bodies read into one buffer (docs/performance.md has the figures).
"""

import http.client
import os
import selectors
import socket
import ssl
import threading
from base64 import b64encode
from collections import defaultdict
from contextlib import suppress
from typing import Any
from urllib.parse import unquote, urlsplit

from estiva.bodies import TIMEOUT, Stop, is_ready, received, send
from estiva.failures import ConnectionFailed
from estiva.protocol.steps import Request, Response

_FAILURES = (OSError, http.client.HTTPException)
_NOT_TLS = frozenset({"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE"})
_NOBODY_TRUSTED = frozenset({18, 19, 20, 21})
"""OpenSSL's X509_V_ERR of certificates whose issuer is not known or not trusted."""


class _Plain(http.client.HTTPConnection):
    """Without TLS. A host's name that is ASCII is looked up as it is: as text, Python would load Unicode's tables."""

    def connect(self) -> None:
        host: Any = self.host.encode() if self.host.isascii() else self.host
        self.sock = socket.create_connection((host, self.port), self.timeout)


class Connections:
    """Does requests; may be used by several threads at the same time."""

    def __init__(self, *, timeout: float = TIMEOUT, context: ssl.SSLContext | None = None) -> None:
        self._timeout = timeout
        self._context = context
        self._idle: defaultdict[tuple[str, str], list[http.client.HTTPConnection]] = defaultdict(list)
        self._busy: set[http.client.HTTPConnection] = set()
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
            if sock is not None:
                with suppress(OSError):
                    socket.socket.shutdown(sock, socket.SHUT_RDWR)

    def _take(self, place: tuple[str, str]) -> http.client.HTTPConnection | None:
        with self._lock:
            while self._idle[place]:
                connection = self._idle[place].pop()
                if connection.sock is not None and not is_ready(connection.sock, selectors.EVENT_READ, 0):
                    return connection
                connection.close()  # the registry has hung up, or said something nobody asked for
        return None

    def _exchange_on_idle(
        self, connection: http.client.HTTPConnection, request: Request, place: tuple[str, str], stop: Stop
    ) -> Response | None:
        """None where a connection that was idle broke before it took anything that counts."""
        try:
            return self._exchange(connection, request, place, stop)
        except ConnectionFailed:
            if request.method in ("GET", "HEAD") and request.sink is None:
                return None
            raise

    def _exchange(
        self, connection: http.client.HTTPConnection, request: Request, place: tuple[str, str], stop: Stop
    ) -> Response:
        reusable = False
        with self._lock:
            self._busy.add(connection)
        try:
            send(connection, request, self._target(place, request.url), stop)
            with connection.getresponse() as answer:
                response = received(answer, request, stop, connection.sock)
                reusable = not answer.will_close and answer.isclosed()
                return response
        except _FAILURES as error:
            raise ConnectionFailed(f"cannot reach {place[1]}: {reason(error)}") from error
        finally:
            with self._lock:
                self._busy.discard(connection)
                if reusable:
                    self._idle[place].append(connection)
            if not reusable:
                connection.close()

    def connect(self, scheme: str, netloc: str) -> http.client.HTTPConnection:
        """A new connection, through the proxy where there is one; ConnectionFailed. Whoever asked for it closes it."""
        proxy = proxy_of(scheme, netloc)
        try:
            connection = self._connection(scheme, netloc, proxy)
            connection.connect()
        except (*_FAILURES, ValueError) as error:
            raise ConnectionFailed(f"cannot reach {_shown(proxy) or netloc}: {reason(error)}") from error
        assert connection.sock is not None
        connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def _connection(self, scheme: str, netloc: str, proxy: str) -> http.client.HTTPConnection:
        host, port = _address(scheme, netloc)
        if not proxy:
            if scheme == "http":
                return _Plain(host, port, timeout=self._timeout)
            return http.client.HTTPSConnection(host, port, timeout=self._timeout, context=self._tls())
        parts = urlsplit(proxy)
        if scheme == "http":
            return _Plain(parts.hostname or "", parts.port or 80, timeout=self._timeout)
        tunnel = http.client.HTTPSConnection(
            parts.hostname or "", parts.port or 80, timeout=self._timeout, context=self._tls()
        )
        tunnel.set_tunnel(host, port, _proxy_authorization(proxy))
        return tunnel

    def _target(self, place: tuple[str, str], url: str) -> tuple[str, dict[str, str]]:
        """What the request line names, and what a proxy wants besides."""
        parts = urlsplit(url)
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        proxy = proxy_of(*place) if place[0] == "http" else ""
        return (f"http://{place[1]}{path}", _proxy_authorization(proxy)) if proxy else (path, {})

    def _tls(self) -> ssl.SSLContext:
        if self._context is None:
            self._context = ssl.create_default_context()
        return self._context


def _distrust(error: ssl.SSLCertVerificationError) -> str:
    """What is wrong with a certificate, and where it is nobody's that is trusted, what to do."""
    said = error.verify_message.rstrip(".")
    if error.verify_code in _NOBODY_TRUSTED:
        return f"{said}; if that is as it should be, name its authority's file in --ca-file or SSL_CERT_FILE"
    return said


def _address(scheme: str, netloc: str) -> tuple[str, int]:
    parts = urlsplit(f"//{netloc}")
    return parts.hostname or "", parts.port or (443 if scheme == "https" else 80)


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


def reason(error: BaseException) -> str:
    """Why a connection failed, in a few words; of errors that wrap others, the first one's."""
    cause = error.__cause__ or error.__context__
    if cause is not None and not isinstance(error, _FAILURES):
        return reason(cause)
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate does not hold: {_distrust(error)}"
    if isinstance(error, ssl.SSLError):
        if error.reason in _NOT_TLS:
            return "it speaks HTTP without TLS there; --plain-http (plain_http=True) does, too"
        return f"no TLS connection ({error.reason or 'unknown error'})"
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
