"""Specification, "Pushing blobs": end-4, end-5, end-6, end-13 and end-14."""

import re

import pytest

from estiva.digest import Algorithm, Digest
from tests.conformance.repository import OCTETS, Repository, fields, pieces, refused, with_digest
from tests.fixtures.documents import named

FIRST, SECOND, THIRD = b"a cargo ", b"of a good many ", b"words"
CONTENT = FIRST + SECOND + THIRD
DIGEST = named(CONTENT)
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
UNKNOWN = "blobs/uploads/e3b0c442-98fc-4c14-9afb-f4c8996fb924"


def created(repository: Repository, digest: str) -> dict[str, str]:
    return {
        "location": f"/v2/{repository.name}/blobs/{digest}",
        "docker-content-digest": digest,
        "content-length": "0",
    }


async def chunk(repository: Repository, location: str, first: int, content: bytes) -> None:
    headers = {**OCTETS, "Content-Range": f"{first}-{first + len(content) - 1}"}
    response = await repository.ask("PATCH", location, content=content, headers=headers)
    assert (response.status_code, response.headers["Range"]) == (202, f"0-{first + len(content) - 1}")
    assert response.headers["Location"] == location


def uuid_of(location: str) -> str:
    """The UUID that an upload's id begins with."""
    return location.rpartition("/")[2][:36]


async def require_blob(repository: Repository, content: bytes, digest: str = "") -> None:
    response = await repository.get(f"blobs/{digest or named(content)}")
    assert (response.status_code, response.content) == (200, content)


async def test_end_4a_an_upload_begins_at_a_relative_location_with_a_uuid(repository: Repository) -> None:
    response = await repository.ask("POST", "blobs/uploads/")
    identifier = response.headers["Docker-Upload-UUID"]
    assert response.status_code == 202
    assert UUID.fullmatch(identifier)
    location = response.headers["Location"]
    assert location.startswith(f"/v2/{repository.name}/blobs/uploads/{identifier}-")
    assert fields(response) == {
        "location": location,
        "range": "0-0",
        "docker-upload-uuid": identifier,
        "content-length": "0",
    }


async def test_end_4a_works_without_the_last_slash_and_with_any_content_type(repository: Repository) -> None:
    """crane says application/json here."""
    response = await repository.ask("POST", "blobs/uploads", headers={"Content-Type": "application/json"})
    assert response.status_code == 202


async def test_end_4a_two_uploads_never_share_a_location(repository: Repository) -> None:
    assert await repository.start_upload() != await repository.start_upload()


async def test_end_4a_then_end_6_push_a_blob_in_one_put(repository: Repository) -> None:
    location = await repository.start_upload()
    response = await repository.ask("PUT", with_digest(location, DIGEST), content=CONTENT, headers=OCTETS)
    assert (response.status_code, fields(response)) == (201, created(repository, DIGEST))
    await require_blob(repository, CONTENT)


async def test_end_4b_pushes_a_blob_in_one_post(repository: Repository) -> None:
    response = await repository.ask("POST", f"blobs/uploads/?digest={DIGEST}", content=CONTENT, headers=OCTETS)
    assert (response.status_code, fields(response)) == (201, created(repository, DIGEST))
    await require_blob(repository, CONTENT)


@pytest.mark.parametrize("algorithm", list(Algorithm))
async def test_end_4b_takes_every_algorithm(repository: Repository, algorithm: Algorithm) -> None:
    digest = str(Digest.of(CONTENT, algorithm))
    response = await repository.ask("POST", f"blobs/uploads/?digest={digest}", content=CONTENT, headers=OCTETS)
    assert (response.status_code, fields(response)) == (201, created(repository, digest))
    await require_blob(repository, CONTENT, digest)


async def test_end_4b_content_of_another_digest_is_refused(repository: Repository) -> None:
    response = await repository.ask("POST", f"blobs/uploads/?digest={named(b'other')}", content=CONTENT, headers=OCTETS)
    refused(response, 400, "DIGEST_INVALID")
    assert (await repository.head(f"blobs/{DIGEST}")).status_code == 404


@pytest.mark.parametrize("query", ["digest=sha256:short", "digest=", "digest=md5:" + "0" * 32, "mount=sha256:short"])
async def test_end_4b_and_end_11_what_is_no_digest_is_refused(repository: Repository, query: str) -> None:
    refused(await repository.ask("POST", f"blobs/uploads/?{query}"), 400, "DIGEST_INVALID")


@pytest.mark.parametrize("algorithm", list(Algorithm))
async def test_end_4c_an_upload_may_say_its_algorithm_beforehand(repository: Repository, algorithm: Algorithm) -> None:
    location = await repository.start_upload(f"?digest-algorithm={algorithm.value}")
    await chunk(repository, location, 0, FIRST)
    digest = str(Digest.of(CONTENT, algorithm))
    response = await repository.ask("PUT", with_digest(location, digest), content=SECOND + THIRD, headers=OCTETS)
    assert (response.status_code, fields(response)) == (201, created(repository, digest))
    await require_blob(repository, CONTENT, digest)


@pytest.mark.parametrize("announced", ["", "?digest-algorithm=sha256", "?digest-algorithm=sha512"])
@pytest.mark.parametrize("algorithm", list(Algorithm))
async def test_end_4c_an_upload_may_end_with_another_algorithm_than_it_began_with(
    repository: Repository, announced: str, algorithm: Algorithm
) -> None:
    location, digest = await repository.start_upload(announced), str(Digest.of(CONTENT, algorithm))
    response = await repository.ask("PATCH", location, content=pieces(CONTENT))
    assert response.status_code == 202
    response = await repository.ask("PUT", with_digest(location, digest))
    assert (response.status_code, fields(response)) == (201, created(repository, digest))
    await require_blob(repository, CONTENT, digest)


@pytest.mark.parametrize("algorithm", ["md5", "SHA256", "sha384"])
async def test_end_4c_an_algorithm_that_nobody_knows_is_refused(repository: Repository, algorithm: str) -> None:
    refused(await repository.ask("POST", f"blobs/uploads/?digest-algorithm={algorithm}"), 400, "DIGEST_INVALID")


async def test_end_5_chunks_in_order_become_a_blob(repository: Repository) -> None:
    location = await repository.start_upload()
    await chunk(repository, location, 0, FIRST)
    await chunk(repository, location, len(FIRST), SECOND)
    headers = {**OCTETS, "Content-Range": f"{len(FIRST + SECOND)}-{len(CONTENT) - 1}"}
    response = await repository.ask("PUT", with_digest(location, DIGEST), content=THIRD, headers=headers)
    assert (response.status_code, fields(response)) == (201, created(repository, DIGEST))
    await require_blob(repository, CONTENT)


async def test_end_5_the_last_chunk_may_be_a_patch_and_the_put_empty(repository: Repository) -> None:
    location = await repository.start_upload()
    await chunk(repository, location, 0, CONTENT)
    response = await repository.ask("PUT", with_digest(location, DIGEST), headers={"Content-Length": "0"})
    assert response.status_code == 201
    await require_blob(repository, CONTENT)


async def test_end_5_answers_with_the_position_of_the_last_byte(repository: Repository) -> None:
    location = await repository.start_upload()
    response = await repository.ask("PATCH", location, content=FIRST, headers=OCTETS)
    assert (response.status_code, fields(response)) == (
        202,
        {
            "location": location,
            "range": f"0-{len(FIRST) - 1}",
            "docker-upload-uuid": uuid_of(location),
            "content-length": "0",
        },
    )


async def test_end_5_without_content_range_appends_as_docker_does(repository: Repository) -> None:
    location = await repository.start_upload()
    response = await repository.ask("PATCH", location, content=pieces(FIRST, SECOND))
    assert response.headers["Range"] == f"0-{len(FIRST + SECOND) - 1}"
    response = await repository.ask("PATCH", location, content=pieces(THIRD))
    assert response.headers["Range"] == f"0-{len(CONTENT) - 1}"
    response = await repository.ask("PUT", with_digest(location, DIGEST), headers={"Content-Length": "0"})
    assert response.status_code == 201
    await require_blob(repository, CONTENT)


@pytest.mark.parametrize("written", ["{}-{}", "bytes {}-{}", "bytes {}-{}/*", "bytes {}-{}/1000"])
async def test_end_5_takes_the_ways_in_which_clients_write_a_content_range(
    repository: Repository, written: str
) -> None:
    location = await repository.start_upload()
    headers = {**OCTETS, "Content-Range": written.format(0, len(FIRST) - 1)}
    assert (await repository.ask("PATCH", location, content=FIRST, headers=headers)).status_code == 202


@pytest.mark.parametrize("first", [0, 7, 9, 1000])
@pytest.mark.parametrize("method", ["PATCH", "PUT"])
async def test_end_5_and_end_6_a_chunk_out_of_order_is_416_and_says_where_to_go_on(
    repository: Repository, method: str, first: int
) -> None:
    location = await repository.start_upload()
    await chunk(repository, location, 0, FIRST)
    headers = {**OCTETS, "Content-Range": f"{first}-{first + len(SECOND) - 1}"}
    target = with_digest(location, DIGEST) if method == "PUT" else location
    response = await repository.ask(method, target, content=SECOND, headers=headers)
    refused(response, 416, "BLOB_UPLOAD_INVALID")
    assert response.headers["Location"] == location
    assert response.headers["Range"] == f"0-{len(FIRST) - 1}"


@pytest.mark.parametrize("refused_by", ["PATCH", "PUT"])
async def test_end_13_after_a_416_the_upload_goes_on_where_it_was(repository: Repository, refused_by: str) -> None:
    location = await repository.start_upload()
    await chunk(repository, location, 0, FIRST)
    target = with_digest(location, DIGEST) if refused_by == "PUT" else location
    headers = {**OCTETS, "Content-Range": "100-114"}
    assert (await repository.ask(refused_by, target, content=SECOND, headers=headers)).status_code == 416
    status = await repository.get(location)
    assert (status.status_code, status.headers["Location"], status.headers["Range"]) == (
        204,
        location,
        f"0-{len(FIRST) - 1}",
    )
    await chunk(repository, status.headers["Location"], len(FIRST), SECOND + THIRD)
    assert (await repository.ask("PUT", with_digest(location, DIGEST))).status_code == 201
    await require_blob(repository, CONTENT)


async def test_end_5_the_first_chunk_begins_at_0(repository: Repository) -> None:
    location = await repository.start_upload()
    response = await repository.ask("PATCH", location, content=FIRST, headers={**OCTETS, "Content-Range": "1-8"})
    refused(response, 416, "BLOB_UPLOAD_INVALID")
    assert response.headers["Range"] == "0-0"


@pytest.mark.parametrize(
    ("content_range", "code"),
    [
        ("nonsense", "BLOB_UPLOAD_INVALID"),
        ("0-", "BLOB_UPLOAD_INVALID"),
        ("-7", "BLOB_UPLOAD_INVALID"),
        ("7-0", "BLOB_UPLOAD_INVALID"),
        ("0-6", "SIZE_INVALID"),
        ("0-8", "SIZE_INVALID"),
        ("0-99999999999999999999", "BLOB_UPLOAD_INVALID"),
    ],
)
@pytest.mark.parametrize("method", ["PATCH", "PUT"])
async def test_end_5_and_end_6_a_content_range_that_makes_no_sense_is_400_and_changes_nothing(
    repository: Repository, method: str, content_range: str, code: str
) -> None:
    location = await repository.start_upload()
    target = with_digest(location, named(FIRST)) if method == "PUT" else location
    response = await repository.ask(method, target, content=FIRST, headers={**OCTETS, "Content-Range": content_range})
    refused(response, 400, code)
    assert (await repository.get(location)).headers["Range"] == "0-0"


@pytest.mark.parametrize("method", ["PATCH", "PUT", "GET", "DELETE"])
async def test_an_upload_that_was_never_begun_is_unknown(repository: Repository, method: str) -> None:
    target = with_digest(UNKNOWN, DIGEST) if method == "PUT" else UNKNOWN
    content = CONTENT if method in ("PATCH", "PUT") else None
    refused(await repository.ask(method, target, content=content), 404, "BLOB_UPLOAD_UNKNOWN")


@pytest.mark.parametrize("method", ["PATCH", "PUT", "GET", "DELETE"])
async def test_an_upload_of_one_repository_is_unknown_in_another(
    repository: Repository, other: Repository, method: str
) -> None:
    location = (await repository.start_upload()).replace(repository.name, other.name)
    target = with_digest(location, DIGEST) if method == "PUT" else location
    refused(await other.ask(method, target), 404, "BLOB_UPLOAD_UNKNOWN")


async def test_end_6_needs_a_digest(repository: Repository) -> None:
    location = await repository.start_upload()
    refused(await repository.ask("PUT", location, content=CONTENT), 400, "DIGEST_INVALID")
    for digest in ("sha256:short", "md5:" + "0" * 32):
        refused(await repository.ask("PUT", with_digest(location, digest)), 400, "DIGEST_INVALID")
    assert (await repository.get(location)).status_code == 204


async def test_end_6_content_of_another_digest_is_refused_and_ends_the_upload(repository: Repository) -> None:
    location = await repository.start_upload()
    target = with_digest(location, named(b"other"))
    refused(await repository.ask("PUT", target, content=CONTENT), 400, "DIGEST_INVALID")
    refused(await repository.get(location), 404, "BLOB_UPLOAD_UNKNOWN")
    assert (await repository.head(f"blobs/{DIGEST}")).status_code == 404


async def test_end_6_an_empty_blob_is_a_blob(repository: Repository) -> None:
    location = await repository.start_upload()
    response = await repository.ask("PUT", with_digest(location, named(b"")))
    assert (response.status_code, fields(response)) == (201, created(repository, named(b"")))
    await require_blob(repository, b"")


async def test_end_6_said_twice_is_answered_twice(repository: Repository) -> None:
    """A client whose connection broke before it heard the answer asks again."""
    location = await repository.start_upload()
    for _ in range(2):
        response = await repository.ask("PUT", with_digest(location, DIGEST), content=CONTENT, headers=OCTETS)
        assert (response.status_code, fields(response)) == (201, created(repository, DIGEST))


async def test_end_6_the_same_blob_again_is_created_again(repository: Repository, other: Repository) -> None:
    for place in (repository, repository, other):
        await place.push_blob(CONTENT)
        await require_blob(place, CONTENT)


async def test_end_6_a_blob_that_was_deleted_can_be_pushed_again(repository: Repository) -> None:
    for _ in range(2):
        digest = await repository.push_blob(CONTENT)
        await require_blob(repository, CONTENT)
        assert (await repository.ask("DELETE", f"blobs/{digest}")).status_code == 202
        assert (await repository.head(f"blobs/{digest}")).status_code == 404


async def test_the_whole_query_of_a_location_may_have_more_than_the_digest(repository: Repository) -> None:
    location = await repository.start_upload()
    response = await repository.ask("PUT", f"{location}?origin=elsewhere&digest={DIGEST}", content=CONTENT)
    assert response.status_code == 201


@pytest.mark.parametrize("algorithm", list(Algorithm))
async def test_the_same_content_under_two_algorithms_is_two_blobs(repository: Repository, algorithm: Algorithm) -> None:
    first = await repository.push_blob(CONTENT)
    second = await repository.push_blob(CONTENT, Algorithm.SHA512)
    assert (await repository.ask("DELETE", f"blobs/{first}")).status_code == 202
    await require_blob(repository, CONTENT, second)


async def test_a_large_blob_in_small_chunks_is_whole(repository: Repository) -> None:
    content = b"".join(bytes([number % 251]) * 70_000 for number in range(30))
    location = await repository.start_upload()
    for first in range(0, len(content), 300_000):
        await chunk(repository, location, first, content[first : first + 300_000])
    assert (await repository.ask("PUT", with_digest(location, named(content)))).status_code == 201
    await require_blob(repository, content)


async def test_end_13_says_how_far_an_upload_is(repository: Repository) -> None:
    location = await repository.start_upload()
    for expected, content in (("0-0", FIRST), (f"0-{len(FIRST) - 1}", SECOND), (f"0-{len(FIRST + SECOND) - 1}", THIRD)):
        response = await repository.get(location)
        assert (response.status_code, fields(response)) == (
            204,
            {"location": location, "range": expected, "docker-upload-uuid": uuid_of(location)},
        )
        assert (await repository.ask("PATCH", location, content=content)).status_code == 202


async def test_end_14_a_cancelled_upload_is_gone(repository: Repository) -> None:
    location = await repository.start_upload()
    await chunk(repository, location, 0, CONTENT)
    response = await repository.ask("DELETE", location)
    assert (response.status_code, response.content, fields(response)) == (204, b"", {})
    for method in ("GET", "PATCH", "DELETE"):
        refused(await repository.ask(method, location), 404, "BLOB_UPLOAD_UNKNOWN")
    refused(await repository.ask("PUT", with_digest(location, DIGEST)), 404, "BLOB_UPLOAD_UNKNOWN")


async def test_end_14_an_upload_that_ended_can_not_be_cancelled(repository: Repository) -> None:
    location = await repository.start_upload()
    assert (await repository.ask("PUT", with_digest(location, DIGEST), content=CONTENT)).status_code == 201
    refused(await repository.ask("DELETE", location), 404, "BLOB_UPLOAD_UNKNOWN")
    await require_blob(repository, CONTENT)
