import pytest

from estiva.digest import Digest
from estiva.errors import BlobUnknown, ManifestUnknown, NameUnknown, StillReferenced
from estiva.mediatypes import OCI_INDEX
from estiva.reference import Tag
from registry import Registry
from tests.fixtures.documents import image, index
from tests.fixtures.facts import NAME, OTHER
from tests.fixtures.registry import push_blob, push_manifest


async def test_deleting_a_tag_leaves_the_manifest(registry: Registry) -> None:
    await push_blob(registry, b"{}")
    digest = await push_manifest(registry, image(), "one", "two")
    await registry.deleting.manifest(NAME, Tag("one"))
    assert (await registry.listing.tags(NAME, "", 10)).entries == ["two"]
    assert (await registry.pulling.manifest(NAME, digest)).digest == digest
    with pytest.raises(ManifestUnknown):
        await registry.deleting.manifest(NAME, Tag("one"))


async def test_deleting_a_manifest_takes_all_its_tags(registry: Registry) -> None:
    await push_blob(registry, b"{}")
    digest = await push_manifest(registry, image(), "one", "two")
    await registry.deleting.manifest(NAME, digest)
    assert (await registry.listing.tags(NAME, "", 10)).entries == []
    for reference in (digest, Tag("one")):
        with pytest.raises(ManifestUnknown):
            await registry.pulling.manifest(NAME, reference)
        with pytest.raises(ManifestUnknown):
            await registry.deleting.manifest(NAME, reference)


async def test_what_an_index_lists_is_deleted_after_it_and_not_before(registry: Registry) -> None:
    await push_blob(registry, b"{}")
    child = await push_manifest(registry, image())
    parent = await push_manifest(registry, index(image()), "all", media_type=OCI_INDEX)
    with pytest.raises(StillReferenced) as refused:
        await registry.deleting.manifest(NAME, child)
    assert refused.value.detail == {"manifest": str(parent)}
    await registry.deleting.manifest(NAME, parent)
    await registry.deleting.manifest(NAME, child)


async def test_a_blob_is_deleted_after_the_manifest_that_needs_it_and_not_before(registry: Registry) -> None:
    config = await push_blob(registry, b"{}")
    digest = await push_manifest(registry, image(), "latest")
    with pytest.raises(StillReferenced) as refused:
        await registry.deleting.blob(NAME, config)
    assert refused.value.detail == {"manifest": str(digest)}
    await registry.deleting.manifest(NAME, digest)
    await registry.deleting.blob(NAME, config)
    for attempt in (registry.deleting.blob(NAME, config), registry.pulling.blob(NAME, config)):
        with pytest.raises(BlobUnknown):
            await attempt


async def test_a_blob_that_is_deleted_in_one_repository_stays_in_another(registry: Registry) -> None:
    digest = await push_blob(registry, b"content")
    await push_blob(registry, b"content", OTHER)
    await registry.deleting.blob(NAME, digest)
    assert (await registry.pulling.blob(OTHER, digest)).size == 7


async def test_a_repository_goes_with_everything_in_it_and_can_come_back(registry: Registry) -> None:
    for name in (NAME, OTHER):
        await push_blob(registry, b"{}", name)
        await push_manifest(registry, image(), "latest", name=name)
        await push_manifest(registry, index(image()), "all", name=name, media_type=OCI_INDEX)
    await registry.deleting.repository(NAME)
    assert (await registry.listing.repositories("", 10)).entries == [OTHER.text]
    with pytest.raises(BlobUnknown):
        await registry.pulling.blob(NAME, Digest.of(b"{}"))
    with pytest.raises(NameUnknown):
        await registry.listing.tags(NAME, "", 10)
    with pytest.raises(NameUnknown):
        await registry.deleting.repository(NAME)
    await push_blob(registry, b"{}")
    assert (await registry.listing.tags(NAME, "", 10)).entries == []
    assert (await registry.listing.tags(OTHER, "", 10)).entries == ["all", "latest"]
