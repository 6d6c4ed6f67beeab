"""Specification, "Pulling manifests": end-3."""

import pytest

from estiva.digest import Algorithm, Digest
from estiva.mediatypes import DOCKER_MANIFEST, DOCKER_MANIFEST_LIST, OCI_INDEX, OCI_MANIFEST
from tests.conformance.repository import Repository, fields, refused
from tests.fixtures.documents import image, index, named

IMAGE = image(annotations={"spaced": "no"}).replace(b",", b" ,\r\n", 1) + b"\n"
DIGEST = named(IMAGE)
FIELDS = {
    "content-type": OCI_MANIFEST,
    "content-length": str(len(IMAGE)),
    "docker-content-digest": DIGEST,
    "etag": f'"{DIGEST}"',
}


@pytest.fixture
async def filled(repository: Repository) -> Repository:
    """With one image, tagged."""
    await repository.push_blob(b"{}")
    await repository.push_manifest(IMAGE, "latest")
    return repository


@pytest.mark.parametrize("reference", ["latest", DIGEST])
async def test_end_3_get_gives_the_bytes_that_were_pushed_time_after_time(filled: Repository, reference: str) -> None:
    for _ in range(3):
        response = await filled.get(f"manifests/{reference}")
        assert (response.status_code, response.content, fields(response)) == (200, IMAGE, FIELDS)


@pytest.mark.parametrize("reference", ["latest", DIGEST])
async def test_end_3_head_says_what_get_would_say_without_the_body(filled: Repository, reference: str) -> None:
    for _ in range(2):
        for method in ("HEAD", "GET"):
            response = await filled.ask(method, f"manifests/{reference}")
            assert (response.status_code, fields(response)) == (200, FIELDS)
            assert response.content == (IMAGE if method == "GET" else b"")


@pytest.mark.parametrize("reference", ["absent", named(b"absent")])
async def test_end_3_what_is_not_there_is_manifest_unknown(filled: Repository, reference: str) -> None:
    detail = refused(await filled.get(f"manifests/{reference}"), 404, "MANIFEST_UNKNOWN")
    assert detail == {"name": filled.name, "reference": reference}
    head = await filled.head(f"manifests/{reference}")
    assert (head.status_code, head.content) == (404, b"")
    assert int(head.headers["Content-Length"]) > 0


@pytest.mark.parametrize("reference", ["latest", DIGEST])
async def test_end_3_a_repository_that_is_not_there_has_no_manifests(repository: Repository, reference: str) -> None:
    assert (await repository.get(f"manifests/{reference}")).status_code == 404


@pytest.mark.parametrize("reference", ["sha256:short", DIGEST.upper(), "md5:" + "0" * 32, f"{DIGEST}0", "sha256:"])
async def test_end_3_what_looks_like_a_digest_is_never_taken_for_a_tag(filled: Repository, reference: str) -> None:
    refused(await filled.get(f"manifests/{reference}"), 400, "DIGEST_INVALID")


@pytest.mark.parametrize("reference", ["-dash", "x" * 129, "a%20b", "a+b"])
async def test_end_3_a_tag_outside_the_grammar_is_400(filled: Repository, reference: str) -> None:
    refused(await filled.get(f"manifests/{reference}"), 400, "MANIFEST_INVALID")


@pytest.mark.parametrize(
    "accept",
    ["*/*", OCI_INDEX, DOCKER_MANIFEST, "application/json", "text/html;q=0.1", f"{OCI_INDEX}, {DOCKER_MANIFEST}", ""],
)
async def test_end_3_what_is_stored_is_sent_whatever_the_client_says_it_accepts(
    filled: Repository, accept: str
) -> None:
    response = await filled.get("manifests/latest", headers={"Accept": accept})
    assert (response.status_code, response.headers["Content-Type"]) == (200, OCI_MANIFEST)


async def test_end_3_a_client_that_says_nothing_of_what_it_accepts_gets_it_too(filled: Repository) -> None:
    del filled.http.headers["Accept"]
    assert (await filled.get("manifests/latest")).content == IMAGE


@pytest.mark.parametrize("media_type", [OCI_INDEX, DOCKER_MANIFEST_LIST])
async def test_end_3_a_list_of_platforms_is_never_made_into_one_of_them(filled: Repository, media_type: str) -> None:
    payload = index(IMAGE, media_type=media_type)
    await filled.push_manifest(payload, "all", media_type)
    response = await filled.get("manifests/all", headers={"Accept": f"{OCI_MANIFEST}, {DOCKER_MANIFEST}"})
    assert (response.content, response.headers["Content-Type"]) == (payload, media_type)


async def test_end_3_parameters_of_the_pushed_content_type_are_not_given_back(filled: Repository) -> None:
    assert (await filled.put_manifest(image(), "other", f"{OCI_MANIFEST}; charset=utf-8")).status_code == 201
    assert (await filled.get("manifests/other")).headers["Content-Type"] == OCI_MANIFEST


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("known", [f'"{DIGEST}"', f'W/"{DIGEST}"', f'"other", "{DIGEST}"', "*"])
async def test_end_3_a_client_that_has_it_already_is_told_304(filled: Repository, method: str, known: str) -> None:
    for _ in range(2):
        await filled.get("manifests/latest")
        response = await filled.ask(method, "manifests/latest", headers={"If-None-Match": known})
        assert (response.status_code, response.content) == (304, b"")
        assert fields(response) == {"docker-content-digest": DIGEST, "etag": f'"{DIGEST}"'}


async def test_end_3_a_client_that_has_something_else_gets_the_manifest(filled: Repository) -> None:
    response = await filled.get("manifests/latest", headers={"If-None-Match": f'"{named(b"old")}"'})
    assert (response.status_code, response.content) == (200, IMAGE)


async def test_end_3_a_tag_that_moved_gives_the_new_manifest_at_once(filled: Repository) -> None:
    for number in range(5):
        payload = image(annotations={"n": str(number)})
        await filled.push_manifest(payload, "latest")
        for _ in range(2):
            response = await filled.get("manifests/latest", headers={"If-None-Match": f'"{DIGEST}"'})
            assert (response.status_code, response.content) == (200, payload)
            assert (await filled.head("manifests/latest")).headers["Docker-Content-Digest"] == named(payload)


async def test_end_3_the_digest_is_told_in_the_algorithm_that_was_asked_for(filled: Repository) -> None:
    sha512 = str(Digest.of(IMAGE, Algorithm.SHA512))
    assert await filled.push_manifest(IMAGE, sha512) == sha512
    for digest in (sha512, DIGEST, sha512):
        response = await filled.get(f"manifests/{digest}")
        assert (response.content, response.headers["Docker-Content-Digest"]) == (IMAGE, digest)
        assert response.headers["ETag"] == f'"{digest}"'
