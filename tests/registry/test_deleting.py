import itertools
from collections.abc import Sequence

import pytest

from estiva.digest import Digest
from estiva.errors import BlobUnknown, Denied, ImageInUse, ManifestUnknown, NameUnknown, StillReferenced, Unavailable
from estiva.mediatypes import OCI_INDEX, OCI_MANIFEST
from estiva.reference import Tag
from registry import Registry, permitting
from registry.deleting import Deleting
from registry.pushed import Push
from storage.metadata import audit
from storage.metadata.audit import Actor
from storage.metadata.sqlite import SQLiteDatabase
from tests.fixtures.documents import image, index
from tests.fixtures.events import Users, enter_webhook
from tests.fixtures.facts import NAME, OTHER, select
from tests.fixtures.registry import push_blob, push_manifest


async def test_deleting_a_tag_leaves_the_manifest(registry: Registry) -> None:
    await push_blob(registry, b"{}")
    digest = await push_manifest(registry, image(), "one", "two")
    await registry.deleting.manifest(NAME, Tag("one"), permit=None)
    assert (await registry.listing.tags(NAME, "", 10)).entries == ["two"]
    assert (await registry.pulling.manifest(NAME, digest)).digest == digest
    with pytest.raises(ManifestUnknown):
        await registry.deleting.manifest(NAME, Tag("one"), permit=None)


async def test_deleting_a_manifest_takes_all_its_tags(registry: Registry) -> None:
    await push_blob(registry, b"{}")
    digest = await push_manifest(registry, image(), "one", "two")
    await registry.deleting.manifest(NAME, digest, permit=None)
    assert (await registry.listing.tags(NAME, "", 10)).entries == []
    for reference in (digest, Tag("one")):
        with pytest.raises(ManifestUnknown):
            await registry.pulling.manifest(NAME, reference)
        with pytest.raises(ManifestUnknown):
            await registry.deleting.manifest(NAME, reference, permit=None)


async def test_what_an_index_lists_is_deleted_after_it_and_not_before(registry: Registry) -> None:
    await push_blob(registry, b"{}")
    child = await push_manifest(registry, image())
    parent = await push_manifest(registry, index(image()), "all", media_type=OCI_INDEX)
    with pytest.raises(StillReferenced) as refused:
        await registry.deleting.manifest(NAME, child, permit=None)
    assert refused.value.detail == {"manifest": str(parent)}
    await registry.deleting.manifest(NAME, parent, permit=None)
    await registry.deleting.manifest(NAME, child, permit=None)


async def test_a_blob_is_deleted_after_the_manifest_that_needs_it_and_not_before(registry: Registry) -> None:
    config = await push_blob(registry, b"{}")
    digest = await push_manifest(registry, image(), "latest")
    with pytest.raises(StillReferenced) as refused:
        await registry.deleting.blob(NAME, config)
    assert refused.value.detail == {"manifest": str(digest)}
    await registry.deleting.manifest(NAME, digest, permit=None)
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
    await registry.deleting.repository(NAME, permit=None)
    assert (await registry.listing.repositories("", 10)).entries == [OTHER.text]
    with pytest.raises(BlobUnknown):
        await registry.pulling.blob(NAME, Digest.of(b"{}"))
    with pytest.raises(NameUnknown):
        await registry.listing.tags(NAME, "", 10)
    with pytest.raises(NameUnknown):
        await registry.deleting.repository(NAME, permit=None)
    await push_blob(registry, b"{}")
    assert (await registry.listing.tags(NAME, "", 10)).entries == []
    assert (await registry.listing.tags(OTHER, "", 10)).entries == ["all", "latest"]


async def test_an_image_in_use_stays(database: SQLiteDatabase, registry: Registry) -> None:
    await push_blob(registry, b"{}")
    digest = await push_manifest(registry, image(), "one", "two")
    users = Users({digest: "service default/web"})
    deleting = Deleting(database, registry.uploading, users)
    for attempt in (deleting.manifest(NAME, digest, permit=None), deleting.repository(NAME, permit=None)):
        with pytest.raises(ImageInUse) as refused:
            await attempt
        assert refused.value.status == 409
        assert refused.value.detail == {"digest": str(digest), "usedBy": "service default/web"}
    # A tag is only a name: those who use the image know it by its digest.
    await deleting.manifest(NAME, Tag("two"), permit=None)
    assert (await registry.pulling.manifest(NAME, Tag("one"))).digest == digest
    users.used.clear()
    await deleting.manifest(NAME, digest, permit=None)
    await deleting.repository(NAME, permit=None)


async def test_deletions_leave_a_trail(database: SQLiteDatabase, registry: Registry) -> None:
    await push_blob(registry, b"{}")
    digest = await push_manifest(registry, image(), "one", "two")
    alice = Actor("user/alice", "192.0.2.1")
    await registry.deleting.manifest(NAME, Tag("one"), alice, permit=None)
    await registry.deleting.manifest(NAME, digest, alice, permit=None)
    for reference in (digest, Tag("one")):
        with pytest.raises(ManifestUnknown):
            await registry.deleting.manifest(NAME, reference, alice, permit=None)
    await registry.deleting.repository(NAME, alice, permit=None)
    found = await database.read(audit.page(1000, 10, f"repository/{NAME}"))
    assert {(record.actor, record.address) for record in found} == {("user/alice", "192.0.2.1")}
    assert [(record.action, record.detail) for record in reversed(found)] == [
        ("DeleteTag", {"tag": "one", "digest": str(digest)}),
        ("DeleteImage", {"digest": str(digest), "tags": ["two"]}),
        ("DeleteRepository", {}),
    ]


async def test_pushes_and_deletions_are_told_with_who_did_it(database: SQLiteDatabase, registry: Registry) -> None:
    await enter_webhook(database)
    await push_blob(registry, b"{}")
    alice = Actor("user/alice")
    digest = Digest.of(image())
    await registry.pushing.manifest(NAME, Tag("one"), [Tag("two")], OCI_MANIFEST, image(), Push(alice))
    await registry.pushing.manifest(NAME, digest, [], OCI_MANIFEST, image(), Push(alice))
    await registry.deleting.manifest(NAME, Tag("one"), alice, permit=None)
    await registry.deleting.manifest(NAME, digest, alice, permit=None)
    rows = await database.read(select("SELECT action, tag, digest, actor FROM deliveries ORDER BY id"))
    assert [row[:2] for row in rows] == [
        ("PUSH", "one"),
        ("PUSH", "two"),
        ("PUSH", None),
        ("DELETE", "one"),
        ("DELETE", "two"),
    ]
    assert {row[2:] for row in rows} == {(str(digest), "user/alice")}


async def refuse_prod(tags: Sequence[Tag]) -> None:
    if any(tag.text.startswith("prod") for tag in tags):
        raise Denied


async def test_a_manifest_goes_only_if_every_tag_on_it_may(registry: Registry) -> None:
    await push_blob(registry, b"{}")
    digest = await push_manifest(registry, image(), "dev", "prod-1", "test")
    with pytest.raises(Denied):
        await registry.deleting.manifest(NAME, digest, permit=refuse_prod)
    assert (await registry.listing.tags(NAME, "", 10)).entries == ["dev", "prod-1", "test"]
    await registry.deleting.manifest(NAME, Tag("prod-1"), permit=None)
    await registry.deleting.manifest(NAME, digest, permit=refuse_prod)
    assert (await registry.listing.tags(NAME, "", 10)).entries == []


async def test_a_tag_that_is_put_on_it_after_the_question_is_asked_about_as_well(registry: Registry) -> None:
    await push_blob(registry, b"{}")
    digest = await push_manifest(registry, image(), "dev")
    asked: list[list[str]] = []

    async def while_others_push(tags: Sequence[Tag]) -> None:
        asked.append([tag.text for tag in tags])
        await refuse_prod(tags)
        if len(asked) < 3:
            await push_manifest(registry, image(), f"dev-{len(asked)}")
        elif len(asked) == 3:
            await push_manifest(registry, image(), "prod")

    with pytest.raises(Denied):
        await registry.deleting.manifest(NAME, digest, permit=while_others_push)
    assert asked == [["dev"], ["dev-1"], ["dev-2"], ["prod"]]
    assert (await registry.listing.tags(NAME, "", 10)).entries == ["dev", "dev-1", "dev-2", "prod"]
    assert (await registry.pulling.manifest(NAME, digest)).digest == digest


async def test_the_tags_of_a_repository_are_asked_about_page_by_page_and_again(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(permitting, "ASKED_AT_ONCE", 2)
    await push_blob(registry, b"{}")
    await push_manifest(registry, image(), "a", "b", "c", "d", "e")
    asked: list[str] = []

    async def once_more(tags: Sequence[Tag]) -> None:
        asked.extend(tag.text for tag in tags)
        await refuse_prod(tags)
        if asked == ["a", "b", "c", "d", "e"]:
            await push_manifest(registry, image(), "aa", "f")

    await registry.deleting.repository(NAME, permit=once_more)
    assert asked == ["a", "b", "c", "d", "e", "aa", "f"]
    await push_blob(registry, b"{}")
    await push_manifest(registry, image(), "a", "prod")
    with pytest.raises(Denied):
        await registry.deleting.repository(NAME, permit=refuse_prod)
    assert (await registry.listing.tags(NAME, "", 10)).entries == ["a", "prod"]


async def test_tags_that_never_rest_end_the_attempt_and_nothing_is_lost(registry: Registry) -> None:
    await push_blob(registry, b"{}")
    digest = await push_manifest(registry, image(), "one")
    numbers = itertools.count()

    async def another_each_time(tags: Sequence[Tag]) -> None:
        await push_manifest(registry, image(), f"dev-{next(numbers)}")

    with pytest.raises(Unavailable):
        await registry.deleting.manifest(NAME, digest, permit=another_each_time)
    assert (await registry.pulling.manifest(NAME, Tag("one"))).digest == digest


async def test_an_image_that_goes_as_in_ecr_goes_only_if_each_tag_may(registry: Registry) -> None:
    await push_blob(registry, b"{}")
    digest = await push_manifest(registry, image(), "dev", "prod")
    for named in ((None, Tag("prod")), (digest, None), (digest, Tag("prod"))):
        with pytest.raises(Denied):
            await registry.deleting.image(NAME, *named, permit=refuse_prod)
    assert await registry.deleting.image(NAME, None, Tag("dev"), permit=refuse_prod) == (digest, [Tag("dev")])
    with pytest.raises(Denied):
        await registry.deleting.image(NAME, digest, None, permit=refuse_prod)
    await push_manifest(registry, image(), "dev")
    await registry.deleting.manifest(NAME, Tag("prod"), permit=None)
    assert await registry.deleting.image(NAME, digest, None, permit=refuse_prod) == (digest, [Tag("dev")])
