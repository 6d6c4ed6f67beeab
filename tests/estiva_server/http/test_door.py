"""The answer door: what it answers, what it leaves to the application, and that nothing stale comes out."""

import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from estiva_server.http import FileBody

from .conftest import Serve
from .served import Client, Served, no_descriptor_left_over, reply, until

BODY = b'{"schemaVersion":2}'
FIELDS = ((b"content-type", b"application/json"), (b"docker-content-digest", b"sha256:00"))
SIMPLE = b"GET /v2/a HTTP/1.1\r\nHost: test\r\n"


class Registry:
    """An application that remembers one body for every target, and counts how often it is asked."""

    def __init__(self, body: bytes | FileBody = BODY, **options: Any) -> None:
        self.asked = 0
        self.body = body
        self.options = options
        self.version = 1

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.asked += 1
        remember = scope["extensions"].get("estiva.answer")
        if remember is not None:
            remember(self.version, 200, FIELDS, self.body, **self.options)
        await reply(send, 200, b"from the application", FIELDS)


@pytest.fixture
def registry() -> Registry:
    return Registry()


@pytest.fixture
def served(serve: Serve, registry: Registry) -> Served:
    return serve(registry)


@pytest.fixture(scope="module")
def remembering(serve_for_module: Serve) -> Served:
    return serve_for_module(Registry())


def test_an_answer_is_given_again_without_the_application(served: Served, registry: Registry) -> None:
    with served.client() as client:
        assert client.get("/v2/a").body == b"from the application"
        again = client.get("/v2/a")
    assert (again.status, again.body, registry.asked) == (200, BODY, 1)
    assert again.headers["docker-content-digest"] == "sha256:00"
    assert again.headers["content-length"] == str(len(BODY))
    assert again.headers["date"].endswith("GMT")
    assert "connection" not in again.headers


def test_head_is_answered_from_the_same_entry_without_a_body(served: Served, registry: Registry) -> None:
    with served.client() as client:
        client.get("/v2/a")
        head = client.head("/v2/a")
        assert (head.status, head.headers["content-length"]) == (200, str(len(BODY)))
        assert client.get("/v2/a").body == BODY  # nothing of a body was left in between
    assert registry.asked == 1


def test_each_answer_has_a_request_id_of_its_own(served: Served) -> None:
    with served.client() as client:
        client.get("/v2/a")
        ids = {client.get("/v2/a").headers["x-request-id"] for _ in range(50)}
    assert len(ids) == 50


def test_a_new_version_invalidates_at_once(served: Served, registry: Registry) -> None:
    with served.client() as client:
        client.get("/v2/a")
        assert client.get("/v2/a").body == BODY
        served.version = 2
        assert client.get("/v2/a").body == b"from the application"
        registry.version = 2
        client.get("/v2/a")
        assert client.get("/v2/a").body == BODY


def test_nothing_is_answered_while_the_version_cannot_be_told(served: Served, registry: Registry) -> None:
    with served.client() as client:
        client.get("/v2/a")
        served.version = None
        client.get("/v2/a")
        client.get("/v2/a")
    assert registry.asked == 3


def test_an_expired_answer_is_not_given(serve: Serve) -> None:
    registry = Registry(expires=time.monotonic() - 1)
    with serve(registry).client() as client:
        client.get("/v2/a")
        client.get("/v2/a")
    assert registry.asked == 2


def test_an_answer_is_only_for_the_authorization_it_was_given_to(served: Served, registry: Registry) -> None:
    with served.client() as client:
        client.get("/v2/a", Authorization="Bearer one")
        client.get("/v2/a", Authorization="Bearer two")
        client.get("/v2/a")
        assert registry.asked == 3
        client.get("/v2/a", Authorization="Bearer one")
    assert registry.asked == 3


def test_the_query_belongs_to_the_target(served: Served, registry: Registry) -> None:
    with served.client() as client:
        client.get("/v2/a?n=1")
        client.get("/v2/a?n=2")
    assert registry.asked == 2


def test_targets_outside_the_prefix_are_not_remembered(served: Served, registry: Registry) -> None:
    with served.client() as client:
        client.get("/metrics")
        client.get("/metrics")
    assert registry.asked == 2


@pytest.mark.parametrize(
    "request_bytes",
    [
        SIMPLE + b"Range: bytes=0-1\r\n\r\n",
        SIMPLE + b'If-None-Match: "x"\r\n\r\n',
        SIMPLE + b"If-Modified-Since: x\r\n\r\n",
        SIMPLE + b"Expect: 100-continue\r\n\r\n",
        SIMPLE + b"Upgrade: h2c\r\nConnection: Upgrade\r\n\r\n",
        SIMPLE + b"Content-Length: 0\r\n\r\n",
        SIMPLE + b"X-Request-Id: mine\r\n\r\n",
        SIMPLE + b"Connection: close, te\r\n\r\n",
        SIMPLE + b"X-Name: caf\xc3\xa9\r\n\r\n",
        b"\r\n" + SIMPLE + b"\r\n",
        b"GET /v2/a HTTP/1.0\r\nHost: test\r\n\r\n",
        b"GET http://test/v2/a HTTP/1.1\r\nHost: test\r\n\r\n",
        b"OPTIONS /v2/a HTTP/1.1\r\nHost: test\r\n\r\n",
    ],
)
def test_what_is_not_simple_goes_to_the_application(remembering: Served, request_bytes: bytes) -> None:
    with remembering.client() as client:
        client.get("/v2/a")
        client.send(request_bytes)
        assert client.response().body == b"from the application"


@pytest.mark.parametrize(
    "request_bytes",
    [
        SIMPLE + b"Authorization: a\r\nAuthorization: b\r\n\r\n",
        SIMPLE + b"Host: other\r\n\r\n",
        b"GET /v2/a HTTP/1.1\r\n\r\n",
        SIMPLE + b"X-Folded: a\r\n b\r\n\r\n",
        SIMPLE + b"X-Bare: a\nb: c\r\n\r\n",
        SIMPLE + b"X-Nul: a\x00b\r\n\r\n",
        SIMPLE + b"X Space: a\r\n\r\n",
        SIMPLE + b"No-Colon\r\n\r\n",
        SIMPLE + b"Space-Before : a\r\n\r\n",
    ],
)
def test_what_is_malformed_is_never_answered_from_memory(remembering: Served, request_bytes: bytes) -> None:
    with remembering.client() as client:
        client.get("/v2/a")
        client.send(request_bytes)
        assert client.response().body != BODY


def test_pipelined_requests_are_answered_in_order(served: Served, registry: Registry) -> None:
    with served.client() as client:
        client.get("/v2/a")
        client.send((SIMPLE + b"\r\n") * 3)
        assert [client.response().body for _ in range(3)] == [b"from the application"] * 3
        assert client.get("/v2/a").body == BODY


def test_a_request_in_pieces_is_served(served: Served) -> None:
    with served.client() as client:
        client.get("/v2/a")
        for byte in SIMPLE + b"\r\n":
            client.send(bytes([byte]))
        assert client.response().status == 200
        assert client.get("/v2/a").body == BODY


def test_connection_close_is_honoured(served: Served) -> None:
    with served.client() as client:
        client.get("/v2/a")
        answer = client.get("/v2/a", Connection="close")
        assert (answer.body, answer.headers["connection"]) == (BODY, "close")
        assert client.at_end()


def test_the_observer_sees_each_answer(served: Served) -> None:
    with served.client() as client:
        client.get("/v2/a")
        answer = client.get("/v2/a", User_Agent="docker/28")
        client.head("/v2/a")
        address = client.socket.getsockname()
    until(lambda: len(served.notes.answered_requests) == 2)
    (got, status, sent, seconds), (head, _, head_sent, _) = served.notes.answered_requests
    assert (got.method, got.target, status, sent) == (b"GET", b"/v2/a", 200, len(BODY))
    assert (got.client, got.fields.get(b"user-agent")) == (address, b"docker/28")
    assert got.id.decode() == answer.headers["x-request-id"]
    assert 0 < seconds < 1
    assert (head.method, head_sent) == (b"HEAD", 0)


@pytest.mark.parametrize("size", [0, 1, 64 * 1024, 256 * 1024, 256 * 1024 + 1, 20 * 1024 * 1024])
def test_a_file_is_sent_whole_and_the_connection_goes_on(serve: Serve, file: Callable[[int], Path], size: int) -> None:
    path = file(size)
    registry = Registry(FileBody(str(path), size))
    served = serve(registry)
    with served.client() as client:
        client.get("/v2/blob")
        with no_descriptor_left_over():
            for _ in range(3):
                answer = client.get("/v2/blob")
                assert answer.headers["content-length"] == str(size)
                assert answer.body == path.read_bytes()
            assert client.head("/v2/blob").headers["content-length"] == str(size)
            assert client.get("/v2/blob").body == path.read_bytes()
    assert registry.asked == 1
    until(lambda: len(served.notes.answered_requests) == 5)
    assert [sent for _, _, sent, _ in served.notes.answered_requests] == [size, size, size, 0, size]


@pytest.mark.parametrize("size", [1000, 300_000])
@pytest.mark.parametrize("change", ["removed", "shorter", "longer"])
def test_a_file_that_is_not_what_it_was_goes_to_the_application(
    serve: Serve, file: Callable[[int], Path], size: int, change: str
) -> None:
    path = file(size)
    registry = Registry(FileBody(str(path), size))
    served = serve(registry)
    with served.client() as client:
        client.get("/v2/blob")
        if change == "removed":
            path.unlink()
        else:
            path.write_bytes(bytes(size - 1 if change == "shorter" else size + 1))
        before = len(served.answers)
        assert client.get("/v2/blob").body == b"from the application"
    assert (before, registry.asked) == (1, 2)


def test_a_request_pipelined_behind_a_large_file_is_answered_after_it(
    serve: Serve, file: Callable[[int], Path]
) -> None:
    path = file(8 << 20)
    registry = Registry(FileBody(str(path), 8 << 20))
    with serve(registry).client() as client:
        client.get("/v2/blob")
        client.request("GET", "/v2/blob")
        time.sleep(0.2)
        client.request("GET", "/v2/blob")
        assert client.response().body == path.read_bytes()
        assert client.response().status == 200


def test_closing_after_a_large_file_loses_nothing(serve: Serve, file: Callable[[int], Path]) -> None:
    path = file(8 << 20)
    with serve(Registry(FileBody(str(path), 8 << 20))).client() as client:
        client.get("/v2/blob")
        answer = client.get("/v2/blob", Connection="close")
        assert answer.body == path.read_bytes()
        assert client.at_end()


def test_a_client_that_leaves_in_the_middle_of_a_file_leaves_nothing_behind(
    serve: Serve, file: Callable[[int], Path]
) -> None:
    path = file(32 << 20)
    served = serve(Registry(FileBody(str(path), 32 << 20)))
    with served.client() as client:
        client.get("/v2/blob")
    served.settled()
    with no_descriptor_left_over():
        for _ in range(10):
            with served.client(receive_buffer=8192) as client:
                client.request("GET", "/v2/blob")
                client.socket.recv(1000)
        served.settled()
    until(lambda: len(served.notes.answered_requests) == 10)
    assert all(sent < 32 << 20 for _, _, sent, _ in served.notes.answered_requests)


def test_a_client_that_stops_reading_a_file_is_dropped(serve: Serve, file: Callable[[int], Path]) -> None:
    path = file(32 << 20)
    served = serve(Registry(FileBody(str(path), 32 << 20)), stall_timeout=0.3)
    with served.client() as client:
        client.get("/v2/blob")
    with no_descriptor_left_over(), served.client(receive_buffer=8192) as client:
        client.request("GET", "/v2/blob")
        client.socket.recv(1, socket.MSG_PEEK)  # it has begun: only then is settled what is to be dropped
        served.settled()
        with pytest.raises(ConnectionResetError):
            client.response()


def test_a_client_that_stops_reading_answers_is_dropped(serve: Serve) -> None:
    served = serve(Registry(bytes(200_000)), stall_timeout=0.3)
    with served.client(receive_buffer=8192) as client:
        client.socket.setblocking(False)
        flood(client, SIMPLE + b"\r\n")
        served.settled()


def flood(client: Client, request: bytes) -> None:
    """Send requests and read nothing, until nothing more goes."""
    end = time.monotonic() + 0.3
    while time.monotonic() < end:
        try:
            client.socket.send(request)
        except BlockingIOError:
            time.sleep(0.01)
        except ConnectionError:
            return
        time.sleep(0.001)
