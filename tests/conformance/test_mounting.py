"""Specification, "Mounting a blob from another repository": end-11."""

import pytest

from estiva.digest import Algorithm
from tests.conformance.repository import Repository, fields, with_digest
from tests.fixtures.documents import named


@pytest.fixture
async def filled(repository: Repository) -> Repository:
    """With a blob that no other test pushes."""
    await repository.push_blob(content(repository))
    return repository


def content(repository: Repository) -> bytes:
    return f"only in {repository.name}".encode()


async def test_end_11_mounts_what_the_named_repository_has(filled: Repository, other: Repository) -> None:
    digest = named(content(filled))
    response = await other.ask("POST", f"blobs/uploads/?mount={digest}&from={filled.name}")
    assert (response.status_code, fields(response)) == (
        201,
        {"location": f"/v2/{other.name}/blobs/{digest}", "docker-content-digest": digest, "content-length": "0"},
    )
    assert (await other.get(f"blobs/{digest}")).content == content(filled)


async def test_end_11_mounts_from_wherever_it_is_when_no_repository_is_named(
    filled: Repository, other: Repository
) -> None:
    digest = named(content(filled))
    response = await other.ask("POST", f"blobs/uploads/?mount={digest}")
    assert (response.status_code, response.headers["Location"]) == (201, f"/v2/{other.name}/blobs/{digest}")
    assert (await other.get(f"blobs/{digest}")).content == content(filled)


async def test_end_11_passes_over_what_else_a_client_says(filled: Repository, other: Repository) -> None:
    """crane adds the host that the blob came from."""
    digest = named(content(filled))
    query = f"from={filled.name}&mount={digest}&origin=127.0.0.1"
    assert (await other.ask("POST", f"blobs/uploads/?{query}")).status_code == 201


async def test_end_11_mounts_into_the_repository_that_has_it_already(filled: Repository) -> None:
    digest = named(content(filled))
    response = await filled.ask("POST", f"blobs/uploads/?mount={digest}&from={filled.name}")
    assert response.status_code == 201


async def test_end_11_mounts_sha512_too(filled: Repository, other: Repository) -> None:
    digest = await filled.push_blob(content(filled), Algorithm.SHA512)
    assert (await other.ask("POST", f"blobs/uploads/?mount={digest}&from={filled.name}")).status_code == 201
    assert (await other.get(f"blobs/{digest}")).content == content(filled)


@pytest.mark.parametrize("source", ["", "&from=not/there", "&from=UPPER", "&from="])
async def test_end_11_what_can_not_be_mounted_is_an_upload_that_has_begun(other: Repository, source: str) -> None:
    digest = named(b"nobody has this")
    response = await other.ask("POST", f"blobs/uploads/?mount={digest}{source}")
    assert (response.status_code, response.headers["Range"]) == (202, "0-0")
    location = response.headers["Location"]
    response = await other.ask("PUT", with_digest(location, digest), content=b"nobody has this")
    assert response.status_code == 201
    assert (await other.ask("DELETE", f"blobs/{digest}")).status_code == 202


async def test_end_11_the_named_repository_alone_counts(filled: Repository, other: Repository) -> None:
    digest = named(content(filled))
    response = await other.ask("POST", f"blobs/uploads/?mount={digest}&from={other.name}/third")
    assert response.status_code == 202
    assert (await other.head(f"blobs/{digest}")).status_code == 404


async def test_end_11_a_mounted_blob_outlives_its_source(filled: Repository, other: Repository) -> None:
    digest = named(content(filled))
    assert (await other.ask("POST", f"blobs/uploads/?mount={digest}&from={filled.name}")).status_code == 201
    assert (await filled.ask("DELETE", f"blobs/{digest}")).status_code == 202
    assert (await filled.head(f"blobs/{digest}")).status_code == 404
    assert (await other.get(f"blobs/{digest}")).content == content(filled)
