"""What a connection refuses, and how long it waits."""

import time
from typing import Any

import pytest

from estiva_server.http import ConnectionSettings

from .conftest import Serve
from .served import Certificate, Served, reply, until

GET = b"GET / HTTP/1.1\r\nHost: test\r\n"
PUT = b"PUT / HTTP/1.1\r\nHost: test\r\n"


async def hello(scope: Any, receive: Any, send: Any) -> None:
    while (await receive()).get("more_body"):
        pass
    await reply(send, 200, b"hello")


@pytest.fixture(scope="module")
def greeting(serve_for_module: Serve) -> Served:
    return serve_for_module(hello)


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (GET + b"Host: other\r\n\r\n", 400),
        (b"GET /\r\n\r\n", 505),
        (b"GET / HTTP/2.0\r\nHost: test\r\n\r\n", 505),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
        (b"GET /\xff HTTP/1.1\r\nHost: test\r\n\r\n", 400),
        (b"GET /\x00 HTTP/1.1\r\nHost: test\r\n\r\n", 400),
        (b"GET / a HTTP/1.1\r\nHost: test\r\n\r\n", 400),
        (b"CONNECT test:80 HTTP/1.1\r\nHost: test\r\n\r\n", 400),
        (GET + b"Bad Name: x\r\n\r\n", 400),
        (GET + b"X: a\r\n folded\r\n\r\n", 400),
        (GET + b"X: a\x00b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\nHost: test\n\n\r\n\r\n", 400),
        (GET + b"X: a\rb\r\n\r\n", 400),
        # What would let one server see another request than the next (request smuggling):
        (PUT + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (PUT + b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n", 400),
        (PUT + b"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc", 400),
        (PUT + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", 400),
        (PUT + b"Content-Length: 3, 3\r\n\r\nabc", 400),
        (PUT + b"Content-Length: +3\r\n\r\nabc", 400),
        (PUT + b"Content-Length: -3\r\n\r\nabc", 400),
        (PUT + b"Content-Length: 0x3\r\n\r\nabc", 400),
        (PUT + b"Content-Length: 1_0\r\n\r\n0123456789", 400),
        (PUT + b"Content-Length:\r\n\r\n", 400),
        (PUT + b"Content-Length : 3\r\n\r\nabc", 400),
        (PUT + b"Content-Length: 99999999999999999999999\r\n\r\n", 400),
        (PUT + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (PUT + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 400),
        (PUT + b"Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n", 400),
        (PUT + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501),
        (PUT + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n", 400),
        (b"PUT / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        # Too large:
        (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: test\r\n\r\n", 414),
        (b"GET /" + b"a" * 50_000, 414),
        (GET + b"X: " + b"a" * 33_000 + b"\r\n\r\n", 431),
        (GET + b"X: a\r\n" * 6000, 431),
    ],
)
def test_a_bad_request_is_refused_in_the_given_format_and_closes(
    greeting: Served, request_bytes: bytes, status: int
) -> None:
    greeting.notes.refusals.clear()
    with greeting.client() as client:
        client.send(request_bytes)
        response = client.response()
        assert response.status == status
        assert response.headers["content-type"] == "application/json"
        assert response.headers["connection"] == "close"
        assert response.body.startswith(b'{"status":%d,' % status)
        assert client.at_end()
    assert greeting.notes.refusals == [status]


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"\r\n\r\n" + GET + b"\r\n",
        GET + b"Upgrade: h2c\r\nConnection: Upgrade\r\n\r\n",
        b"GET http://test/ HTTP/1.1\r\nHost: test\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\nHost: test\r\n\r\n",
        GET + b"X: " + b"a" * 30_000 + b"\r\n\r\n",
        PUT + b"Content-Length: 3 \r\n\r\nabc",
        PUT + b"Upgrade: h2c\r\nConnection: Upgrade\r\nContent-Length: 3\r\n\r\nabc",
    ],
)
def test_an_unusual_but_good_request_is_served_and_the_connection_goes_on(
    greeting: Served, request_bytes: bytes
) -> None:
    with greeting.client() as client:
        for _ in range(2):
            client.send(request_bytes)
            assert client.response().body == b"hello"


def test_empty_lines_before_a_request_are_ignored(serve: Serve) -> None:
    with serve(hello).client() as client:
        for _ in range(3):
            client.send(b"\r\n\r\n")
            time.sleep(0.05)
        client.send(GET + b"\r\n")
        assert client.response().body == b"hello"


def test_http_1_0_is_served_and_closed(serve: Serve) -> None:
    with serve(hello).client() as client:
        client.send(b"GET / HTTP/1.0\r\n\r\n")
        response = client.response()
        assert (response.body, response.headers["connection"]) == (b"hello", "close")
        assert client.at_end()


@pytest.mark.parametrize("sent", [b"GET / HT", GET, b"\r\n"])
def test_a_request_that_does_not_end_its_header_is_timed_out(serve: Serve, sent: bytes) -> None:
    served = serve(hello, header_timeout=0.3)
    with served.client() as client:
        client.send(sent)
        assert client.response().status == 408
        assert client.at_end()


def test_a_slowloris_is_timed_out_although_it_keeps_sending(serve: Serve) -> None:
    served = serve(hello, header_timeout=0.3, linger_timeout=0.2)
    with served.client() as client:
        client.get("/")
        client.send(GET)
        started = time.monotonic()
        with pytest.raises(ConnectionError):
            client.send_slowly(b"X: a\r\n" * 100, 6, 0.05)
        assert time.monotonic() - started < 3
    assert served.notes.refusals == [408]


def test_a_connection_that_says_nothing_is_closed(serve: Serve) -> None:
    with serve(hello, header_timeout=0.2).client() as client:
        assert client.at_end()


def test_an_idle_connection_is_closed_later(serve: Serve) -> None:
    with serve(hello, header_timeout=0.2, keep_alive_timeout=2.5).client() as client:
        client.get("/")
        time.sleep(0.5)
        client.get("/")
        started = time.monotonic()
        assert client.at_end()
        assert time.monotonic() - started > 1


def test_a_small_body_that_does_not_come_is_timed_out(serve: Serve) -> None:
    served = serve(hello, body_window=0.3)
    with served.client() as client:
        client.send(PUT + b"Content-Length: 5\r\n\r\nab")
        assert client.response().status == 408
        assert client.at_end()
    assert served.notes.refusals == [408]


def test_a_slow_application_is_not_the_clients_fault(serve: Serve) -> None:
    async def slow(scope: Any, receive: Any, send: Any) -> None:
        import asyncio

        await asyncio.sleep(1)
        await hello(scope, receive, send)

    settings = {"header_timeout": 0.2, "keep_alive_timeout": 0.2, "body_window": 0.2, "stall_timeout": 0.2}
    with serve(slow, **settings).client() as client:
        assert client.put("/", b"x" * 1000).body == b"hello"
        assert client.put("/", b"x" * 200_000).body == b"hello"


def test_connections_beyond_the_cap_of_a_client_are_told_so(serve: Serve) -> None:
    served = serve(hello, max_connections_per_client=2)
    with served.client() as first, served.client() as second:
        assert first.get("/").status == second.get("/").status == 200
        with served.client() as third:
            refused = third.response()
            assert (refused.status, refused.headers["retry-after"]) == (503, "1")
            third.send(GET + b"\r\n")
            assert third.at_end()
        assert first.get("/").status == 200
    served.settled()
    with served.client() as client:
        assert client.get("/").status == 200
    assert served.notes.refusals == [503]


def test_half_open_requests_give_way_when_the_process_is_full(serve: Serve) -> None:
    served = serve(hello, max_connections=3)
    attackers = [served.client() for _ in range(3)]
    for client in attackers:
        client.send(b"GET / HTTP/1.1\r\n")
    with served.client() as early:
        assert early.response().status == 503
    time.sleep(1.2)
    with served.client() as client:
        assert client.get("/").status == 200
    assert attackers[0].broken()
    for client in attackers:
        client.socket.close()


def test_the_cap_follows_the_descriptor_limit() -> None:
    assert 1 <= ConnectionSettings().max_connections <= 4096


def test_shutdown_closes_idle_connections_and_lets_requests_finish(serve: Serve) -> None:
    running = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        import asyncio

        running.append(True)
        if scope["path"] == "/slow":
            await asyncio.sleep(0.7)
        await reply(send, 200, b"done")

    served = serve(app)
    with served.client() as idle, served.client() as busy, served.client() as half:
        idle.get("/")
        half.send(b"GET ")
        busy.request("GET", "/slow")
        until(lambda: len(running) == 2)
        served.server.should_exit = True
        assert idle.at_end()
        assert half.at_end()
        response = busy.response()
        assert (response.body, response.headers["connection"]) == (b"done", "close")
        assert busy.at_end()


@pytest.mark.parametrize("status", [204, 304])
def test_a_response_without_a_body_keeps_the_connection(serve: Serve, status: int) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body"})

    with serve(app).client() as client:
        for _ in range(3):
            assert client.get("/").status == status


def test_an_application_that_fails_is_a_500_and_the_server_goes_on(serve: Serve) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise ValueError("no")

    served = serve(app)
    for _ in range(2):
        with served.client() as client:
            response = client.get("/")
            assert (response.status, response.headers["connection"]) == (500, "close")
            assert client.at_end()


def test_pipelined_requests_are_served_one_after_the_other(serve: Serve) -> None:
    seen = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["path"])
        await hello(scope, receive, send)

    with serve(app).client() as client:
        client.send(b"".join(PUT.replace(b"/ ", b"/%d " % n) + b"Content-Length: 3\r\n\r\nabc" for n in range(20)))
        for _ in range(20):
            assert client.response().status == 200
    assert seen == [f"/{number}" for number in range(20)]


def test_over_tls_refusals_and_limits_hold(serve: Serve, certificate: Certificate) -> None:
    served: Served = serve(hello, certificate, header_timeout=0.5)
    with served.client() as client:
        client.send(PUT + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\n")
        assert client.response().status == 400
        assert client.broken()
    with served.client() as client:
        client.send(b"GET ")
        assert client.response().status == 408
