import pytest

from estiva.digest import Digest
from estiva.errors import BlobUnknown, ManifestUnknown
from estiva.reference import Reference, Tag
from registry import Registry
from storage.blobs.memory import MemoryBlobStore
from tests.fixtures.documents import image
from tests.fixtures.facts import NAME, OTHER
from tests.fixtures.registry import push_blob, push_manifest


async def test_a_blob_is_its_bytes(registry: Registry) -> None:
    digest = await push_blob(registry, b"content")
    blob = await registry.pulling.blob(NAME, digest)
    assert (blob.digest, blob.size) == (digest, 7)
    with await registry.pulling.open(blob) as file:
        assert file.read() == b"content"


async def test_a_blob_of_another_repository_is_unknown(registry: Registry) -> None:
    digest = await push_blob(registry, b"content")
    for name, wanted in ((OTHER, digest), (NAME, Digest.of(b"other"))):
        with pytest.raises(BlobUnknown) as refused:
            await registry.pulling.blob(name, wanted)
        assert refused.value.detail == {"digest": str(wanted)}


async def test_bytes_that_the_store_has_lost_are_unknown(registry: Registry, blob_store: MemoryBlobStore) -> None:
    blob = await registry.pulling.blob(NAME, await push_blob(registry, b"content"))
    blob_store.delete_blob(blob.key)
    with pytest.raises(BlobUnknown):
        await registry.pulling.open(blob)


@pytest.mark.parametrize("reference", [Tag("latest"), Digest.of(b"none")])
async def test_a_manifest_that_is_not_there_is_unknown(registry: Registry, reference: Reference) -> None:
    await push_blob(registry, b"{}")
    await push_manifest(registry, image(), "other")
    with pytest.raises(ManifestUnknown) as refused:
        await registry.pulling.manifest(NAME, reference)
    assert refused.value.detail == {"name": NAME.text, "reference": str(reference)}


async def test_the_version_changes_with_what_is_pushed(registry: Registry) -> None:
    before = registry.pulling.version()
    await push_blob(registry, b"content")
    assert before is None or registry.pulling.version() != before
