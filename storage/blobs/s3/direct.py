"""A blob's bytes as they arrive on a plain socket, for who hands the socket to the kernel instead of reading it.

Only for endpoints without TLS, and only for what goes well: whatever does not is left to `ObjectReader`, which tries
again, and knows what an answer means.
"""

import http.client
import logging
import select
import threading
from collections import OrderedDict
from collections.abc import Callable
from time import monotonic
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from storage.blobs.direct import Wanted
from storage.blobs.s3.bucket import ANSWER_SECONDS, CONNECT_SECONDS

logger = logging.getLogger("estiva.blobs")

AT_ONCE = 64
KEPT_FOR = 20.0
"""Seconds that a connection may wait for another request; servers hang up sooner or later."""
READ_AHEAD = 64 * 1024
URL_LIFE = 1200
URLS_KEPT = 4096

_BROKEN = (http.client.HTTPException, OSError)


class SocketBody:
    """A `storage.blobs.direct.DirectBody`."""

    def __init__(
        self,
        connection: http.client.HTTPConnection,
        begun: bytes,
        left: int,
        let_go: Callable[["SocketBody", bool], None],
    ) -> None:
        self.connection = connection
        self.begun = begun
        self.left = left
        self._let_go: Callable[[SocketBody, bool], None] | None = let_go
        connection.sock.setblocking(False)

    def fileno(self) -> int:
        """The socket's descriptor; it does not block."""
        return int(self.connection.sock.fileno())

    def close(self, *, was_taken: bool = False) -> None:
        """Let go of the connection; it is used again if all of the body was taken from it. Idempotent."""
        let_go, self._let_go = self._let_go, None
        if let_go is not None:
            let_go(self, was_taken)


class DirectReading:
    """Connections to one endpoint, at most AT_ONCE of them in use. Used from many threads."""

    def __init__(self, sign: Callable[[str, int], str]) -> None:
        self._sign = sign
        self._lock = threading.Lock()
        self._in_use = 0
        self._idle: list[tuple[http.client.HTTPConnection, float]] = []
        self._urls: OrderedDict[str, tuple[str, float]] = OrderedDict()

    def open(self, name: str, wanted: Wanted) -> SocketBody | None:
        """Ask for a part of an object; None where the answer was another one, or none. Blocks."""
        with self._lock:
            if self._in_use >= AT_ONCE:
                return None
            self._in_use += 1
        body = None
        try:
            body = self._ask(name, wanted)
        except _BROKEN as error:
            logger.info("a connection for reading failed: %s", type(error).__name__)
        finally:
            if body is None:
                with self._lock:
                    self._in_use -= 1
        return body

    def hang_up(self) -> None:
        """Close the connections that wait for another request."""
        with self._lock:
            idle, self._idle = self._idle, []
        for connection, _ in idle:
            connection.close()

    def _ask(self, name: str, wanted: Wanted) -> SocketBody | None:
        url = urlsplit(self._url(name))
        target = f"{url.path}?{url.query}"
        while (connection := self._kept()) is not None:
            try:
                return self._request(connection, name, target, wanted)
            except (http.client.RemoteDisconnected, ConnectionError):
                connection.close()  # hung up in that moment: that says nothing of the next
        fresh = http.client.HTTPConnection(url.netloc, timeout=CONNECT_SECONDS)
        return self._request(fresh, name, target, wanted)

    def _request(
        self, connection: http.client.HTTPConnection, name: str, target: str, wanted: Wanted
    ) -> SocketBody | None:
        try:
            if connection.sock is None:
                connection.connect()
            connection.sock.settimeout(ANSWER_SECONDS)
            headers = {} if wanted.is_all else {"Range": f"bytes={wanted.offset}-{wanted.last}"}
            connection.request("GET", target, headers=headers)
            answer = connection.getresponse()
            if not _is(answer, wanted):
                self._forget(name)  # what signed it may be no longer good
                connection.close()
                return None
            begun = answer.read1(READ_AHEAD)  # with that, nothing is left in a buffer
            keeps = not answer.will_close
            answer.close()
        except BaseException:
            connection.close()
            raise
        if not begun or not keeps:
            connection.close()
            return None
        return SocketBody(connection, begun, wanted.length - len(begun), self._let_go)

    def _let_go(self, body: SocketBody, was_taken: bool) -> None:
        keep = was_taken or not body.left
        with self._lock:
            self._in_use -= 1
            if keep:
                self._idle.append((body.connection, monotonic() + KEPT_FOR))
        if not keep:
            body.connection.close()

    def _kept(self) -> http.client.HTTPConnection | None:
        """A connection that waits and that nobody has hung up, the one used last."""
        while True:
            with self._lock:
                if not self._idle:
                    return None
                connection, until = self._idle.pop()
            if monotonic() < until and not _has_something(connection):
                return connection
            connection.close()

    def _url(self, name: str) -> str:
        """An address that is good for half of URL_LIFE at least. Signing takes a while."""
        with self._lock:
            url, until = self._urls.get(name, ("", 0.0))
        if monotonic() >= until:
            url = self._sign(name, URL_LIFE)
            with self._lock:
                self._urls[name] = url, monotonic() + URL_LIFE / 2
                self._urls.move_to_end(name)
                if len(self._urls) > URLS_KEPT:
                    self._urls.popitem(last=False)
        return url

    def _forget(self, name: str) -> None:
        with self._lock:
            self._urls.pop(name, None)


def can_read_directly(endpoint: str | None) -> bool:
    """Whether what comes from there comes on a plain socket: it is no https, and no proxy is between."""
    url = urlsplit(endpoint or "")
    if url.scheme != "http" or url.hostname is None:
        return False
    return "http" not in getproxies() or bool(proxy_bypass(url.hostname))


def _is(answer: http.client.HTTPResponse, wanted: Wanted) -> bool:
    """Whether that is the answer to the request, with a body that ends where it says."""
    if answer.chunked or answer.length != wanted.length or answer.getheader("Content-Encoding"):
        return False
    if wanted.is_all:
        return answer.status == 200
    return answer.status == 206 and answer.getheader("Content-Range") == (
        f"bytes {wanted.offset}-{wanted.last}/{wanted.size}"
    )


def _has_something(connection: http.client.HTTPConnection) -> bool:
    """Whether there is something to read where nothing should be: mostly the end."""
    poll = select.poll()
    poll.register(connection.sock, select.POLLIN)
    return bool(poll.poll(0))
