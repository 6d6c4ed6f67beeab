import asyncio
from collections.abc import Awaitable, Callable

import pytest

from estiva.digest import Digest
from estiva.errors import BlobUploadUnknown, NameInvalid, QuotaExceeded, RequestInvalid
from estiva.mediatypes import OCI_MANIFEST
from estiva.reference import RepositoryName, Tag
from registry import Registry
from registry.begun import UploadKey
from registry.quotas import LARGEST, QuotaUnknown, parse_subject
from storage.blobs.memory import MemoryBlobStore
from storage.metadata.audit import Actor
from storage.metadata.database import Database
from storage.metadata.quotas import ALL
from tests.fixtures.documents import image
from tests.fixtures.facts import NAME, OTHER, count
from tests.fixtures.registry import body, push_blob, push_manifest

ADMIN = Actor("admin")
ACCOUNT = RepositoryName(ALL)


async def stored(store: MemoryBlobStore) -> int:
    return len(list(store.stored_blobs("")))


async def begun(registry: Registry, name: RepositoryName = NAME) -> UploadKey:
    return UploadKey(name, await registry.uploading.start(name))


async def gone(registry: Registry, key: UploadKey) -> bool:
    with pytest.raises(BlobUploadUnknown):
        await registry.uploading.offset(key)
    return not await registry.uploading._begun.has_bytes(key.id)


async def test_a_chunk_that_says_it_is_too_long_is_refused_before_a_byte_of_it_comes(
    registry: Registry, database: Database
) -> None:
    await registry.quotas.put(ADMIN, NAME, 10)
    key = await begun(registry)
    with pytest.raises(QuotaExceeded, match="adding 11 bytes would exceed the quota of repository library/hello"):
        await registry.uploading.append(key, never, size=11)
    assert await gone(registry, key)


async def never(write: object) -> int:
    raise AssertionError("the body was read")


async def test_a_stream_of_unknown_length_is_cut_where_it_would_go_over(registry: Registry, database: Database) -> None:
    await registry.quotas.put(ADMIN, NAME, 10)
    key = await begun(registry)

    async def stream(write: Callable[[memoryview], None], end: Callable[[], None]) -> int:
        await asyncio.to_thread(write, memoryview(b"1234567890"))
        await asyncio.to_thread(write, memoryview(b"1"))
        raise AssertionError("it went on")

    with pytest.raises(QuotaExceeded, match="adding 11 bytes"):
        await registry.uploading.append_stream(key, stream)
    assert await gone(registry, key)


async def test_a_stream_is_cut_where_it_would_go_over(registry: Registry, database: Database) -> None:
    await registry.quotas.put(ADMIN, NAME, 10)
    key = await begun(registry)
    assert await registry.uploading.append(key, body(b"12345", b"67890")) == 10
    with pytest.raises(QuotaExceeded):
        await registry.uploading.append(key, body(b"1"))
    assert await gone(registry, key)


async def test_a_blob_that_comes_at_once_is_refused_before_it_is_stored(
    registry: Registry, database: Database, blob_store: MemoryBlobStore
) -> None:
    await registry.quotas.put(ADMIN, ACCOUNT, 10)
    content = b"eleven bytes"
    for attempt in (
        registry.uploading.take(NAME, Digest.of(content), content),
        registry.uploading.finish_whole(await begun(registry), Digest.of(content), content),
        registry.uploading.finish(await begun(registry), Digest.of(content), body(content)),
        registry.uploading.finish(await begun(registry), Digest.of(content), never, size=12),
        registry.uploading.require_quota(NAME, 12),
    ):
        with pytest.raises(QuotaExceeded, match="would exceed the quota of this account: 0 of 10 bytes are used"):
            await attempt
    assert await stored(blob_store) == 0
    assert list(blob_store.stale_uploads(-1)) == []
    assert await count(database, "blobs") == 0


async def test_what_the_repository_has_already_may_come_again(registry: Registry) -> None:
    digest = await push_blob(registry, b"content")
    await push_blob(registry, b"{}")
    await push_manifest(registry, image(b"{}"), "1")
    await registry.quotas.put(ADMIN, NAME, 0)
    await registry.uploading.require_quota(NAME, 7, digest)
    await registry.uploading.take(NAME, digest, b"content")
    await registry.uploading.finish(await begun(registry), digest, body(b"content"), size=7)
    assert await registry.uploading.mount(NAME, digest, [NAME])
    await push_manifest(registry, image(b"{}"), "2")
    with pytest.raises(QuotaExceeded):
        await push_manifest(registry, image(b"{}", annotations={"a": "b"}), "3")
    with pytest.raises(QuotaExceeded):
        await registry.uploading.require_quota(NAME)


async def test_a_mount_is_refused_where_the_repository_is_full(registry: Registry) -> None:
    digest = await push_blob(registry, b"content")
    await registry.quotas.put(ADMIN, OTHER, 6)
    with pytest.raises(QuotaExceeded):
        await registry.uploading.mount(OTHER, digest, [NAME])
    await registry.quotas.put(ADMIN, OTHER, 7)
    assert await registry.uploading.mount(OTHER, digest, [NAME])


async def test_a_full_repository_is_pulled_from_and_deleted_from(registry: Registry) -> None:
    await push_blob(registry, b"{}")
    digest = await push_manifest(registry, image(b"{}"), "1")
    await registry.quotas.put(ADMIN, NAME, 0)
    await registry.quotas.put(ADMIN, ACCOUNT, 0)
    assert (await registry.pulling.manifest(NAME, Tag("1"))).digest == digest
    await registry.pulling.blob(NAME, Digest.of(b"{}"))
    await registry.deleting.manifest(NAME, digest, permit=None)
    assert (await registry.quotas.find(NAME)).used == 2
    await registry.deleting.blob(NAME, Digest.of(b"{}"))
    assert (await registry.quotas.find(NAME)).used == 0


@pytest.mark.parametrize("subject", [NAME, ACCOUNT], ids=["repository", "account"])
async def test_twenty_who_push_at_once_never_go_over(
    registry: Registry, blob_store: MemoryBlobStore, subject: RepositoryName
) -> None:
    await registry.quotas.put(ADMIN, subject, 1000)

    async def pushed(number: int) -> bool:
        name = OTHER if subject == ACCOUNT and number % 2 else NAME
        try:
            await push_blob(registry, f"{number:03}".encode() * 50, name)
        except QuotaExceeded:
            return False
        return True

    results = await asyncio.gather(*map(pushed, range(20)))
    assert sum(results) == 6
    found = await registry.quotas.find(subject)
    assert found.used == 900
    assert await registry.quotas.recount() == 0
    assert await stored(blob_store) == 6


async def test_twenty_who_push_the_same_to_two_repositories_at_once_count_it_once_for_the_account(
    registry: Registry,
) -> None:
    for subject in (ACCOUNT, NAME, OTHER):
        await registry.quotas.put(ADMIN, subject, 10_000)
    await push_blob(registry, b"{}")
    digest = Digest.of(b"content")

    async def mounted(name: RepositoryName) -> None:
        await push_blob(registry, b"{}", name)
        await registry.uploading.mount(name, digest, [NAME, OTHER])
        await registry.pushing.manifest(name, Tag("1"), [], OCI_MANIFEST, image(b"{}"))

    pushes: list[Awaitable[object]] = [push_blob(registry, b"content", (NAME, OTHER)[n % 2]) for n in range(20)]
    pushes += [mounted((NAME, OTHER)[n % 2]) for n in range(20)]
    await asyncio.gather(*pushes)
    each = 2 + 7 + len(image(b"{}"))
    assert [(await registry.quotas.find(one)).used for one in (NAME, OTHER)] == [each, each]
    assert (await registry.quotas.find(ACCOUNT)).used == 2 + 7 + 2 * len(image(b"{}"))
    assert await registry.quotas.recount() == 0


async def test_a_quota_that_is_set_while_others_push_counts_what_they_push(registry: Registry) -> None:
    names = [RepositoryName(f"a/{number}") for number in range(20)]

    async def put() -> None:
        await registry.quotas.put(ADMIN, ACCOUNT, 10_000)

    await asyncio.gather(*(push_blob(registry, name.text.encode(), name) for name in names[:10]))
    await asyncio.gather(*(push_blob(registry, name.text.encode(), name) for name in names), put())
    assert (await registry.quotas.find(ACCOUNT)).used == sum(len(name.text) for name in names)


async def test_quotas_are_set_shown_and_removed(registry: Registry, database: Database) -> None:
    foreign = parse_subject("~123456789012:*")
    await registry.quotas.put(ADMIN, foreign, 5)
    assert (await registry.quotas.put(ADMIN, NAME, 6)).limit == 6
    assert [quota.subject for quota in await registry.quotas.page("", 10)] == [NAME, foreign]
    await registry.quotas.delete(ADMIN, foreign)
    for missing in (registry.quotas.delete(ADMIN, foreign), registry.quotas.find(foreign)):
        with pytest.raises(QuotaUnknown):
            await missing
    assert await count(database, "audit") == 3


@pytest.mark.parametrize("limit", [-1, LARGEST + 1])
async def test_no_quota_is_below_nothing_or_beyond_all(registry: Registry, limit: int) -> None:
    with pytest.raises(RequestInvalid):
        await registry.quotas.put(ADMIN, NAME, limit)


@pytest.mark.parametrize("text", ["", "**", "A", "~1:*", "~123456789012:", "~123456789012:A", "a:b", "~"])
def test_nothing_else_has_a_quota(text: str) -> None:
    with pytest.raises(NameInvalid):
        parse_subject(text)
