"""HTTP/1.1 as registries, proxies and worse speak it."""

import socket
from collections.abc import Callable, Iterator

import pytest

from estiva.wire import Answer, BadAnswer, Connection, UnsendableHead

Answering = Callable[..., Answer]


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """The client's end and the registry's."""
    near, far = socket.socketpair()
    with near, far:
        yield near, far


@pytest.fixture
def answering(pair: tuple[socket.socket, socket.socket]) -> Answering:
    """What the client reads of these bytes, after which the registry hangs up unless it is told not to."""

    def answering(content: bytes, method: str = "GET", hang_up: bool = True) -> Answer:
        pair[1].sendall(content)
        if hang_up:
            pair[1].shutdown(socket.SHUT_WR)
        return Connection(pair[0]).receive(method)

    return answering


def test_a_request_is_its_line_its_fields_and_its_body(pair: tuple[socket.socket, socket.socket]) -> None:
    Connection(pair[0]).send_head("PUT", "/v2/a?b=c", {"Host": "registry", "Content-Length": "4"}, b"body")
    assert pair[1].recv(1000) == b"PUT /v2/a?b=c HTTP/1.1\r\nHost: registry\r\nContent-Length: 4\r\n\r\nbody"


@pytest.mark.parametrize("target", ["", "/a b", "/a\r\nX: y", "/\xe4", "/\u20ac"])
def test_an_address_that_would_break_the_head_is_refused(
    pair: tuple[socket.socket, socket.socket], target: str
) -> None:
    with pytest.raises(UnsendableHead, match="no address"):
        Connection(pair[0]).send_head("GET", target, {})


@pytest.mark.parametrize("value", ["a\r\nX: y", "a\nb", "\0", "\u20ac"])
def test_a_value_that_would_break_the_head_is_refused_and_not_shown(
    pair: tuple[socket.socket, socket.socket], value: str
) -> None:
    with pytest.raises(UnsendableHead) as refused:
        Connection(pair[0]).send_head("GET", "/", {"Host": "a", "Authorization": value})
    assert str(refused.value) == "what should be sent as Authorization can't stand in a header"


def test_an_answer_has_its_status_its_fields_and_its_body(answering: Answering) -> None:
    with answering(b"HTTP/1.1 200 OK\r\nX-A:  b c \r\nCONTENT-LENGTH: 4\r\n\r\nbody", hang_up=False) as answer:
        assert (answer.status, answer.fields) == (200, {"x-a": "b c", "content-length": "4"})
        assert not answer.leaves_open
        assert answer.read(4) == b"body"
        assert answer.leaves_open


def test_lines_may_end_without_carriage_return_and_a_status_may_have_no_words(answering: Answering) -> None:
    with answering(b"HTTP/1.1 404\nA: b\n\n") as answer:
        assert (answer.status, answer.fields) == (404, {"a": "b"})


def test_fields_that_come_twice_are_joined(answering: Answering) -> None:
    with answering(b"HTTP/1.1 401 \r\nWWW-Authenticate: Basic\r\nwww-authenticate: Bearer a=b\r\n\r\n") as answer:
        assert answer.fields == {"www-authenticate": "Basic, Bearer a=b"}


def test_a_value_may_go_on_in_the_next_line(answering: Answering) -> None:
    with answering(b"HTTP/1.1 200 OK\r\nA: b\r\n\tc\r\n  d\r\nE: f\r\n\r\n") as answer:
        assert answer.fields == {"a": "b c d", "e": "f"}


def test_interim_answers_are_passed_over(answering: Answering) -> None:
    interim = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n"
    with answering(interim + b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n") as answer:
        assert (answer.status, answer.fields) == (201, {"content-length": "0"})


@pytest.mark.parametrize(
    ("method", "head"),
    [
        ("HEAD", b"200 OK\r\nContent-Length: 5"),
        ("HEAD", b"200 OK\r\nTransfer-Encoding: chunked"),
        ("GET", b"204 No Content"),
        ("GET", b"304 Not Modified\r\nContent-Length: 5"),
        ("PUT", b"201 Created\r\nContent-Length: 0"),
    ],
)
def test_where_no_body_comes_none_is_waited_for(answering: Answering, method: str, head: bytes) -> None:
    with answering(b"HTTP/1.1 " + head + b"\r\n\r\n", method, hang_up=False) as answer:
        assert answer.read(10) == b""
        assert answer.leaves_open


@pytest.mark.parametrize("framing", [b"Connection: close\r\nContent-Length: 4", b"X: y"])
def test_a_connection_that_the_registry_ends_is_not_used_again(answering: Answering, framing: bytes) -> None:
    with answering(b"HTTP/1.1 200 OK\r\n" + framing + b"\r\n\r\nbody") as answer:
        assert answer.read(4) == b"body"
        assert not answer.leaves_open


def test_http_1_0_ends_with_its_connection(answering: Answering) -> None:
    with answering(b"HTTP/1.0 200 OK\r\nContent-Length: 4\r\n\r\nbody") as answer:
        assert answer.read(4) == b"body"
        assert not answer.leaves_open


def test_chunks_are_put_together_and_their_trailer_is_read(answering: Answering) -> None:
    chunks = b"4\r\nwiki\r\n6;name=value\r\npedia \r\nB  \r\nin \r\nchunks\r\n0\r\nTrailer: x\r\n\r\n"
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\nContent-Length: 3\r\n\r\n"
    with answering(head + chunks, hang_up=False) as answer:
        assert answer.read(100) == b"wikipedia in \r\nchunks"
        assert answer.readinto(memoryview(bytearray(1))) == 0
        assert answer.leaves_open


@pytest.mark.parametrize("framing", [b"Content-Length: 1000", b"Transfer-Encoding: chunked", b"X: y"])
def test_a_body_that_is_too_long_to_be_kept_is_refused(answering: Answering, framing: bytes) -> None:
    chunked = b"3e8\r\n" + bytes(1000) + b"\r\n0\r\n\r\n"
    body = chunked if b"chunked" in framing else bytes(1000)
    with (
        answering(b"HTTP/1.1 200 OK\r\n" + framing + b"\r\n\r\n" + body) as answer,
        pytest.raises(ValueError, match="more than 999 bytes"),
    ):
        answer.read(999)


@pytest.mark.parametrize(
    ("head", "why"),
    [
        (b"", "closed without an answer"),
        (b"HTTP/1.1 200 OK", "closed without an answer"),
        (b"SSH-2.0-OpenSSH\r\n", "speaks no HTTP"),
        (b"HTTP/2 200\r\n\r\n", "speaks no HTTP"),
        (b"HTTP/1.1 099 \r\n\r\n", "speaks no HTTP"),
        (b"HTTP/1.1 200 OK\r\nA: b\r\n", "ends early"),
        (b"HTTP/1.1 200 OK\r\nA\r\n\r\n", "malformed"),
        (b"HTTP/1.1 200 OK\r\n: a\r\n\r\n", "malformed"),
        (b"HTTP/1.1 200 OK\r\n folded\r\n\r\n", "malformed"),
        (b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 101 + b"\r\n", "too many"),
        (b"HTTP/1.1 200 OK\r\nA: " + b"b" * 70_000 + b"\r\n\r\n", "too long"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "no sound length"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1, 2\r\n\r\n", "no sound length"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", "no sound length"),
    ],
    ids=range(14),
)
def test_what_is_no_answer_is_told_from_one(answering: Answering, head: bytes, why: str) -> None:
    with pytest.raises(BadAnswer, match=why):
        answering(head)


@pytest.mark.parametrize(
    ("framed", "why"),
    [
        (b"Content-Length: 5\r\n\r\nbody", "ends early: at least 1 "),
        (b"Transfer-Encoding: chunked\r\n\r\n5\r\nbody", "ends early: at least 1 "),
        (b"Transfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n", "ends early"),
        (b"Transfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n", "ends early"),
        (b"Transfer-Encoding: chunked\r\n\r\n3\r\nbody\r\n", "longer than it should be"),
        (b"Transfer-Encoding: chunked\r\n\r\n-4\r\nbody\r\n", "no sound length"),
        (b"Transfer-Encoding: chunked\r\n\r\n0x4\r\nbody\r\n", "no sound length"),
        (b"Transfer-Encoding: chunked\r\n\r\n" + b"f" * 40 + b"\r\nbody\r\n", "no sound length"),
    ],
    ids=range(8),
)
def test_a_body_that_breaks_off_never_looks_whole(answering: Answering, framed: bytes, why: str) -> None:
    with answering(b"HTTP/1.1 200 OK\r\n" + framed) as answer, pytest.raises(BadAnswer, match=why):
        answer.read(1000)


def test_a_body_that_stops_coming_is_given_up(answering: Answering, pair: tuple[socket.socket, socket.socket]) -> None:
    pair[0].settimeout(0.2)
    with (
        answering(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nbody", hang_up=False) as answer,
        pytest.raises(TimeoutError),
    ):
        answer.read(5)
