"""Large request bodies: poured in a worker thread, or read by receive()."""

import hashlib
import os
import threading
import time
from typing import Any

import pytest

from registry.api.body import (
    BodyError,
    BodyTimedOut,
    BodyTooLarge,
    ClientDisconnected,
    MalformedBody,
    pour_body,
)

from .conftest import Serve
from .served import Certificate, Client, Served, chunked, no_descriptor_left_over, reply, start_upload, until

BODY = os.urandom(3_000_001)
STATUS: dict[type[Exception], int] = {BodyTimedOut: 408, BodyTooLarge: 413, MalformedBody: 400}


class Sink:
    """An application that pours each body and answers its digest, or what went wrong."""

    def __init__(self, limit: int | None = None) -> None:
        self.limit = limit
        self.received = bytearray()
        self.pieces: list[int] = []
        self.threads: set[str] = set()
        self.errors: list[BaseException] = []
        self.offered: list[bool] = []
        self.fail_after: int | None = None
        self.pause = 0.0
        self.ended: list[int] = []

    def end(self) -> None:
        self.threads.add(threading.current_thread().name)
        self.ended.append(len(self.received))

    def write(self, piece: memoryview) -> None:
        self.threads.add(threading.current_thread().name)
        if self.fail_after is not None and len(self.received) >= self.fail_after:
            raise OSError(28, "No space left on device")
        time.sleep(self.pause)
        self.pieces.append(len(piece))
        self.received += piece

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.received.clear()
        self.offered.append("estiva.body" in scope["extensions"])
        try:
            await pour_body(scope, receive, self.write, self.limit, self.end)
        except (BodyError, OSError) as error:
            self.errors.append(error)
            await reply(send, STATUS.get(type(error), 500), str(error).encode())
        except BaseException as error:
            self.errors.append(error)
            raise
        else:
            await reply(send, 201, hashlib.sha256(self.received).hexdigest().encode())


async def digests(scope: Any, receive: Any, send: Any) -> None:
    """An application that answers the digest of each body, many at once."""
    hasher = hashlib.sha256()
    await pour_body(scope, receive, hasher.update)
    await reply(send, 201, hasher.hexdigest().encode())


@pytest.fixture(scope="module")
def takes_both(serve_for_module: Serve) -> Served:
    """Pours or receives, by the path."""
    sink = Sink()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/pour":
            await sink(scope, receive, send)
            return
        while (await receive()).get("more_body"):
            pass
        await reply(send, 201)

    return serve_for_module(app)


@pytest.fixture
def sink() -> Sink:
    return Sink()


@pytest.fixture
def served(serve: Serve, sink: Sink) -> Served:
    return serve(sink)


def digest(body: bytes) -> bytes:
    return hashlib.sha256(body).hexdigest().encode()


def start_chunked(client: Client) -> None:
    client.send(b"PATCH / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n")


@pytest.mark.parametrize("size", [128 * 1024, 512 * 1024, 512 * 1024 + 1, 3_000_001, 40_000_000])
def test_a_body_arrives_whole_and_the_connection_goes_on(served: Served, sink: Sink, size: int) -> None:
    body = (BODY * (size // len(BODY) + 1))[:size]
    with served.client() as client:
        client.put("/", BODY)
        with no_descriptor_left_over():
            for _ in range(3):
                assert client.put("/", body).body == digest(body)
    assert sink.offered == [True] * 4
    assert sink.ended == [len(BODY), size, size, size]
    assert all(piece <= 512 * 1024 for piece in sink.pieces)
    assert threading.current_thread().name not in sink.threads


@pytest.mark.parametrize("chunk", [1000, 32 * 1024, 1 << 20, 10 << 20])
def test_a_chunked_body_arrives_whole_and_the_connection_goes_on(served: Served, chunk: int) -> None:
    chunks = [BODY[start : start + chunk] for start in range(0, len(BODY), chunk)]
    with served.client() as client:
        for _ in range(3):
            start_chunked(client)
            client.send(chunked(*chunks))
            assert client.response().body == digest(BODY)


def test_a_chunked_body_may_be_empty_and_have_extensions_and_trailers(served: Served, sink: Sink) -> None:
    with served.client() as client:
        start_chunked(client)
        client.send(b"0\r\n\r\n")
        assert client.response().body == digest(b"")
        start_chunked(client)
        client.send(b"3;name=value\r\nabc\r\n00;x\r\nTrailer: 1\r\nOther: 2\r\n\r\n")
        assert client.response().body == digest(b"abc")
    assert sink.ended == [0, 3]


def test_a_body_byte_by_byte_at_its_edges_arrives_whole(served: Served) -> None:
    encoded = chunked(BODY[:5], BODY[5:200_000])
    with served.client() as client:
        start_chunked(client)
        for byte in encoded[:12]:
            client.send(bytes([byte]))
            time.sleep(0.01)
        client.send(encoded[12:-7])
        for byte in encoded[-7:]:
            time.sleep(0.01)
            client.send(bytes([byte]))
        assert client.response().body == digest(BODY[:200_000])


@pytest.mark.parametrize("framed", ["length", "chunked"])
def test_requests_pipelined_behind_a_body_are_answered(served: Served, framed: str) -> None:
    with served.client() as client:
        if framed == "length":
            start_upload(client, len(BODY))
            client.send(BODY + b"PUT / HTTP/1.1\r\nHost: test\r\nContent-Length: 3\r\n\r\nabc")
        else:
            start_chunked(client)
            client.send(chunked(BODY) + b"PUT / HTTP/1.1\r\nHost: test\r\nContent-Length: 3\r\n\r\nabc")
        assert client.response().body == digest(BODY)
        assert client.response().body == digest(b"abc")
        assert client.put("/", b"more").body == digest(b"more")


def test_a_client_is_asked_to_continue_only_when_the_body_is_wanted(served: Served, sink: Sink) -> None:
    with served.client() as client:
        client.send(b"PUT / HTTP/1.1\r\nHost: test\r\nContent-Length: 300000\r\nExpect: 100-continue\r\n\r\n")
        assert client.response().status == 100
        client.send(BODY[:300_000])
        assert client.response().body == digest(BODY[:300_000])
        sink.limit = 1000
        client.send(b"PUT / HTTP/1.1\r\nHost: test\r\nContent-Length: 300000\r\nExpect: 100-continue\r\n\r\n")
        refused = client.response()
        assert (refused.status, refused.headers["connection"]) == (413, "close")
        assert client.at_end()


def test_a_limit_stops_a_chunked_body_without_writing_beyond_it(served: Served, sink: Sink) -> None:
    sink.limit = 1_000_000
    with served.client() as client:
        start_chunked(client)
        client.send(chunked(*[BODY[start : start + 1000] for start in range(0, 2_000_000, 1000)]))
        response = client.response()
        assert (response.status, response.headers["connection"]) == (413, "close")
        assert len(sink.received) <= 1_000_000


def test_a_client_that_is_still_sending_reads_the_refusal(served: Served, sink: Sink) -> None:
    sink.limit = 1000
    with served.client() as client:
        start_upload(client, 12_000_000)
        client.send(bytes(12_000_000))
        assert client.response().status == 413
        assert client.at_end()


@pytest.mark.parametrize("framed", ["length", "chunked"])
def test_what_came_before_a_disconnect_has_been_written(served: Served, sink: Sink, framed: str) -> None:
    with served.client() as client:
        client.put("/", BODY)
    served.settled()
    with no_descriptor_left_over():
        with served.client() as client:
            if framed == "length":
                start_upload(client, len(BODY))
                client.send(BODY[:1_234_567])
            else:
                start_chunked(client)
                client.send(b"%x\r\n" % len(BODY) + BODY[:1_234_567])
        until(lambda: bool(sink.errors))
        served.settled()
    assert isinstance(sink.errors[0], ClientDisconnected)
    assert bytes(sink.received) == BODY[:1_234_567]
    assert sink.ended == [len(BODY)]


def test_an_error_of_write_reaches_the_application_and_the_client_its_answer(served: Served, sink: Sink) -> None:
    sink.fail_after = 1_000_000
    with served.client() as client:
        start_upload(client, 8_000_000)
        client.send(bytes(8_000_000))
        response = client.response()
        assert (response.status, response.headers["connection"]) == (500, "close")
        assert client.at_end()
    assert isinstance(sink.errors[0], OSError)


@pytest.mark.parametrize(
    "broken",
    [
        b"xyz\r\n",
        b"-1\r\nabc",
        b"0x3\r\nabc\r\n",
        b" 3\r\nabc\r\n",
        b"3\nabc\r\n",
        b"3\r\nabcd\r\n",
        b"3\r\nabc\n0\r\n\r\n",
        b"3\r\nabc0\r\n\r\n",
        b"\r\n",
        b"1" * 17 + b"\r\n",
        b"3;" + b"x" * 300,
        b"3;\x00\r\nabc\r\n",
        b"0\r\nno colon\r\n\r\n",
        b"0\r\n" + b"a: b\r\n" * 2000 + b"\r\n",
        b"0\r\na: " + b"b" * 5000,
    ],
)
@pytest.mark.parametrize("how", ["pour", "receive"])
def test_broken_chunked_coding_is_400(takes_both: Served, broken: bytes, how: str) -> None:
    with takes_both.client() as client:
        client.send(f"PATCH /{how} HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
        client.send(broken)
        assert client.response().status == 400
        assert client.at_end()


def test_a_body_that_trickles_is_given_up(serve: Serve) -> None:
    sink = Sink()
    served = serve(sink, body_window=0.4)
    with served.client() as client:
        start_upload(client, 200_000)
        client.send(b"some")
        response = client.response()
        assert (response.status, response.headers["connection"]) == (408, "close")
    assert bytes(sink.received) == b"some"
    assert isinstance(sink.errors[0], BodyTimedOut)


def test_a_slow_body_above_the_least_rate_arrives(serve: Serve) -> None:
    served = serve(Sink(), body_window=1.5, body_rate=1_000)
    with served.client() as client:
        start_upload(client, 200_000)
        for start in range(0, 200_000, 10_000):  # longer than the window, and in each window more than it asks for
            client.send(BODY[start : start + 10_000])
            time.sleep(0.1)
        assert client.response().body == digest(BODY[:200_000])


def test_uploads_that_wait_hold_no_thread(serve: Serve) -> None:
    """More stalled uploads than the executor has threads do not keep another from finishing."""
    served = serve(digests)
    waiting = [served.client() for _ in range(12)]
    for client in waiting:
        start_upload(client, 200_000)
        client.send(b"x" * 20_000)
    time.sleep(0.3)
    with served.client() as client:
        assert client.put("/", BODY).status == 201
    for client in waiting:
        client.send(b"x" * 180_000)
    for client in waiting:
        assert client.response().status == 201
        client.socket.close()


def test_many_uploads_at_once_do_not_mix(serve: Serve) -> None:
    served = serve(digests)
    bodies = [os.urandom(700_000 + number) for number in range(10)]
    answers: dict[int, bytes] = {}

    def upload(number: int) -> None:
        with served.client() as client:
            answers[number] = client.put("/", bodies[number]).body

    threads = [threading.Thread(target=upload, args=(number,)) for number in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert answers == {number: digest(body) for number, body in enumerate(bodies)}


def test_receive_reads_a_large_body_too(serve: Serve) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        hasher, more = hashlib.sha256(), True
        while more:
            message = await receive()
            hasher.update(message["body"])
            more = message["more_body"]
        await reply(send, 201, hasher.hexdigest().encode())

    with serve(app).client() as client:
        for _ in range(2):
            assert client.put("/", BODY).body == digest(BODY)
            start_chunked(client)
            client.send(chunked(BODY[:1000], BODY[1000:]))
            assert client.response().body == digest(BODY)


def test_a_pour_ends_with_the_server(serve: Serve, sink: Sink) -> None:
    """A server that has to stop while a client is sending does not wait for that client."""
    served = serve(sink)
    served.server.config.timeout_graceful_shutdown = 1
    with served.client() as client:
        start_upload(client, 1_000_000)
        client.send(BODY[:300_000])
        until(lambda: len(sink.received) == 300_000)
        started = time.monotonic()
        served.__exit__()
        assert time.monotonic() - started < 5  # the client is given half a minute to send on
    assert bytes(sink.received) == BODY[:300_000]


def test_a_pour_in_progress_finishes_during_shutdown(serve: Serve, sink: Sink) -> None:
    served = serve(sink)
    with served.client() as client:
        start_upload(client, 1_000_000)
        client.send(BODY[:300_000])
        until(lambda: bool(sink.offered))
        served.server.should_exit = True
        time.sleep(0.5)
        client.send(BODY[300_000:1_000_000])
        response = client.response()
        assert (response.body, response.headers["connection"]) == (digest(BODY[:1_000_000]), "close")


def test_the_body_cannot_be_asked_for_twice(serve: Serve) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        pour = scope["extensions"]["estiva.body"]
        await pour(lambda piece: None)
        with pytest.raises(RuntimeError, match="asked for before"):
            await pour(lambda piece: None)
        assert await receive() == {"type": "http.request", "body": b"", "more_body": False}
        await reply(send, 201)

    with serve(app).client() as client:
        assert client.put("/", BODY).status == 201


def test_over_tls_a_body_is_received_without_the_extension(serve: Serve, sink: Sink, certificate: Certificate) -> None:
    with serve(sink, certificate).client() as client:
        for _ in range(2):
            assert client.put("/", BODY).body == digest(BODY)
            start_chunked(client)
            client.send(chunked(BODY))
            assert client.response().body == digest(BODY)
    assert sink.offered == [False] * 4
