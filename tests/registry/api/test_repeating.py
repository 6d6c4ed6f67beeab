from dataclasses import replace
from math import inf
from pathlib import Path
from time import monotonic, time
from typing import Any

import pytest
from starlette.responses import Response

from auth.access import Caller
from auth.principals import ANONYMOUS, Kind, Principal
from auth.tokens import Token
from estiva.digest import Digest
from registry.api.call import API_VERSION
from registry.api.files import FileResponse
from registry.api.repeating import EXTENSION, WholeFile, repeatable, unchanged, unchanged_by
from tests.registry.api.calls import call

DIGEST = Digest.of(b"content")


@pytest.mark.parametrize(
    "header", [f'"{DIGEST}"', f'W/"{DIGEST}"', f'"a", "{DIGEST}"', f' "{DIGEST}" ,"b"', "*", f"{DIGEST}"]
)
def test_a_client_that_names_the_content_has_it(header: str) -> None:
    assert unchanged_by(call("/v2/", {"If-None-Match": header}), DIGEST)


@pytest.mark.parametrize("header", [None, "", '"a"', f'"{DIGEST}x"', str(DIGEST)[:-1]])
def test_a_client_that_names_something_else_has_not(header: str | None) -> None:
    assert not unchanged_by(call("/v2/", {} if header is None else {"If-None-Match": header}), DIGEST)


def test_304_keeps_the_headers_that_describe_no_body() -> None:
    response = unchanged({"Content-Type": "a/b", "Content-Length": "5", "ETag": '"x"'})
    assert (response.status_code, dict(response.headers)) == (304, {"etag": '"x"'})


def remembered(version: int | None, response: Response | FileResponse, **known: Any) -> list[tuple[Any, ...]]:
    """What was offered for repeating: its arguments, and for how many seconds from now."""
    offered: list[tuple[Any, ...]] = []

    def remember(*answer: Any, expires: float) -> None:
        offered.append((*answer, expires - monotonic()))

    repeatable(replace(call("/v2/", {}, **{EXTENSION: remember}), version=version, **known), response)
    return offered


def test_an_answer_is_offered_whole_with_the_version_from_before_it_was_looked_up(tmp_path: Path) -> None:
    response = Response(b"body", headers={"X-Name": "value"})
    assert remembered(7, response)[0][:4] == (7, 200, [*response.raw_headers, API_VERSION], b"body")
    (tmp_path / "blob").write_bytes(b"content")
    with (tmp_path / "blob").open("rb") as file:
        whole = FileResponse(file, 0, 7, {})
        headers = [*whole.raw_headers, API_VERSION]
        assert remembered(7, whole)[0][:4] == (7, 200, headers, WholeFile(str(tmp_path / "blob"), 7))


def test_an_answer_is_not_offered_where_nobody_can_tell_how_long_it_holds() -> None:
    assert remembered(None, Response(b"body")) == []
    assert remembered(7, Response(b"body"), lasting=False) == []
    repeatable(replace(call("/v2/"), version=7), Response(b"body"))


def test_an_answer_holds_no_longer_than_the_token_it_was_given_for() -> None:
    nobody = Caller(ANONYMOUS)
    assert remembered(7, Response(b"body"), caller=nobody)[0][4] == inf
    with_token = Caller(ANONYMOUS, Token(ANONYMOUS, (), time() + 50))
    assert 48 < remembered(7, Response(b"body"), caller=with_token)[0][4] <= 50
    signed_in = Caller(Principal(Kind.USER, "alice", 1))
    assert 0 < remembered(7, Response(b"body"), caller=signed_in)[0][4] <= 30
