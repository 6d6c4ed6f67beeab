"""The ASGI extension estiva.pass: a body from another socket."""

import contextlib
import os
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from registry.api.passing import EXTENSION

from .conftest import Serve
from .served import Certificate, no_descriptor_left_over, until

SIZE = 5 << 20
CONTENT = random.Random(5).randbytes(SIZE)
PATIENCE = 90.0
Feed = Callable[[socket.socket], None]


@contextlib.contextmanager
def source_fed_by(feed: Feed) -> Iterator[socket.socket]:
    """A socket that does not block; `feed` has the other end, in a thread, and its return closes that."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        source = socket.create_connection(listener.getsockname())
        other, _ = listener.accept()

    def run() -> None:
        with other, contextlib.suppress(ConnectionError):
            feed(other)

    thread = threading.Thread(target=run)
    thread.start()
    source.setblocking(False)
    try:
        yield source
    finally:
        source.close()
        thread.join()


def whole(other: socket.socket) -> None:
    other.sendall(CONTENT)


def half(other: socket.socket) -> None:
    other.sendall(CONTENT[: SIZE // 2])


def half_and_reset(other: socket.socket) -> None:
    half(other)
    other.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")


def half_and_nothing_more(other: socket.socket) -> None:
    half(other)
    other.recv(1)  # returns when the source is closed


class Passing:
    """An application that passes on what a feeder brings, and reads on from memory where that is not all."""

    def __init__(self, feed: Feed, content: bytes = CONTENT) -> None:
        self._feed = feed
        self._content = content
        self.told: list[tuple[int, str | None]] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        assert scope["extensions"][EXTENSION] == {}
        headers = [(b"content-length", b"%d" % len(self._content))]
        with source_fed_by(self._feed) as source:
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            message: dict[str, Any] = {"type": EXTENSION, "source": source.fileno(), "count": len(self._content)}
            await send(message)
        self.told.append((message["count"], message["failure"]))
        if message["failure"] is not None:
            await send({"type": "http.response.body", "body": self._content[message["count"] :]})


def test_what_arrives_is_sent_and_the_connection_goes_on(serve: Serve) -> None:
    app = Passing(whole)
    with serve(app).client() as client:
        assert client.get("/").body == CONTENT
        with no_descriptor_left_over():
            for _ in range(3):
                assert client.get("/").body == CONTENT
    until(lambda: app.told == [(SIZE, None)] * 4, PATIENCE)


@pytest.mark.parametrize(
    ("feed", "patience", "reason"),
    [
        (half, PATIENCE, "ended"),
        (half_and_reset, PATIENCE, "broke off"),
        (half_and_nothing_more, 0.5, "nothing for too long"),
    ],
)
def test_a_source_that_does_not_bring_all_is_told_and_the_rest_can_follow(
    serve: Serve, feed: Feed, patience: float, reason: str
) -> None:
    app = Passing(feed)
    with serve(app, source_patience=patience).client() as client:
        assert client.get("/").body == CONTENT
        with no_descriptor_left_over():
            assert client.get("/").body == CONTENT
    for count, failure in app.told:
        assert count <= SIZE // 2
        assert failure is not None
        assert reason in failure


def test_who_waits_for_the_source_is_not_taken_for_a_client_that_stalls(serve: Serve) -> None:
    little = CONTENT[:2000]  # so that a client that is late is not one that takes nothing

    def in_two_parts(other: socket.socket) -> None:
        other.sendall(little[:1000])
        time.sleep(1.0)  # ten times as long as a client may take nothing
        other.sendall(little[1000:])

    app = Passing(in_two_parts, little)
    with serve(app, source_patience=PATIENCE, stall_timeout=0.1).client() as client:
        assert client.get("/").body == little
    until(lambda: app.told == [(2000, None)], PATIENCE)


def test_a_reader_that_takes_nothing_loses_its_connection_and_nothing_is_left_over(serve: Serve) -> None:
    app = Passing(whole)
    served = serve(app, stall_timeout=0.5)
    with no_descriptor_left_over(), served.client(receive_buffer=8192) as client:
        client.request("GET", "/")
        until(lambda: len(app.told) == 1, PATIENCE)
        served.settled()
    ((count, failure),) = app.told
    assert count < SIZE
    assert failure is None


def test_a_slow_reader_gets_everything(serve: Serve) -> None:
    with serve(Passing(whole), source_patience=1.0).client(receive_buffer=8192) as client:
        assert client.get("/").body == CONTENT


def test_a_client_that_leaves_ends_the_sending_quietly(serve: Serve) -> None:
    app = Passing(whole)
    served = serve(app)
    with no_descriptor_left_over():
        for _ in range(5):
            with served.client(receive_buffer=8192) as client:
                client.request("GET", "/")
                client.socket.recv(1000)
        until(lambda: len(app.told) == 5, PATIENCE)
        served.settled()
    assert {failure for _, failure in app.told} == {None}


def test_what_was_written_before_comes_before(serve: Serve) -> None:
    before = os.urandom(3 << 20)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        headers = [(b"content-length", b"%d" % (len(before) + SIZE))]
        with source_fed_by(whole) as source:
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": before, "more_body": True})
            await send({"type": EXTENSION, "source": source.fileno(), "count": SIZE})

    with serve(app).client(receive_buffer=8192) as client:
        assert client.get("/").body == before + CONTENT


def test_over_tls_it_is_not_offered(serve: Serve, certificate: Certificate) -> None:
    offered = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        offered.extend(scope["extensions"])
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})

    with serve(app, certificate).client() as client:
        assert client.get("/v2/").body == b"ok"
    assert EXTENSION not in offered
