from typing import Any

import pytest

from estiva.descriptor import Descriptor
from estiva.digest import Algorithm, Digest
from estiva.errors import ManifestBlobUnknown
from estiva.manifest import parse_manifest
from estiva.mediatypes import DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST
from estiva.reference import Tag
from storage.metadata import blobs, manifests, tags
from storage.metadata.database import ConstraintError, Database, Statement, Work
from storage.metadata.manifests import StoredManifest
from tests.fixtures.documents import described, image, index, named
from tests.fixtures.facts import NAME, OTHER, count, enter_blob, enter_manifest, select

CONFIG, LAYER = b'{"architecture":"amd64"}', b"layer"
IMAGE = image(CONFIG, LAYER)


@pytest.fixture
async def filled(database: Database) -> Database:
    """A repository with one config and one layer."""
    await enter_blob(database, CONFIG)
    await enter_blob(database, LAYER)
    return database


async def missing_from(database: Database, payload: bytes, media_type: str = OCI_MANIFEST) -> list[str]:
    """What a manifest is refused for; nothing of it, its tag included, may be kept."""
    tables = ("manifests", "manifest_blobs", "manifest_children", "tags", "repositories")
    before = [await count(database, table) for table in tables]
    with pytest.raises(ManifestBlobUnknown) as refused:
        await enter_manifest(database, payload, "latest", media_type=media_type)
    assert [await count(database, table) for table in tables] == before
    digests: list[str] = refused.value.detail["digests"]
    return digests


async def test_a_manifest_is_found_by_digest_and_by_every_tag_byte_for_byte(filled: Database) -> None:
    payload = IMAGE.replace(b",", b" ,\n\t", 1)
    digest = await enter_manifest(filled, payload, "one", "two")
    stored = StoredManifest(digest, OCI_MANIFEST, payload)
    for reference in (digest, Tag("one"), Tag("two")):
        assert await filled.read(manifests.find(NAME, reference)) == stored


async def test_a_manifest_is_not_found_elsewhere(filled: Database) -> None:
    digest = await enter_manifest(filled, IMAGE, "one")
    for name, reference in ((OTHER, digest), (OTHER, Tag("one")), (NAME, Tag("two")), (NAME, Digest.of(b""))):
        assert await filled.read(manifests.find(name, reference)) is None


async def test_a_missing_blob_is_named_and_nothing_is_kept(database: Database) -> None:
    assert await missing_from(database, IMAGE) == sorted([named(CONFIG), named(LAYER)])
    await enter_blob(database, CONFIG)
    assert await missing_from(database, IMAGE) == [named(LAYER)]


async def test_a_blob_of_another_repository_is_missing_here(filled: Database) -> None:
    await enter_blob(filled, b"elsewhere", OTHER)
    assert await missing_from(filled, image(CONFIG, b"elsewhere")) == [named(b"elsewhere")]


async def test_a_blob_that_is_known_to_be_bad_is_missing(filled: Database) -> None:
    def damage() -> Work[None]:
        yield Statement("UPDATE blobs SET state = 'corrupt' WHERE digest = :digest", {"digest": named(LAYER)})

    await filled.write(damage)
    assert await missing_from(filled, IMAGE) == [named(LAYER)]


async def test_a_missing_child_is_named_and_nothing_is_kept(filled: Database) -> None:
    await enter_manifest(filled, IMAGE)
    assert await missing_from(filled, index(IMAGE, b"absent"), OCI_INDEX) == [named(b"absent")]


async def test_a_child_of_another_repository_is_missing_here(filled: Database) -> None:
    for content in (CONFIG, LAYER):
        await enter_blob(filled, content, OTHER)
    await enter_manifest(filled, IMAGE, name=OTHER)
    assert await missing_from(filled, index(IMAGE), OCI_INDEX) == [named(IMAGE)]


async def test_no_more_than_a_hundred_missing_digests_are_told(database: Database) -> None:
    layers = [b"%d" % number for number in range(150)]
    assert len(await missing_from(database, image(b"{}", *layers))) == 100


async def test_a_layer_with_urls_may_be_absent(filled: Database) -> None:
    foreign = described(b"foreign", urls=["https://example.com/layer"])
    await enter_manifest(filled, image(CONFIG, layers=[foreign]), "windows")
    assert await count(filled, "manifest_blobs") == 1


async def test_a_layer_with_urls_is_held_where_it_is_present(filled: Database) -> None:
    digest = await enter_manifest(filled, image(CONFIG, layers=[described(LAYER, urls=["https://example.com/"])]))
    assert await filled.read(blobs.user(NAME, Digest.of(LAYER))) == str(digest)


async def test_an_index_may_list_blobs_as_build_caches_do(filled: Database) -> None:
    cache = index(manifests=[described(LAYER), described(CONFIG, "application/vnd.buildkit.cacheconfig.v0")])
    digest = await enter_manifest(filled, cache, "cache", media_type=OCI_INDEX)
    assert await filled.read(blobs.user(NAME, Digest.of(LAYER))) == str(digest)
    with pytest.raises(ConstraintError):
        await filled.write(lambda: blobs.unlink(NAME, Digest.of(LAYER)))


async def test_an_index_may_list_images_and_blobs_side_by_side(filled: Database) -> None:
    child = await enter_manifest(filled, IMAGE)
    mixed = index(manifests=[described(IMAGE, OCI_MANIFEST), described(LAYER)])
    parent = await enter_manifest(filled, mixed, media_type=OCI_INDEX)
    assert await filled.read(manifests.parent(NAME, child)) == str(parent)
    assert await count(filled, "manifest_children") == 1


async def test_an_index_may_list_an_index(filled: Database) -> None:
    await enter_manifest(filled, IMAGE)
    await enter_manifest(filled, index(IMAGE), media_type=OCI_INDEX)
    await enter_manifest(filled, index(manifests=[described(index(IMAGE), OCI_INDEX)]), media_type=OCI_INDEX)
    assert await count(filled, "manifest_children") == 2


async def test_an_empty_index_needs_nothing(database: Database) -> None:
    await enter_manifest(database, index(), "empty", media_type=OCI_INDEX)
    assert await database.read(manifests.find(NAME, Tag("empty"))) is not None


async def test_the_same_layer_twice_is_one_need(filled: Database) -> None:
    await enter_manifest(filled, image(CONFIG, LAYER, LAYER, CONFIG))
    assert await count(filled, "manifest_blobs") == 2


async def test_a_subject_may_be_missing(filled: Database) -> None:
    await enter_manifest(filled, image(CONFIG, subject=described(b"not here", OCI_MANIFEST)))
    assert await count(filled, "manifests") == 1


async def test_the_same_manifest_again_only_moves_tags(filled: Database) -> None:
    await enter_manifest(filled, IMAGE, "one")
    pushed = await filled.read(select("SELECT pushed_at FROM manifests"))
    await enter_manifest(filled, IMAGE, "two")
    assert await filled.read(select("SELECT pushed_at FROM manifests")) == pushed
    assert await filled.read(tags.page(NAME, "", 10)) == ["one", "two"]


async def test_the_same_bytes_under_two_algorithms_are_two_manifests(filled: Database) -> None:
    for algorithm in Algorithm:
        digest = await enter_manifest(filled, IMAGE, algorithm=algorithm)
        found = await filled.read(manifests.find(NAME, digest))
        assert found is not None
        assert found.digest == digest == Digest.of(IMAGE, algorithm)
    assert await count(filled, "manifests") == 2


async def test_deleting_a_manifest_takes_its_tags_and_its_needs(filled: Database) -> None:
    digest = await enter_manifest(filled, IMAGE, "one", "two")
    await enter_manifest(filled, image(CONFIG), "other")
    assert await filled.write(lambda: manifests.delete(NAME, digest))
    assert await filled.read(tags.page(NAME, "", 10)) == ["other"]
    assert await filled.read(blobs.user(NAME, Digest.of(LAYER))) is None
    assert await filled.write(lambda: blobs.unlink(NAME, Digest.of(LAYER)))
    assert not await filled.write(lambda: manifests.delete(NAME, digest))
    assert not await filled.write(lambda: manifests.delete(OTHER, digest))


async def test_a_manifest_that_an_index_lists_stays_with_its_tags(filled: Database) -> None:
    child = await enter_manifest(filled, IMAGE, "one")
    parent = await enter_manifest(filled, index(IMAGE), media_type=OCI_INDEX)
    with pytest.raises(ConstraintError):
        await filled.write(lambda: manifests.delete(NAME, child))
    assert await filled.read(tags.page(NAME, "", 10)) == ["one"]
    assert await filled.read(manifests.parent(NAME, child)) == str(parent)
    assert await filled.write(lambda: manifests.delete(NAME, parent))
    assert await filled.read(manifests.parent(NAME, child)) is None
    assert await filled.write(lambda: manifests.delete(NAME, child))


async def test_a_subject_may_go_before_what_refers_to_it(filled: Database) -> None:
    subject = await enter_manifest(filled, IMAGE)
    await enter_manifest(filled, image(CONFIG, subject=described(IMAGE, OCI_MANIFEST)))
    assert await filled.write(lambda: manifests.delete(NAME, subject))
    assert len(await filled.read(manifests.referrers(NAME, subject, None, "", 10))) == 1


REFERRING: list[tuple[dict[str, Any], str]] = [
    ({"artifactType": "application/sbom", "annotations": {"key": "ü"}}, OCI_MANIFEST),
    ({"artifactType": "application/signature"}, OCI_MANIFEST),
    ({"annotations": {"order": "third"}}, OCI_MANIFEST),
    ({}, DOCKER_MANIFEST),
]


async def test_referrers_are_described_as_a_list_of_them_must(filled: Database) -> None:
    subject = described(b"subject", OCI_MANIFEST)
    expected = []
    for more, media_type in REFERRING:
        payload = image(CONFIG, LAYER, media_type=media_type, subject=subject, **more)
        digest = await enter_manifest(filled, payload, media_type=media_type)
        kind = parse_manifest(payload, media_type).artifact_type
        expected.append(Descriptor(media_type, digest, len(payload), kind, more.get("annotations", {})))
    await enter_manifest(filled, image(CONFIG, subject=described(b"another", OCI_MANIFEST)))
    await enter_manifest(filled, image(CONFIG))
    expected.sort(key=lambda descriptor: str(descriptor.digest))
    found = await filled.read(manifests.referrers(NAME, Digest.of(b"subject"), None, "", 10))
    assert found == expected


async def test_referrers_can_be_filtered_and_paged(filled: Database) -> None:
    subject = described(b"subject", OCI_MANIFEST)
    for number in range(6):
        kind = "application/even" if number % 2 == 0 else "application/odd"
        await enter_manifest(filled, image(CONFIG, subject=subject, artifactType=kind, annotations={"n": str(number)}))
    everything = await filled.read(manifests.referrers(NAME, Digest.of(b"subject"), None, "", 10))
    even = await filled.read(manifests.referrers(NAME, Digest.of(b"subject"), "application/even", "", 10))
    assert [one for one in everything if one.artifact_type == "application/even"] == even
    assert (len(everything), len(even)) == (6, 3)
    first = await filled.read(manifests.referrers(NAME, Digest.of(b"subject"), None, "", 4))
    rest = await filled.read(manifests.referrers(NAME, Digest.of(b"subject"), None, str(first[-1].digest), 4))
    assert first + rest == everything


async def test_nothing_refers_to_what_is_in_another_repository(filled: Database) -> None:
    await enter_manifest(filled, image(CONFIG, subject=described(b"subject", OCI_MANIFEST)))
    assert await filled.read(manifests.referrers(OTHER, Digest.of(b"subject"), None, "", 10)) == []
