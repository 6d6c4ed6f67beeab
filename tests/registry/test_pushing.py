import pytest

from estiva.digest import Algorithm, Digest
from estiva.errors import DigestInvalid, ManifestBlobUnknown, ManifestInvalid
from estiva.mediatypes import OCI_INDEX, OCI_MANIFEST
from estiva.reference import RepositoryName, Tag
from registry import Registry
from registry.pushing import READ_INLINE
from storage.metadata.database import ConstraintError, Database
from tests.fixtures.documents import image, index
from tests.fixtures.facts import NAME, count
from tests.fixtures.registry import push_blob

LATEST = Tag("latest")


@pytest.mark.parametrize("padding", [0, READ_INLINE, 1_000_000])
async def test_a_manifest_of_any_size_comes_back_byte_for_byte(registry: Registry, padding: int) -> None:
    await push_blob(registry, b"{}")
    payload = image(annotations={"padding": "x" * padding}) + b"\n \t"
    digest, manifest = await registry.pushing.manifest(NAME, LATEST, [], OCI_MANIFEST, payload)
    assert digest == Digest.of(payload)
    assert manifest.annotations["padding"] == "x" * padding
    for reference in (LATEST, digest):
        stored = await registry.pulling.manifest(NAME, reference)
        assert (stored.digest, stored.media_type, stored.payload) == (digest, OCI_MANIFEST, payload)


async def test_the_tag_of_the_path_and_those_of_the_query_all_point_at_it(registry: Registry) -> None:
    await push_blob(registry, b"{}")
    await registry.pushing.manifest(NAME, LATEST, [Tag("1"), LATEST, Tag("1.2"), Tag("1")], OCI_MANIFEST, image())
    assert (await registry.listing.tags(NAME, "", 10)).entries == ["1", "1.2", "latest"]


@pytest.mark.parametrize("algorithm", list(Algorithm))
async def test_a_digest_in_the_path_must_be_the_payloads(registry: Registry, algorithm: Algorithm) -> None:
    await push_blob(registry, b"{}")
    digest = Digest.of(image(), algorithm)
    assert (await registry.pushing.manifest(NAME, digest, [LATEST], OCI_MANIFEST, image()))[0] == digest
    assert (await registry.pulling.manifest(NAME, LATEST)).digest == digest
    wrong = Digest.of(b"other", algorithm)
    with pytest.raises(DigestInvalid) as refused:
        await registry.pushing.manifest(NAME, wrong, [Tag("wrong")], OCI_MANIFEST, image())
    assert refused.value.detail == {"named": str(wrong), "computed": str(digest)}
    assert (await registry.listing.tags(NAME, "", 10)).entries == ["latest"]


@pytest.mark.parametrize("payload", [b"", b"{}", b"x" * (READ_INLINE + 1)])
async def test_what_is_no_manifest_leaves_no_trace(registry: Registry, database: Database, payload: bytes) -> None:
    with pytest.raises(ManifestInvalid):
        await registry.pushing.manifest(NAME, LATEST, [], OCI_MANIFEST, payload)
    assert await count(database, "repositories") == 0


async def test_a_manifest_without_its_blobs_leaves_no_trace(registry: Registry, database: Database) -> None:
    with pytest.raises(ManifestBlobUnknown):
        await registry.pushing.manifest(NAME, LATEST, [], OCI_MANIFEST, image())
    with pytest.raises(ManifestBlobUnknown):
        await registry.pushing.manifest(NAME, LATEST, [], OCI_INDEX, index(image()))
    assert await count(database, "repositories") == 0


async def test_what_is_deleted_between_the_look_and_the_entry_is_unknown(
    registry: Registry, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(work: object, *, durable: bool = True) -> None:
        raise ConstraintError("FOREIGN KEY constraint failed")

    monkeypatch.setattr(database, "write", refuse)
    with pytest.raises(ManifestBlobUnknown):
        await registry.pushing.manifest(RepositoryName("a"), LATEST, [], OCI_MANIFEST, image())
