"""Answers that the application gives at once: in the call that brought the request, or else the ordinary way."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from estiva_server.http import Answer, FileBody, Reply, SimpleRequest
from estiva_server.http.simple import Fields, FieldSections

from .conftest import Serve
from .served import reply, until
from .test_door import FIELDS, Registry


class Oracle:
    """Answers at once what it is told to, and writes down what it was asked."""

    def __init__(self, answer: Answer | None, *, lasting: bool = False) -> None:
        self.asked: list[SimpleRequest] = []
        self._reply = None if answer is None else Reply("label", answer, lasting)

    def __call__(self, request: SimpleRequest) -> Reply | None:
        self.asked.append(request)
        return self._reply


def answer(body: bytes | FileBody = b"at once", status: int = 200) -> Answer:
    return Answer(1, status, FIELDS, body)


def test_the_application_is_not_run_for_what_is_answered_at_once(serve: Serve) -> None:
    registry, oracle = Registry(), Oracle(answer(status=404))
    served = serve(registry, at_once=oracle)
    with served.client() as client:
        for target in ("/v2/a", "/v2/a", "/v2/b?n=1"):
            assert (client.get(target).status, client.get(target).body) == (404, b"at once")
        assert client.head("/v2/a").headers["content-length"] == "7"
        assert client.get("/v2/a").body == b"at once"  # no body came with HEAD
    assert registry.asked == 0
    assert {request.target for request in oracle.asked} == {b"/v2/a", b"/v2/b?n=1"}
    assert set(served.notes.labels) == {"label"}


POST = b"POST /v2/a HTTP/1.1\r\nHost: test\r\n"
GET = b"GET /v2/a HTTP/1.1\r\nHost: test\r\n"
EMPTY = b"Content-Length: 0\r\n\r\n"


def test_a_post_that_says_it_has_no_body_is_answered_at_once_with_whatever_the_answer_says(serve: Serve) -> None:
    registry, oracle = Registry(), Oracle(answer(b"no", status=403))
    served = serve(registry, at_once=oracle)
    with served.client() as client:
        for _ in range(3):
            client.send(POST + b"User-Agent: docker\r\n" + EMPTY)
            refused = client.response()
            assert (refused.status, refused.body) == (403, b"no")
        client.send(POST + b"Connection: close\r\n" + EMPTY)
        assert client.response().headers["connection"] == "close"
        assert client.at_end()
    assert registry.asked == 0
    assert {(request.method, request.target) for request in oracle.asked} == {(b"POST", b"/v2/a")}
    until(lambda: len(served.notes.answered_requests) == 4)
    assert [(status, sent) for _, status, sent, _ in served.notes.answered_requests] == [(403, 2)] * 4


def test_what_a_post_was_answered_is_not_remembered_and_what_is_remembered_is_not_its_answer(serve: Serve) -> None:
    oracle = Oracle(answer(), lasting=True)
    served = serve(Registry(), at_once=oracle)
    with served.client() as client:
        for _ in range(2):
            client.send(POST + EMPTY)
            client.response()
        assert (len(oracle.asked), len(served.answers)) == (2, 0)
        client.get("/v2/a")
        client.get("/v2/a")
        assert (len(oracle.asked), len(served.answers)) == (3, 1)
        client.send(POST + EMPTY)
        client.response()
    assert [request.method for request in oracle.asked] == [b"POST", b"POST", b"GET", b"POST"]


def test_fields_that_make_one_method_simple_do_not_make_another(serve: Serve) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await reply(send, 200, b"from the application")

    with serve(app, at_once=Oracle(answer())).client() as client:
        for request, taken in (
            (POST + EMPTY, True),
            (GET + EMPTY, False),
            (GET + b"\r\n", True),
            (POST + b"\r\n", False),
            (GET.replace(b"GET", b"PUT") + EMPTY, False),
            (GET.replace(b"GET", b"PATCH") + EMPTY, False),
            (POST + EMPTY, True),
        ):
            client.send(request)
            assert client.response().body == (b"at once" if taken else b"from the application")


@pytest.mark.parametrize(
    "request_bytes",
    [
        POST + b"Content-Length: 2\r\n\r\n{}",
        POST + b"Content-Length: 4\r\n\r\n\r\n\r\n",
        POST + b"Content-Length: 00\r\n\r\n",
        POST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        POST + b"Expect: 100-continue\r\n" + EMPTY,
        POST + b"X-Request-Id: mine\r\n" + EMPTY,
        POST + b"If-Match: *\r\n" + EMPTY,
        POST.replace(b"/1.1", b"/1.0") + EMPTY,
        POST.replace(b"/v2/", b"/api/") + EMPTY,
    ],
)
def test_other_posts_go_to_the_application(serve_for_module: Serve, request_bytes: bytes) -> None:
    oracle = Oracle(answer())
    with serve_for_module(Registry(), at_once=oracle).client() as client:
        client.send(request_bytes)
        while (final := client.response()).status == 100:
            pass
        assert final.body == b"from the application"
    assert not oracle.asked


@pytest.mark.parametrize(
    "fields",
    [
        b"Content-Length: 0\r\n" + EMPTY,
        b"Content-Length:\r\n\r\n",
        b"Content-Length: 0, 0\r\n\r\n",
        b"Content-Length: +0\r\n\r\n",
        b"Content-Length: -0\r\n\r\n",
        b"Content-Length: 0x0\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n" + EMPTY,
    ],
)
def test_lengths_of_two_readings_are_refused(serve_for_module: Serve, fields: bytes) -> None:
    oracle = Oracle(answer())
    with serve_for_module(Registry(), at_once=oracle).client() as client:
        client.send(POST + fields)
        assert client.response().status == 400
    assert not oracle.asked


def test_posts_that_come_together_are_answered_in_order(serve: Serve) -> None:
    registry, oracle = Registry(), Oracle(answer())
    with serve(registry, at_once=oracle).client() as client:
        client.send(POST + EMPTY + GET + b"\r\n" + POST + EMPTY)
        assert [client.response().body for _ in range(3)] == [b"from the application"] * 3
        client.send(POST + EMPTY)
        assert client.response().body == b"at once"


def test_bodies_that_come_with_posts_are_not_kept(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    looked_at: list[bytes] = []
    recognise = FieldSections.recognise

    def noting(sections: FieldSections, section: bytes) -> Fields | None:
        looked_at.append(section)
        return recognise(sections, section)

    monkeypatch.setattr(FieldSections, "recognise", noting)
    with serve(Registry(), at_once=Oracle(answer())).client() as client:
        client.send(POST + b"Content-Length: 5\r\n\r\nbytes")
        assert client.response().status == 200
    assert not looked_at


def test_a_lasting_answer_is_given_again_until_the_version_changes(serve: Serve) -> None:
    oracle = Oracle(answer(), lasting=True)
    served = serve(Registry(), at_once=oracle)
    with served.client() as client:
        ids = {client.get("/v2/a").headers["x-request-id"] for _ in range(3)}
        assert (len(ids), len(oracle.asked)) == (3, 1)
        served.version = 2
        client.get("/v2/a")
    assert len(oracle.asked) == 2
    until(lambda: len(served.notes.labels) == 4)  # noted after the answer was written
    assert served.notes.labels == ["label", None, None, "label"]


def test_what_is_not_to_be_had_at_once_goes_to_the_application(serve: Serve) -> None:
    registry, oracle = Registry(), Oracle(None)
    with serve(registry, at_once=oracle).client() as client:
        assert client.get("/v2/a").body == b"from the application"
    assert (registry.asked, len(oracle.asked)) == (1, 1)


@pytest.mark.parametrize("fields", ["Range: bytes=0-1", 'If-None-Match: "x"', "Content-Length: 0"])
def test_only_simple_requests_are_asked_about(serve: Serve, fields: str) -> None:
    oracle = Oracle(answer())
    with serve(Registry(), at_once=oracle).client() as client:
        client.send(f"GET /v2/a HTTP/1.1\r\nHost: test\r\n{fields}\r\n\r\n".encode())
        client.response()
        client.get("/metrics")
    assert not oracle.asked


def test_the_request_says_who_asks_and_how(serve: Serve) -> None:
    oracle = Oracle(answer())
    with serve(Registry(), at_once=oracle).client() as client:
        client.get("/v2/a", Authorization="Bearer x", **{"User-Agent": "test"})
    (request,) = oracle.asked
    assert request.client is not None
    assert request.client[0] == "127.0.0.1"
    assert (request.scheme, request.method, request.fields.authorization) == ("http", b"GET", b"Bearer x")
    assert (b"user-agent", b"test") in request.fields.all


@pytest.mark.parametrize("size", [1000, 1_000_000])
def test_a_file_is_sent_whole(serve: Serve, file: Callable[[int], Path], size: int) -> None:
    path = file(size)
    served = serve(Registry(), at_once=Oracle(answer(FileBody(str(path), size))))
    with served.client() as client:
        assert client.get("/v2/a").body == path.read_bytes()
    until(lambda: len(served.notes.labels) == 1)
    assert served.notes.answered_requests[0][2] == size


def test_a_file_that_has_gone_is_the_applications_to_answer(serve: Serve, tmp_path: Path) -> None:
    registry = Registry()
    with serve(registry, at_once=Oracle(answer(FileBody(str(tmp_path / "gone"), 3)), lasting=True)).client() as client:
        assert client.get("/v2/a").body == b"from the application"
    assert registry.asked == 1
