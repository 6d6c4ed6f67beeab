"""An HTTP proxy of a test's own: forwards plain requests, tunnels the others, and remembers what it was asked for."""

import http.client
import select
import socket
import threading
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

HOPS = frozenset({"proxy-authorization", "proxy-connection", "connection", "keep-alive", "transfer-encoding"})


class Proxy(ThreadingHTTPServer):
    """Wants this name and password where they are given; whatever name it is asked for, it goes to loopback."""

    daemon_threads = True

    def __init__(self, login: str = "") -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.wanted = f"Basic {b64encode(login.encode()).decode()}" if login else ""
        self.asked: list[str] = []

    @property
    def host(self) -> str:
        """Where it listens."""
        return f"127.0.0.1:{self.server_port}"


@contextmanager
def proxying(login: str = "") -> Iterator[Proxy]:
    """Such a proxy, until the block ends."""
    proxy = Proxy(login)
    thread = threading.Thread(target=proxy.serve_forever)
    thread.start()
    try:
        yield proxy
    finally:
        proxy.shutdown()
        thread.join()
        proxy.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Proxy

    def do_CONNECT(self) -> None:
        self.server.asked.append(f"CONNECT {self.path}")
        if self._let_in():
            self.send_response(200)
            self.end_headers()
            with socket.create_connection(("127.0.0.1", int(self.path.rpartition(":")[2])), timeout=60) as far:
                _tunnel(self.connection, far)
        self.close_connection = True

    def _forward(self) -> None:
        self.server.asked.append(f"{self.command} {self.path}")
        if not self._let_in():
            return
        parts = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name: value for name, value in self.headers.items() if name.lower() not in HOPS}
        far = http.client.HTTPConnection("127.0.0.1", parts.port or 80, timeout=60)
        try:
            far.request(self.command, self.path.partition(parts.netloc)[2], body, headers)
            answer = far.getresponse()
            content = answer.read()
        finally:
            far.close()
        self.send_response_only(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in HOPS:
                self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _forward  # noqa: N815 - as http.server calls them

    def _let_in(self) -> bool:
        if not self.server.wanted or self.headers.get("Proxy-Authorization") == self.server.wanted:
            return True
        self.send_response(407)
        self.send_header("Proxy-Authenticate", "Basic")
        self.send_header("Content-Length", "0")
        self.end_headers()
        return False

    def log_message(self, *_: object) -> None:
        pass


def _tunnel(near: socket.socket, far: socket.socket) -> None:
    other = {near: far, far: near}
    with suppress(OSError):
        while True:
            for ready in select.select([near, far], [], [], 60)[0]:
                piece = ready.recv(1 << 16)
                if not piece:
                    return
                other[ready].sendall(piece)
