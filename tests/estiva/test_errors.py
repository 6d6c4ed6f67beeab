"""The specification's table of error codes, written out once more: a code, status or message that is swapped shows."""

import pytest

from estiva import errors
from estiva.errors import RegistryError

TABLE = [
    (errors.BlobUnknown, "BLOB_UNKNOWN", 404, "blob unknown to registry"),
    (errors.BlobUploadInvalid, "BLOB_UPLOAD_INVALID", 400, "blob upload invalid"),
    (errors.BlobUploadUnknown, "BLOB_UPLOAD_UNKNOWN", 404, "blob upload unknown to registry"),
    (errors.DigestInvalid, "DIGEST_INVALID", 400, "provided digest did not match uploaded content"),
    (
        errors.ManifestBlobUnknown,
        "MANIFEST_BLOB_UNKNOWN",
        400,
        "manifest references a manifest or blob unknown to registry",
    ),
    (errors.ManifestInvalid, "MANIFEST_INVALID", 400, "manifest invalid"),
    (errors.ManifestUnknown, "MANIFEST_UNKNOWN", 404, "manifest unknown to registry"),
    (errors.NameInvalid, "NAME_INVALID", 400, "invalid repository name"),
    (errors.NameUnknown, "NAME_UNKNOWN", 404, "repository name not known to registry"),
    (errors.SizeInvalid, "SIZE_INVALID", 400, "provided length did not match content length"),
    (errors.Unauthorized, "UNAUTHORIZED", 401, "authentication required"),
    (errors.Denied, "DENIED", 403, "requested access to the resource is denied"),
    (errors.Unsupported, "UNSUPPORTED", 405, "the operation is unsupported"),
    (errors.TooManyRequests, "TOOMANYREQUESTS", 429, "too many requests"),
]
NARROWED: list[tuple[type[RegistryError], str, int]] = [
    (errors.BlobUploadOutOfOrder, "BLOB_UPLOAD_INVALID", 416),
    (errors.ManifestTooLarge, "MANIFEST_INVALID", 413),
    (errors.RangeNotSatisfiable, "SIZE_INVALID", 416),
    (errors.RequestInvalid, "UNSUPPORTED", 400),
    (errors.NotFound, "UNSUPPORTED", 404),
    (errors.StillReferenced, "DENIED", 409),
    (errors.ImageInUse, "DENIED", 409),
    (errors.QuotaExceeded, "DENIED", 403),
    (errors.TagImmutable, "DENIED", 400),
]
BEYOND_THE_TABLE: list[tuple[type[RegistryError], str, int]] = [
    (errors.BodyTimeout, "REQUEST_TIMEOUT", 408),
    (errors.Unavailable, "UNAVAILABLE", 503),
    (errors.StorageFull, "INSUFFICIENT_STORAGE", 507),
]


@pytest.mark.parametrize(("error", "code", "status", "message"), TABLE)
def test_every_code_of_the_specification_has_its_class(
    error: type[RegistryError], code: str, status: int, message: str
) -> None:
    assert (error.code, error.status, error.message) == (code, status, message)
    assert RegistryError.by_code[code] is error


@pytest.mark.parametrize(("error", "code", "status"), NARROWED + BEYOND_THE_TABLE)
def test_a_more_exact_error_has_its_own_status(error: type[RegistryError], code: str, status: int) -> None:
    assert (error.code, error.status) == (code, status)


@pytest.mark.parametrize(("error", "code", "status"), NARROWED)
def test_a_code_finds_the_class_of_the_table_and_not_a_narrower_one(
    error: type[RegistryError], code: str, status: int
) -> None:
    assert issubclass(error, RegistryError.by_code[code])
    assert RegistryError.by_code[code] is not error


def test_no_class_is_missing_from_these_tables() -> None:
    listed = {row[0] for row in (*TABLE, *NARROWED, *BEYOND_THE_TABLE)}
    defined = {value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, RegistryError)}
    assert defined == listed | {RegistryError}


def test_an_error_says_its_own_words_or_those_it_is_given() -> None:
    assert errors.NameUnknown().text == "repository name not known to registry"
    refusal = errors.NameUnknown("gone", detail={"name": "a"}, headers={"X": "1"})
    assert (refusal.text, refusal.detail, refusal.headers, str(refusal)) == ("gone", {"name": "a"}, {"X": "1"}, "gone")


def test_two_errors_never_share_their_headers() -> None:
    one, other = errors.TooManyRequests(), errors.TooManyRequests()
    one.headers["Retry-After"] = "1"
    assert other.headers == {}


def test_unavailable_says_when_to_come_back() -> None:
    assert errors.Unavailable().headers == {"Retry-After": "2"}
    assert errors.Unavailable(retry_after=30).headers == {"Retry-After": "30"}
