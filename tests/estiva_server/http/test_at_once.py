"""Answers that the application gives at once: in the call that brought the request, or else the ordinary way."""

from collections.abc import Callable
from pathlib import Path

import pytest

from estiva_server.http import Answer, FileBody, Reply, SimpleRequest

from .conftest import Serve
from .served import until
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
