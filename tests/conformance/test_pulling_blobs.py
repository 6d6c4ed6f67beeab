"""Specification, "Pulling blobs": end-2, with ranges as RFC 9110 has them."""

import pytest

from estiva.digest import Algorithm
from tests.conformance.repository import Repository, fields, refused
from tests.fixtures.documents import named

CONTENT = bytes(range(256)) * 4 + b"the end"
SIZE = len(CONTENT)
DIGEST = named(CONTENT)
BLOB = f"blobs/{DIGEST}"
FIELDS = {
    "content-type": "application/octet-stream",
    "docker-content-digest": DIGEST,
    "etag": f'"{DIGEST}"',
    "accept-ranges": "bytes",
    "cache-control": "max-age=31536000",
}


@pytest.fixture
async def filled(repository: Repository) -> Repository:
    """With one blob."""
    await repository.push_blob(CONTENT)
    return repository


async def test_end_2_get_gives_the_bytes_time_after_time(filled: Repository) -> None:
    for _ in range(3):
        response = await filled.get(BLOB)
        assert (response.status_code, response.content) == (200, CONTENT)
        assert fields(response) == {**FIELDS, "content-length": str(SIZE)}


async def test_end_2_head_says_what_get_would_say_without_the_body(filled: Repository) -> None:
    for _ in range(2):
        for method in ("HEAD", "GET"):
            response = await filled.ask(method, BLOB)
            assert (response.status_code, fields(response)) == (200, {**FIELDS, "content-length": str(SIZE)})
            assert response.content == (CONTENT if method == "GET" else b"")


@pytest.mark.parametrize("size", [0, 1, 65_536, 300_000, 3_000_000])
async def test_end_2_a_blob_of_any_size_comes_back_whole(repository: Repository, size: int) -> None:
    content = bytes(index * 31 % 251 for index in range(1000)) * (size // 1000 + 1)
    digest = await repository.push_blob(content[:size])
    for _ in range(2):
        response = await repository.get(f"blobs/{digest}")
        assert response.content == content[:size]
        assert response.headers["Content-Length"] == str(size)
        assert (await repository.head(f"blobs/{digest}")).headers["Content-Length"] == str(size)


@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [
        ("bytes=0-0", 0, 0),
        ("bytes=0-9", 0, 9),
        ("bytes=10-", 10, SIZE - 1),
        (f"bytes={SIZE - 1}-", SIZE - 1, SIZE - 1),
        ("bytes=-7", SIZE - 7, SIZE - 1),
        (f"bytes=-{SIZE * 10}", 0, SIZE - 1),
        ("bytes=0-", 0, SIZE - 1),
        (f"bytes=5-{SIZE * 10}", 5, SIZE - 1),
        (f"bytes=0-{SIZE - 1}", 0, SIZE - 1),
    ],
)
async def test_end_2_a_range_is_206_with_exactly_that(filled: Repository, asked: str, first: int, last: int) -> None:
    await filled.get(BLOB)
    response = await filled.get(BLOB, headers={"Range": asked})
    assert (response.status_code, response.content) == (206, CONTENT[first : last + 1])
    assert fields(response) == {
        **FIELDS,
        "content-length": str(last - first + 1),
        "content-range": f"bytes {first}-{last}/{SIZE}",
    }


@pytest.mark.parametrize("asked", [f"bytes={SIZE}-", f"bytes={SIZE * 2}-{SIZE * 3}", "bytes=500-0", "bytes=-0"])
async def test_end_2_a_range_that_lies_outside_is_416_with_the_size(filled: Repository, asked: str) -> None:
    response = await filled.get(BLOB, headers={"Range": asked})
    refused(response, 416, "SIZE_INVALID")
    assert response.headers["Content-Range"] == f"bytes */{SIZE}"


@pytest.mark.parametrize(
    "asked", ["bytes=0-1,5-6", "bytes=a-b", "bytes=-", "bytes", "items=0-1", "0-1", "bytes=0 - 1", ""]
)
async def test_end_2_a_range_that_is_none_or_several_is_passed_over(filled: Repository, asked: str) -> None:
    response = await filled.get(BLOB, headers={"Range": asked})
    assert (response.status_code, response.content) == (200, CONTENT)


async def test_end_2_any_range_of_nothing_is_416(repository: Repository) -> None:
    digest = await repository.push_blob(b"")
    refused(await repository.get(f"blobs/{digest}", headers={"Range": "bytes=0-0"}), 416, "SIZE_INVALID")


async def test_end_2_head_has_no_ranges(filled: Repository) -> None:
    """RFC 9110 section 14.2: range handling is defined for GET alone."""
    response = await filled.head(BLOB, headers={"Range": "bytes=0-0"})
    assert (response.status_code, fields(response)) == (200, {**FIELDS, "content-length": str(SIZE)})


async def test_end_2_a_download_that_broke_off_can_be_continued(filled: Repository) -> None:
    head, tail = (
        CONTENT[:100],
        (await filled.get(BLOB, headers={"Range": "bytes=100-", "If-Range": f'"{DIGEST}"'})).content,
    )
    assert head + tail == CONTENT


@pytest.mark.parametrize("condition", [f'"{named(b"old")}"', f'W/"{DIGEST}"', "Wed, 21 Oct 2015 07:28:00 GMT"])
async def test_end_2_a_range_meant_for_other_content_gives_the_whole(filled: Repository, condition: str) -> None:
    response = await filled.get(BLOB, headers={"Range": "bytes=0-9", "If-Range": condition})
    assert (response.status_code, response.content) == (200, CONTENT)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("more", [{}, {"Range": "bytes=0-1"}])
async def test_end_2_a_client_that_has_it_already_is_told_304(
    filled: Repository, method: str, more: dict[str, str]
) -> None:
    await filled.get(BLOB)
    response = await filled.ask(method, BLOB, headers={"If-None-Match": f'"{DIGEST}"', **more})
    assert (response.status_code, response.content) == (304, b"")
    assert fields(response) == {name: value for name, value in FIELDS.items() if name != "content-type"}


async def test_end_2_what_is_not_there_is_blob_unknown(filled: Repository, other: Repository) -> None:
    absent = named(b"absent")
    assert refused(await filled.get(f"blobs/{absent}"), 404, "BLOB_UNKNOWN") == {"digest": absent}
    assert (await filled.head(f"blobs/{absent}")).status_code == 404
    refused(await other.get(BLOB), 404, "BLOB_UNKNOWN")
    assert (await other.head(BLOB)).status_code == 404


@pytest.mark.parametrize("digest", ["sha256:short", DIGEST.upper(), "md5:" + "0" * 32, "latest", f"{DIGEST}0"])
async def test_end_2_what_is_no_digest_is_400(filled: Repository, digest: str) -> None:
    refused(await filled.get(f"blobs/{digest}"), 400, "DIGEST_INVALID")


async def test_end_2_the_digest_is_told_in_the_algorithm_that_was_asked_for(filled: Repository) -> None:
    sha512 = await filled.push_blob(CONTENT, Algorithm.SHA512)
    for digest in (sha512, DIGEST):
        response = await filled.get(f"blobs/{digest}")
        assert (response.content, response.headers["Docker-Content-Digest"]) == (CONTENT, digest)
