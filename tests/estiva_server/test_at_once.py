"""The registry's answers that need not wait for anything, and what is left to the ordinary way."""

import asyncio
import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.responses import Response

from estiva_server.at_once import AtOnce
from estiva_server.http import SimpleRequest
from estiva_server.http.simple import Fields
from registry.api.files import FileResponse

MANIFEST = b"/v2/a/b/manifests/1"


class API:
    """Answers everything with one response, waiting before that where it is told to."""

    def __init__(self, response: Response | FileResponse | None, *, waits: bool = False) -> None:
        self.scopes: list[Any] = []
        self.held = False
        self._response = response
        self.waits = waits

    async def respond(self, scope: Any, receive: Any) -> Response | FileResponse | None:
        assert self.held
        self.scopes.append(scope)
        scope["state"]["route"] = "manifest"
        if self.waits:
            await asyncio.get_running_loop().create_future()
        return self._response

    @contextlib.contextmanager
    def holding(self) -> Iterator[None]:
        self.held = True
        yield
        self.held = False


def request(target: bytes = MANIFEST, authorization: bytes = b"Bearer x", method: bytes = b"GET") -> SimpleRequest:
    fields = [(b"host", b"h"), (b"authorization", authorization)]
    return SimpleRequest(method, target, Fields(fields, authorization, close=False), b"1")


def post(target: bytes = b"/v2/a/b/blobs/uploads/", authorization: bytes = b"Bearer x") -> SimpleRequest:
    return request(target, authorization, b"POST")


def at_once(api: API) -> AtOnce:
    return AtOnce(api.respond, api.holding)


async def test_an_answer_that_waits_for_nothing_is_had_at_once() -> None:
    api = API(Response(b"no", 404))
    reply = at_once(api)(request(MANIFEST + b"?n=1"))
    assert reply is not None
    assert (reply.label, reply.answer.status, reply.answer.body, reply.lasting) == ("manifest", 404, b"no", False)
    (scope,) = api.scopes
    assert (scope["raw_path"], scope["query_string"], scope["path"]) == (MANIFEST, b"n=1", MANIFEST.decode())
    assert not api.held


async def test_what_the_api_lets_be_remembered_lasts() -> None:
    class Remembering(API):
        async def respond(self, scope: Any, receive: Any) -> Response | FileResponse | None:
            scope["extensions"]["estiva.answer"](7, 200, [(b"etag", b"x")], b"yes", expires=5.0)
            return await super().respond(scope, receive)

    reply = at_once(Remembering(Response(b"yes")))(request())
    assert reply is not None
    assert reply.lasting
    assert (reply.answer.version, reply.answer.expires, reply.answer.body) == (7, 5.0, b"yes")


async def test_a_kind_of_request_that_always_waits_is_soon_left_alone() -> None:
    api = API(Response(b""), waits=True)
    ask = at_once(api)
    assert {ask(request()) for _ in range(100)} == {None}
    tried = len(api.scopes)
    assert 0 < tried < 50
    assert ask(request(b"/v2/a/blobs/x")) is None
    assert len(api.scopes) == tried + 1  # another kind has not been seen to wait


async def test_a_kind_that_was_left_alone_is_tried_again_now_and_then() -> None:
    api = API(Response(b"", 404), waits=True)
    ask = at_once(api)
    for _ in range(3000):
        ask(request())
    assert len(api.scopes) < 30
    api.waits = False
    tried = [ask(request()) is not None for _ in range(600)]
    assert tried.index(True) < 300
    assert all(tried[tried.index(True) :])


@pytest.mark.parametrize("target", [b"/v2/a/b/blobs/uploads/", b"/v2/a/blobs/uploads", b"/v2/A:B/blobs/uploads/"])
async def test_a_post_that_begins_an_upload_is_answered_at_once_and_never_remembered(target: bytes) -> None:
    api = API(Response(status_code=202, headers={"Location": "/x"}))
    reply = at_once(api)(post(target))
    assert reply is not None
    assert (reply.answer.status, reply.answer.body, reply.lasting) == (202, b"", False)
    (scope,) = api.scopes
    assert (scope["method"], scope["raw_path"], scope["query_string"], scope["extensions"]) == ("POST", target, b"", {})


async def test_posts_that_wait_are_left_alone_by_themselves() -> None:
    api = API(Response(b"", 404), waits=True)
    ask = at_once(api)
    assert {ask(post()) for _ in range(100)} == {None}
    api.waits = False
    assert ask(post()) is None
    assert ask(request()) is not None


async def test_a_kind_of_request_that_waits_now_and_then_is_tried_further() -> None:
    api = API(Response(b"", 404))
    ask = at_once(api)
    for number in range(100):
        api.waits = number % 2 == 0
        assert (ask(request()) is None) == api.waits


@pytest.mark.parametrize(
    "asked",
    [
        request(b"/v2/a%2fb/manifests/1"),
        request(b"/v2/a/manifests/\xe9"),
        request(b"/v2/a/manifests/1/2"),
        request(b"/v2/a/blobs/uploads/x/y"),
        request(b"/v2/_catalog"),
        request(b"/v2/"),
        request(authorization=b"Basic eDp5"),
        request(authorization=b"basic eDp5"),
        post(authorization=b"Basic eDp5"),
        post(b"/v2/a/blobs/uploads/?"),
        post(b"/v2/a/blobs/uploads/?mount=sha256:0"),
        post(b"/v2/a/blobs/uploads//"),
        post(b"/v2/a/blobs/uploads/x"),
        post(b"/v2/a%2fb/blobs/uploads/"),
        post(b"/v2/blobs/uploads/"),
        post(b"/v2/a/blobs/x"),
        post(MANIFEST),
        request(b"/v2/a/blobs/uploads/"),
    ],
    ids=lambda asked: f"{asked.method} {asked.target} {asked.fields.authorization}",
)
async def test_what_is_unusual_is_left_to_the_ordinary_way(asked: SimpleRequest) -> None:
    api = API(Response(b""))
    assert at_once(api)(asked) is None
    assert not api.scopes


async def test_a_response_without_a_body_is_left_to_the_ordinary_way() -> None:
    assert at_once(API(Response(status_code=204)))(request()) is None


async def test_a_file_is_closed_and_named_to_be_opened_again(tmp_path: Path) -> None:
    path = tmp_path / "blob"
    path.write_bytes(b"abc")
    file = path.open("rb", buffering=0)
    reply = at_once(API(FileResponse(file, 0, 3, {})))(request())
    assert reply is not None
    assert file.closed
    assert (reply.answer.file, reply.answer.length) == (str(path), 3)


async def test_a_file_that_is_verified_while_it_is_sent_is_left_to_the_ordinary_way(tmp_path: Path) -> None:
    async def verify(piece: bytes, is_last: bool) -> None:
        raise AssertionError

    path = tmp_path / "blob"
    path.write_bytes(b"abc")
    file = path.open("rb", buffering=0)
    assert at_once(API(FileResponse(file, 0, 3, {}, verify=verify)))(request()) is None
    assert file.closed
