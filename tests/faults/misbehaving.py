"""A proxy before an S3 server that answers with errors, resets, stalls and cuts, as often as it is told to."""

import random
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPConnection, HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

ERROR = (
    b'<?xml version="1.0" encoding="UTF-8"?><Error><Code>%s</Code><Message>not now</Message>'
    b"<RequestId>1</RequestId></Error>"
)
PIECE = 64 * 1024


class Misbehaviour:
    """How often what goes wrong: shares of all requests. `seed` makes it the same each time."""

    def __init__(self, seed: int, *, stall_seconds: float = 17.0, **shares: float) -> None:
        self._random = random.Random(seed)
        self._lock = threading.Lock()
        self._shares = shares
        self.stall_seconds = stall_seconds
        self.done: Counter[str] = Counter()
        self.requests = 0

    def from_now(self, **shares: float) -> None:
        """Go wrong in other ways."""
        with self._lock:
            self._shares = shares

    def next(self) -> str:
        """What happens to the next request: one of the shares' names, or nothing."""
        with self._lock:
            self.requests += 1
            number = self._random.random()
            for name, share in self._shares.items():
                if number < share:
                    self.done[name] += 1
                    return name
                number -= share
            return ""


@contextmanager
def misbehaving(endpoint: str, misbehaviour: Misbehaviour) -> Iterator[str]:
    """The URL of a proxy before that server, until the block ends."""
    target = urlsplit(endpoint)
    assert target.hostname is not None
    server = _Server(("127.0.0.1", 0), _Handler)
    server.target, server.misbehaviour = (target.hostname, target.port or 80), misbehaviour
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    target: tuple[str, int]
    misbehaviour: Misbehaviour

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that went away are part of it."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""

    def _handle(self) -> None:
        what = self.server.misbehaviour.next()
        if what == "reset":
            self._reset()
            return
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if what == "stall":
            time.sleep(self.server.misbehaviour.stall_seconds)
            self._reset()
        elif what in ("429", "500", "503"):
            self._refuse(int(what))
        else:
            self._pass_on(body, what)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _handle  # noqa: N815 - http.server's names

    def _refuse(self, status: int) -> None:
        body = ERROR % (b"SlowDown" if status == 503 else b"InternalError")
        self.send_response_only(status)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _pass_on(self, body: bytes, what: str) -> None:
        connection = HTTPConnection(*self.server.target, timeout=120)
        try:
            headers = {name: value for name, value in self.headers.items() if name.lower() != "expect"}
            connection.request(self.command, self.path, body=body or None, headers=headers)
            answer = connection.getresponse()
            if what == "lost":  # done, and nobody hears of it
                answer.read()
                self._reset()
                return
            self._give_back(answer, what)
        except HTTPException:
            self._reset()
        finally:
            connection.close()

    def _give_back(self, answer: Any, what: str) -> None:
        length = int(answer.headers.get("Content-Length") or 0)
        self.send_response_only(answer.status)
        for name, value in answer.headers.items():
            if name.lower() not in ("connection", "transfer-encoding"):
                self.send_header(name, value)
        if "Content-Length" not in answer.headers:
            self.close_connection = True
            self.send_header("Connection", "close")
        self.end_headers()
        end = length // 2 if what == "cut" and self.command == "GET" else None
        sent = 0
        while self.command != "HEAD" and (piece := answer.read(PIECE if end is None else min(PIECE, end - sent))):
            self.wfile.write(piece)
            sent += len(piece)
            if what == "slow":
                time.sleep(0.01)
        if end is not None:
            self._reset()

    def _reset(self) -> None:
        self.close_connection = True
        with suppress(OSError):
            self.wfile.flush()
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
            self.connection.close()
