import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import repeat
from pathlib import Path

import pytest

from benchmarks import load
from benchmarks.contents import CHUNK, Contents
from benchmarks.operations import get, put, with_digest
from benchmarks.scenario import Door, ScenarioFailed

HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"


@contextmanager
def serving(answer: Callable[[socket.socket], None]) -> Iterator[Door]:
    """A listener that hands one connection to ``answer``."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            client, _ = listener.accept()
            with client:
                client.settimeout(10)
                answer(client)

        thread = threading.Thread(target=serve)
        thread.start()
        yield Door(*listener.getsockname())
        thread.join(10)


def answering(*parts: bytes) -> Callable[[socket.socket], None]:
    """Send all parts in answer to each request, until the client hangs up."""

    def answer(client: socket.socket) -> None:
        while client.recv(4096):
            for part in parts:
                client.sendall(part)

    return answer


def test_operations_are_taken_until_none_is_left() -> None:
    with serving(answering(HEAD + b"hello")) as door:
        sample = load.run(door, 1, 10, [get("/", 5)] * 3)
    assert (sample.operations, sample.bytes) == (3, 15)
    assert 0 < sample.p50_ms <= sample.p99_ms


def test_no_operation_begins_after_the_time_is_over() -> None:
    with serving(answering(HEAD + b"hello")) as door:
        sample = load.run(door, 1, 0.05, repeat(get("/")))
    assert 0.05 <= sample.seconds < 10


@pytest.mark.parametrize(
    "parts",
    [
        (HEAD[:20], HEAD[20:], b"he", b"llo"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"5\r\nhello\r\n", b"0\r\n\r\n"),
    ],
)
def test_an_answer_may_come_in_pieces_and_in_chunks(parts: tuple[bytes, ...]) -> None:
    with serving(answering(*parts)) as door:
        assert load.run(door, 1, 10, [get("/")] * 2).operations == 2


@pytest.mark.parametrize(
    ("parts", "reason"),
    [
        ((b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n",), "answered 503 where 200 belongs"),
        ((b"HTTP/1.1 200 OK\r\n\r\n",), "without a Content-Length"),
        ((HEAD + b"hello!",), "5 bytes came where 6 belong"),
    ],
)
def test_a_wrong_answer_fails_the_scenario(parts: tuple[bytes, ...], reason: str) -> None:
    with serving(answering(*parts)) as door, pytest.raises(ScenarioFailed, match=reason):
        load.run(door, 1, 10, [get("/", 6)])


@pytest.mark.parametrize(("part", "reason"), [(HEAD + b"he", "3 bytes before the end"), (HEAD[:9], "hung up")])
def test_a_connection_that_ends_early_fails_the_scenario(part: bytes, reason: str) -> None:
    def answer(client: socket.socket) -> None:
        client.recv(4096)
        client.sendall(part)

    with serving(answer) as door, pytest.raises(ScenarioFailed, match=reason):
        load.run(door, 1, 10, [get("/")])


def test_heads_are_repeated_and_a_status_other_than_200_fails() -> None:
    with serving(answering(HEAD)) as door:
        assert load.run_heads(door, 1, 0.05, b"HEAD / HTTP/1.1\r\n\r\n").operations > 1
    with serving(answering(HEAD.replace(b"200", b"404"))) as door, pytest.raises(ScenarioFailed, match="404"):
        load.run_heads(door, 1, 0.05, b"HEAD / HTTP/1.1\r\n\r\n")


def test_a_put_sends_the_whole_blob_to_the_location_it_was_given(tmp_path: Path) -> None:
    received = bytearray()

    def answer(client: socket.socket) -> None:
        client.recv(4096)
        client.sendall(b"HTTP/1.1 202 A\r\nLocation: http://x:1/up?state=1\r\nContent-Length: 0\r\n\r\n")
        while not received.endswith(body.tail):
            received.extend(client.recv(1 << 20))
        client.sendall(b"HTTP/1.1 201 C\r\nContent-Length: 0\r\n\r\n")

    with Contents(tmp_path, largest=1 << 20) as contents:
        body = contents.new(8 * CHUNK)
        with serving(answer) as door:
            assert load.run(door, 1, 10, [put("a/b", body, contents.plain)]).bytes == body.size
    head, _, content = bytes(received).partition(b"\r\n\r\n")
    assert head.startswith(f"PUT /up?state=1&digest={body.digest} HTTP/1.1".encode())
    assert len(content) == body.size


@pytest.mark.parametrize(
    ("location", "path"),
    [("/v2/a/up", "/v2/a/up?digest=d"), ("http://h:1/v2/a/up?s=1", "/v2/a/up?s=1&digest=d")],
)
def test_the_digest_joins_what_the_location_holds(location: str, path: str) -> None:
    assert with_digest(location, "d") == path
