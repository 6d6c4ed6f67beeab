"""Reading from S3 on a plain socket: what is taken for an answer, and what becomes of connections."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

import pytest

from storage.blobs.direct import DirectBody, Wanted
from storage.blobs.s3 import direct
from storage.blobs.s3.direct import DirectReading, can_read_directly
from storage.blobs.s3.store import S3BlobStore
from tests.fixtures.s3 import S3Server

CONTENT = bytes(range(256)) * 4000
ALL = Wanted(0, len(CONTENT), len(CONTENT))
SOME = Wanted(1000, 500_000, len(CONTENT))


class Handler(BaseHTTPRequestHandler):
    """Answers as `change` says, with a part where one is asked for."""

    protocol_version = "HTTP/1.1"
    change: ClassVar[dict[str, Any]] = {}
    connections: ClassVar[set[Any]] = set()
    asked: ClassVar[list[str]] = []

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        """Send the content."""
        self.connections.add(self.client_address)
        self.asked.append(self.path)
        asked = self.headers.get("Range")
        first, last = (int(end) for end in asked[6:].split("-")) if asked else (0, len(CONTENT) - 1)
        self.send_response(self.change.get("status", 206 if asked else 200))
        headers = {"Content-Length": str(last + 1 - first)}
        if asked:
            headers["Content-Range"] = f"bytes {first}-{last}/{len(CONTENT)}"
        for name, value in {**headers, **self.change.get("headers", {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(CONTENT[first : last + 1])
        if self.change.get("hangs_up"):
            self.close_connection = True


class Running:
    """The server, and reading from it."""

    def __init__(self, port: int) -> None:
        self.signed: list[str] = []
        self._port = port
        self.reading = DirectReading(self._sign)

    def _sign(self, name: str, seconds: int) -> str:
        self.signed.append(name)
        return f"http://127.0.0.1:{self._port}/bucket/{name}?signature={len(self.signed)}"

    def open(self, wanted: Wanted = ALL) -> DirectBody:
        """A body that is there."""
        body = self.reading.open("name", wanted)
        assert body is not None
        return body


@pytest.fixture
def server() -> Iterator[Running]:
    Handler.change, Handler.connections, Handler.asked = {}, set(), []
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as served:
        served.daemon_threads = True
        thread = threading.Thread(target=served.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        running = Running(served.server_address[1])
        yield running
        running.reading.hang_up()
        served.shutdown()
        thread.join()


def taken(body: DirectBody) -> bytes:
    """All of a body, which is then let go of."""
    with socket.socket(fileno=socket.dup(body.fileno())) as arriving:
        arriving.settimeout(60)
        rest = b""
        while len(rest) < body.left and (piece := arriving.recv(body.left - len(rest))):
            rest += piece
        arriving.setblocking(False)
    body.close(was_taken=len(rest) == body.left)
    return body.begun + rest


@pytest.mark.parametrize("wanted", [ALL, SOME, Wanted(0, 1, len(CONTENT)), Wanted(len(CONTENT) - 1, 1, len(CONTENT))])
def test_what_is_wanted_comes_and_the_connection_is_used_again(server: Running, wanted: Wanted) -> None:
    for _ in range(3):
        assert taken(server.open(wanted)) == CONTENT[wanted.offset : wanted.last + 1]
    assert len(Handler.connections) == 1
    assert server.signed == ["name"]


@pytest.mark.parametrize(
    "change",
    [
        {"status": 403},
        {"status": 404},
        {"status": 206},
        {"status": 503},
        {"headers": {"Content-Length": str(len(CONTENT) - 1)}},
        {"headers": {"Content-Length": str(len(CONTENT) + 1)}},
        {"headers": {"Content-Encoding": "gzip"}},
        {"headers": {"Transfer-Encoding": "chunked"}},
    ],
)
def test_any_other_answer_is_none_and_the_next_request_is_signed_anew(server: Running, change: dict[str, Any]) -> None:
    Handler.change = change
    assert server.reading.open("name", ALL) is None
    Handler.change = {}
    assert taken(server.open()) == CONTENT
    assert server.signed == ["name", "name"]


@pytest.mark.parametrize("content_range", ["bytes 1000-500999/*", "bytes 0-499999/1024000", ""])
def test_another_part_than_was_asked_for_is_none(server: Running, content_range: str) -> None:
    Handler.change = {"headers": {"Content-Range": content_range}}
    assert server.reading.open("name", SOME) is None


def test_a_connection_that_was_not_read_to_the_end_is_not_used_again(server: Running) -> None:
    server.open().close()
    assert taken(server.open()) == CONTENT
    assert len(Handler.connections) == 2


def test_a_connection_that_was_hung_up_meanwhile_is_replaced(server: Running) -> None:
    Handler.change = {"hangs_up": True}
    for _ in range(3):
        assert taken(server.open()) == CONTENT
    assert len(Handler.connections) == 3


def test_no_more_are_open_at_once_than_may_be(server: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(direct, "AT_ONCE", 2)
    one, other = server.open(), server.open()
    assert server.reading.open("name", ALL) is None
    one.close()
    one.close()
    with closing(server.open()):
        assert server.reading.open("name", ALL) is None
    other.close()


def test_where_nobody_answers_there_is_none_and_nothing_stays_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(direct, "AT_ONCE", 1)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    reading = DirectReading(lambda name, seconds: f"http://127.0.0.1:{port}/{name}?signature")
    for _ in range(3):
        assert reading.open("name", ALL) is None


@contextmanager
def no_proxies() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name in ("http_proxy", "HTTP_PROXY", "no_proxy", "NO_PROXY", "all_proxy", "ALL_PROXY"):
            patch.delenv(name, raising=False)
        yield


@pytest.mark.parametrize(
    ("endpoint", "proxy", "can"),
    [
        (None, None, False),
        ("https://s3.example.com", None, False),
        ("http://s3.example.com:9000", None, True),
        ("http://s3.example.com:9000", "http://proxy.example.com", False),
    ],
)
def test_it_is_only_for_endpoints_without_tls_and_proxy(endpoint: str | None, proxy: str | None, can: bool) -> None:
    with no_proxies(), pytest.MonkeyPatch.context() as patch:
        if proxy is not None:
            patch.setenv("http_proxy", proxy)
        assert can_read_directly(endpoint) is can


def test_a_store_on_aws_has_none(s3_double: S3Server) -> None:
    store: S3BlobStore = s3_double.store("to")
    connect: Callable[..., DirectBody | None] = store.connect_blob
    assert connect("sha256/00/" + "0" * 64 + "." + "0" * 32, ALL) is None
