import pytest

from estiva.errors import (
    BlobUnknown,
    BlobUploadOutOfOrder,
    ManifestUnknown,
    NotFound,
    RegistryError,
    TooManyRequests,
    Unauthorized,
)
from estiva.protocol.answers import expect, refusal
from tests.estiva.protocol.asking import answer


def body(code: str, message: str = "why") -> object:
    return {"errors": [{"code": code, "message": message, "detail": {"a": 1}}]}


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (404, "MANIFEST_UNKNOWN", ManifestUnknown),
        (416, "BLOB_UPLOAD_INVALID", BlobUploadOutOfOrder),
        (404, "UNSUPPORTED", NotFound),
        (401, "UNAUTHORIZED", Unauthorized),
        (429, "TOOMANYREQUESTS", TooManyRequests),
        (404, "SOMETHING", NotFound),
        (418, "SOMETHING", RegistryError),
    ],
)
def test_an_answer_is_the_error_that_the_server_raised(status: int, code: str, kind: type[RegistryError]) -> None:
    error = refusal(answer(status, body=body(code)))
    assert type(error) is kind
    assert "why" in error.text
    assert error.detail == {"a": 1}
    assert (code in error.text) == (code not in RegistryError.by_code)


@pytest.mark.parametrize("content", [b"", b"<html>", b"[]", b'{"errors": []}', b'{"errors": [1]}', b'{"errors": {}}'])
def test_an_answer_without_a_body_of_errors(content: bytes) -> None:
    assert type(refusal(answer(404, body=content), BlobUnknown)) is BlobUnknown
    assert type(refusal(answer(401, body=content), BlobUnknown)) is Unauthorized
    assert str(refusal(answer(418, body=content))) == "the registry answered 418"


def test_what_is_expected_is_no_error() -> None:
    assert expect(answer(202), 201, 202).status == 202
    with pytest.raises(RegistryError):
        expect(answer(200), 201)
