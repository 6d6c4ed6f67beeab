import errno
import json

import pytest

from estiva.errors import (
    BodyTimeout,
    ManifestBlobUnknown,
    RegistryError,
    RequestInvalid,
    SizeInvalid,
    StorageFull,
    TooManyRequests,
    Unavailable,
)
from registry.api.body import BodyTimedOut, BodyTooLarge, MalformedBody
from registry.api.faults import as_registry_error, envelope, response_to


def test_the_envelope_is_the_specifications() -> None:
    assert json.loads(envelope("CODE", "message")) == {"errors": [{"code": "CODE", "message": "message"}]}
    assert json.loads(envelope("CODE", "é", {"a": 1}))["errors"][0]["detail"] == {"a": 1}


def test_a_refusal_keeps_its_status_code_detail_and_headers() -> None:
    response = response_to(ManifestBlobUnknown(detail={"digests": []}, headers={"X-Why": "so"}))
    assert (response.status_code, response.headers["X-Why"]) == (400, "so")
    assert response.headers["Content-Type"] == "application/json"
    assert json.loads(bytes(response.body))["errors"][0]["detail"] == {"digests": []}


def test_who_is_to_come_back_is_told_when() -> None:
    assert response_to(Unavailable(retry_after=7)).headers["Retry-After"] == "7"
    assert response_to(TooManyRequests(headers={"Retry-After": "1"})).status_code == 429


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_no_room_is_507(number: int, caplog: pytest.LogCaptureFixture) -> None:
    assert isinstance(as_registry_error(OSError(number, "No room", "/srv/secret")), StorageFull)
    assert "/srv/secret" in caplog.text


@pytest.mark.parametrize("number", [errno.EIO, errno.EROFS, errno.EMFILE, errno.EACCES])
def test_other_trouble_with_storage_is_503_without_its_path(number: int, caplog: pytest.LogCaptureFixture) -> None:
    response = response_to(OSError(number, "Trouble", "/srv/secret"))
    assert (response.status_code, "Retry-After" in response.headers) == (503, True)
    assert b"/srv/secret" not in bytes(response.body)
    assert "/srv/secret" in caplog.text


@pytest.mark.parametrize(
    ("error", "expected"),
    [(BodyTimedOut(), BodyTimeout), (BodyTooLarge(), SizeInvalid), (MalformedBody(), RequestInvalid)],
)
def test_a_body_that_does_not_come_whole_is_the_clients_fault(error: Exception, expected: type[RegistryError]) -> None:
    refusal = as_registry_error(error)
    assert type(refusal) is expected
    assert refusal.status < 500


def test_what_nobody_expected_is_500_and_only_the_log_says_what(caplog: pytest.LogCaptureFixture) -> None:
    response = response_to(ZeroDivisionError("the secret"))
    assert json.loads(bytes(response.body)) == {"errors": [{"code": "UNKNOWN", "message": "internal error"}]}
    assert response.status_code == 500
    assert "ZeroDivisionError: the secret" in caplog.text
