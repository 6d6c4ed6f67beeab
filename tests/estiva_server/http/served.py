"""A real uvicorn server on loopback, in a thread with its own loop, and a client that says exactly what it is told."""

import asyncio
import contextlib
import os
import socket
import ssl
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import uvicorn

from estiva_server.http import AnswerCache, AtOnce, ConnectionSettings, SimpleRequest, connection_class

App = Callable[[Any, Any, Any], Awaitable[None]]


@dataclass
class Notes:
    """An observer that writes everything down."""

    answered_requests: list[tuple[SimpleRequest, int, int, float]] = field(default_factory=list)
    labels: list[str | None] = field(default_factory=list)
    refusals: list[int] = field(default_factory=list)

    def answered(self, request: SimpleRequest, label: str | None, status: int, sent: int, seconds: float) -> None:
        self.labels.append(label)
        self.answered_requests.append((request, status, sent, seconds))

    def refused(self, status: int, client: tuple[str, int] | None) -> None:
        self.refusals.append(status)


@dataclass
class Certificate:
    """Paths of a certificate and its key."""

    certificate: Path
    key: Path


class QuickServer(uvicorn.Server):
    """Notices at once that it should stop: uvicorn looks ten times a second, which hundreds of tests would feel."""

    async def main_loop(self) -> None:
        await self.on_tick(0)
        while not self.should_exit:
            await asyncio.sleep(0.005)


class Served:
    """An application being served."""

    def __init__(
        self,
        app: App,
        settings: ConnectionSettings,
        loop: str,
        certificate: Certificate | None,
        at_once: AtOnce | None = None,
    ) -> None:
        self.version: int | None = 1
        self.notes = Notes()
        self.answers = AnswerCache(lambda: self.version)
        self._certificate = certificate
        self._executor = ThreadPoolExecutor(4)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.server = QuickServer(
            uvicorn.Config(
                app,
                http=connection_class(settings, self.answers, self.notes, self._executor, _error_body, at_once),
                loop=loop,
                lifespan="off",
                ws="none",
                log_config=None,
                ssl_certfile=certificate.certificate if certificate else None,
                ssl_keyfile=certificate.key if certificate else None,
                timeout_graceful_shutdown=5,
                proxy_headers=False,
            )
        )
        self._thread = threading.Thread(target=self.server.run, args=([self._listener],))

    def __enter__(self) -> Self:
        self._thread.start()
        until(lambda: self.server.started)
        return self

    def __exit__(self, *_: object) -> None:
        self.server.should_exit = True
        self._thread.join(20)
        assert not self._thread.is_alive()
        self._executor.shutdown()
        self._listener.close()

    def client(self, **options: Any) -> "Client":
        """A new connection to the server."""
        return Client(self.port, tls=self._certificate is not None, **options)

    def settled(self) -> None:
        """Wait until the server has no connection left."""
        until(lambda: not self.server.server_state.connections)


def _error_body(status: int, reason: str) -> tuple[str, bytes]:
    return "application/json", b'{"status":%d,"reason":"%s"}' % (status, reason.encode())


@dataclass
class Response:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes


class Client:
    """A socket with a few words of HTTP."""

    def __init__(self, port: int, *, tls: bool = False, receive_buffer: int | None = None) -> None:
        self.socket = socket.socket()
        if receive_buffer is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(15)
        self.socket.connect(("127.0.0.1", port))
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            self.socket = context.wrap_socket(self.socket)
        self._buffer = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def send_slowly(self, data: bytes, piece: int, pause: float) -> None:
        """Send `data` in pieces with pauses between them."""
        for start in range(0, len(data), piece):
            self.send(data[start : start + piece])
            time.sleep(pause)

    def request(self, method: str, target: str, body: bytes = b"", **headers: str) -> None:
        """Send a request; underscores in header names stand for hyphens."""
        lines = [f"{method} {target} HTTP/1.1", "Host: test"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        if body:
            lines.append(f"Content-Length: {len(body)}")
        self.send("\r\n".join([*lines, "", ""]).encode() + body)

    def get(self, target: str, **headers: str) -> Response:
        self.request("GET", target, b"", **headers)
        return self.response()

    def head(self, target: str, **headers: str) -> Response:
        self.request("HEAD", target, b"", **headers)
        return self.response(bodiless=True)

    def put(self, target: str, body: bytes, **headers: str) -> Response:
        self.request("PUT", target, body, **headers)
        return self.response()

    def response(self, *, bodiless: bool = False) -> Response:
        """Read one response, whose end must be where it says."""
        while b"\r\n\r\n" not in self._buffer:
            self._receive()
        head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        status_line, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        status = int(status_line.split()[1])
        if bodiless or status < 200 or status in (204, 304):
            return Response(status, headers, b"")
        if headers.get("transfer-encoding") == "chunked":
            return Response(status, headers, self._chunked())
        return Response(status, headers, self._exactly(int(headers["content-length"])))

    def at_end(self) -> bool:
        """Whether the server has closed, with nothing more to read."""
        return not self._buffer and self.socket.recv(1) == b""

    def broken(self) -> bool:
        """Whether the connection ends, in whatever way; what is read on the way is dropped."""
        with contextlib.suppress(ConnectionError):
            while self.socket.recv(1 << 20):
                pass
        return True

    def _chunked(self) -> bytes:
        body = b""
        while True:
            while b"\r\n" not in self._buffer:
                self._receive()
            size, _, self._buffer = self._buffer.partition(b"\r\n")
            body += self._exactly(int(size, 16))
            assert self._exactly(2) == b"\r\n"
            if int(size, 16) == 0:
                return body

    def _exactly(self, count: int) -> bytes:
        pieces = [self._buffer[:count]]
        count -= len(pieces[0])
        self._buffer = self._buffer[len(pieces[0]) :]
        while count:
            piece = self.socket.recv(min(count, 1 << 20))
            if not piece:
                raise ConnectionError("the response ended early")
            pieces.append(piece)
            count -= len(piece)
        return b"".join(pieces)

    def _receive(self) -> None:
        piece = self.socket.recv(1 << 16)
        if not piece:
            raise ConnectionError("the connection ended before a response")
        self._buffer += piece


def until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    """Wait for something that happens in another thread."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)


def open_descriptors() -> set[str]:
    """What the process has open, as the kernel names it (the listing's own descriptor left out)."""
    found = set()
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            found.add(f"{name}:{os.readlink(f'/proc/self/fd/{name}')}")
    return {entry for entry in found if "/proc/" not in entry}


@contextlib.contextmanager
def no_descriptor_left_over() -> Iterator[None]:
    """The block ends with as many sockets and files open as it began with."""
    before = len(open_descriptors())
    yield
    until(lambda: len(open_descriptors()) <= before)


async def reply(send: Any, status: int, body: bytes = b"", headers: tuple[tuple[bytes, bytes], ...] = ()) -> None:
    """Send a whole response."""
    length = (b"content-length", b"%d" % len(body))
    await send({"type": "http.response.start", "status": status, "headers": [length, *headers]})
    await send({"type": "http.response.body", "body": body})


def chunked(*chunks: bytes) -> bytes:
    """A body in chunked transfer coding."""
    return b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in (*chunks, b""))


def start_upload(client: Client, length: int) -> None:
    """The head of a PUT with a body of this length."""
    client.send(b"PUT / HTTP/1.1\r\nHost: test\r\nContent-Length: %d\r\n\r\n" % length)
