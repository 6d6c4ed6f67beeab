"""Specification, "Content Management": end-9 and end-10, and the deletion of whole repositories."""

import pytest

from estiva.digest import Algorithm
from estiva.mediatypes import OCI_INDEX
from tests.conformance.repository import Repository, fields, refused
from tests.fixtures.documents import image, index, named

LAYER = b"layer"
IMAGE = image(b"{}", LAYER)


@pytest.fixture
async def filled(repository: Repository) -> Repository:
    """With an image under two tags."""
    await repository.push_blob(b"{}")
    await repository.push_blob(LAYER)
    await repository.push_manifest(IMAGE, "one")
    await repository.push_manifest(IMAGE, "two")
    return repository


async def delete(repository: Repository, part: str) -> None:
    response = await repository.ask("DELETE", part)
    assert (response.status_code, response.content, fields(response)) == (202, b"", {"content-length": "0"})


async def test_end_9_deleting_a_tag_leaves_the_manifest_and_its_other_tags(filled: Repository) -> None:
    await filled.get("manifests/one")
    await delete(filled, "manifests/one")
    refused(await filled.get("manifests/one"), 404, "MANIFEST_UNKNOWN")
    assert await filled.tags() == ["two"]
    for reference in ("two", named(IMAGE)):
        assert (await filled.get(f"manifests/{reference}")).content == IMAGE


async def test_end_9_deleting_a_manifest_takes_its_tags(filled: Repository) -> None:
    for reference in ("one", named(IMAGE)):
        await filled.get(f"manifests/{reference}")
    await delete(filled, f"manifests/{named(IMAGE)}")
    for reference in ("one", "two", named(IMAGE)):
        refused(await filled.get(f"manifests/{reference}"), 404, "MANIFEST_UNKNOWN")
    assert await filled.tags() == []


@pytest.mark.parametrize("reference", ["absent", named(b"absent")])
async def test_end_9_what_is_not_there_is_manifest_unknown(
    filled: Repository, other: Repository, reference: str
) -> None:
    refused(await filled.ask("DELETE", f"manifests/{reference}"), 404, "MANIFEST_UNKNOWN")
    refused(await other.ask("DELETE", f"manifests/{reference}"), 404, "MANIFEST_UNKNOWN")


async def test_end_9_twice_is_once(filled: Repository) -> None:
    for reference in ("one", named(IMAGE)):
        await delete(filled, f"manifests/{reference}")
        refused(await filled.ask("DELETE", f"manifests/{reference}"), 404, "MANIFEST_UNKNOWN")


async def test_end_9_a_manifest_that_an_index_lists_goes_after_it(filled: Repository) -> None:
    await filled.push_manifest(index(IMAGE), "all", OCI_INDEX)
    detail = refused(await filled.ask("DELETE", f"manifests/{named(IMAGE)}"), 409, "DENIED")
    assert detail == {"manifest": named(index(IMAGE))}
    assert await filled.tags() == ["all", "one", "two"]
    await delete(filled, f"manifests/{named(index(IMAGE))}")
    await delete(filled, f"manifests/{named(IMAGE)}")


async def test_end_9_a_manifest_can_come_back(filled: Repository) -> None:
    await delete(filled, f"manifests/{named(IMAGE)}")
    await filled.push_manifest(IMAGE, "three")
    assert await filled.tags() == ["three"]


async def test_end_10_a_blob_is_gone_at_once(filled: Repository) -> None:
    digest = await filled.push_blob(b"alone")
    for _ in range(2):
        assert (await filled.get(f"blobs/{digest}")).content == b"alone"
    await delete(filled, f"blobs/{digest}")
    for method in ("GET", "DELETE"):
        refused(await filled.ask(method, f"blobs/{digest}"), 404, "BLOB_UNKNOWN")
    assert (await filled.head(f"blobs/{digest}")).status_code == 404


async def test_end_10_a_blob_that_another_repository_holds_is_gone_here_alone(
    filled: Repository, other: Repository
) -> None:
    digest = await filled.push_blob(b"shared")
    await other.push_blob(b"shared")
    await delete(filled, f"blobs/{digest}")
    assert (await filled.head(f"blobs/{digest}")).status_code == 404
    assert (await other.get(f"blobs/{digest}")).content == b"shared"


async def test_end_10_a_blob_that_a_manifest_needs_goes_after_it(filled: Repository) -> None:
    detail = refused(await filled.ask("DELETE", f"blobs/{named(LAYER)}"), 409, "DENIED")
    assert detail == {"manifest": named(IMAGE)}
    assert (await filled.get(f"blobs/{named(LAYER)}")).content == LAYER
    await delete(filled, f"manifests/{named(IMAGE)}")
    await delete(filled, f"blobs/{named(LAYER)}")


async def test_end_10_deletes_sha512_too(filled: Repository) -> None:
    digest = await filled.push_blob(LAYER, Algorithm.SHA512)
    await delete(filled, f"blobs/{digest}")
    assert (await filled.get(f"blobs/{named(LAYER)}")).content == LAYER


@pytest.mark.parametrize("digest", ["sha256:short", "latest", "md5:" + "0" * 32])
async def test_end_9_and_end_10_what_is_no_digest_is_400(filled: Repository, digest: str) -> None:
    refused(await filled.ask("DELETE", f"blobs/{digest}"), 400, "DIGEST_INVALID")
    if ":" in digest:
        refused(await filled.ask("DELETE", f"manifests/{digest}"), 400, "DIGEST_INVALID")
