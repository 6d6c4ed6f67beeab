"""Uploads that break, step by step."""

from pathlib import Path

import pytest

from estiva.descriptor import Descriptor
from estiva.digest import Digest
from estiva.errors import BlobUploadInvalid, Denied
from estiva.failures import ConnectionFailed
from estiva.protocol.blobs import AT_ONCE, OutgoingBlob, push_blob
from estiva.protocol.registry import Registry
from estiva.protocol.steps import FileSlice
from estiva.reference import RepositoryName
from tests.estiva.protocol.asking import Script, answer

SIZE = AT_ONCE + 100
BIG = OutgoingBlob(Descriptor("x", Digest.of(b"big"), SIZE), FileSlice(Path("big"), 10, SIZE))
SMALL = OutgoingBlob(Descriptor("x", Digest.of(b"small"), 5), b"small")
NAME = RepositoryName.parse("app")
ABSENT, BEGUN = answer(404), answer(202, {"Location": "/upload/1?s=a"})


def pushed(blob: OutgoingBlob, *answers: object) -> Script:
    script = Script(list(answers))  # type: ignore[arg-type]
    script.run(push_blob(Registry("reg.test", "https://reg.test", lambda host: None), NAME, blob))
    return script


def said(script: Script) -> list[str]:
    return [request.method for request in script.requests]


def test_a_small_blob_goes_in_one_request() -> None:
    script = pushed(SMALL, ABSENT, BEGUN, answer(201))
    assert said(script) == ["HEAD", "POST", "PUT"]
    assert script.requests[-1].body == b"small"
    assert script.requests[-1].url.startswith("/upload/1?s=a&digest=sha256%3A")


def test_a_blob_that_is_there_is_not_sent() -> None:
    assert said(pushed(BIG, answer(200))) == ["HEAD"]


def test_a_broken_upload_goes_on_where_the_registry_says() -> None:
    progress = answer(204, {"Location": "/upload/1?s=b", "Range": "0-2999"})
    script = pushed(BIG, ABSENT, BEGUN, ConnectionFailed("cut"), progress, answer(202), answer(201))
    assert said(script) == ["HEAD", "POST", "PATCH", "GET", "PATCH", "PUT"]
    first, second = (request for request in script.requests if request.method == "PATCH")
    assert "Content-Range" not in first.headers
    assert second.headers["Content-Range"] == f"3000-{SIZE - 1}"
    assert second.body == FileSlice(Path("big"), 3010, SIZE - 3000)
    assert second.url.startswith("/upload/1?s=b")


def test_an_upload_that_is_gone_begins_again() -> None:
    script = pushed(BIG, ABSENT, BEGUN, answer(416), answer(404), BEGUN, answer(202), answer(201))
    assert said(script) == ["HEAD", "POST", "PATCH", "GET", "POST", "PATCH", "PUT"]


def test_an_answer_that_got_lost_is_looked_after() -> None:
    assert said(pushed(SMALL, ABSENT, BEGUN, ConnectionFailed("cut"), answer(200))) == ["HEAD", "POST", "PUT", "HEAD"]


def test_an_upload_that_breaks_again_and_again_ends() -> None:
    progress = answer(204, {"Range": "0-0"})
    with pytest.raises(ConnectionFailed, match="cut"):
        pushed(BIG, ABSENT, BEGUN, *[ConnectionFailed("cut"), progress] * 3, ConnectionFailed("cut"))


def test_a_refusal_is_no_reason_to_go_on() -> None:
    with pytest.raises(Denied):
        pushed(BIG, ABSENT, BEGUN, answer(403))
    with pytest.raises(BlobUploadInvalid, match="where the upload goes"):
        pushed(BIG, ABSENT, answer(202))
