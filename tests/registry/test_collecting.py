"""Garbage collection on the whole domain: in a tight loop, without any grace, while everybody pushes."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TypeVar

import asyncpg
import pytest

from estiva.digest import Digest
from estiva.errors import BlobUnknown, ManifestBlobUnknown, ManifestUnknown, RegistryError, Unavailable
from estiva.mediatypes import OCI_MANIFEST
from estiva.reference import RepositoryName, Tag
from registry import Registry
from registry.collecting import Retention
from storage.blobs import BlobStore
from storage.blobs.filesystem import FilesystemBlobStore
from storage.blobs.memory import MemoryBlobStore
from storage.metadata import collection
from storage.metadata.audit import SERVER
from storage.metadata.database import Database, Statement, Work
from storage.metadata.opening import open_database
from tests.fixtures.documents import image
from tests.fixtures.facts import NAME, count
from tests.fixtures.registry import push_blob, push_manifest, registry_on

AT_ONCE = Retention(grace=0, trash=0)
PUSHERS, SECONDS, PATIENCE = 20, 3.0, 80.0
T = TypeVar("T")


@pytest.fixture(params=["memory", "filesystem"])
def blob_store(request: pytest.FixtureRequest, tmp_path: Path) -> BlobStore:
    return MemoryBlobStore() if request.param == "memory" else FilesystemBlobStore(tmp_path / "blobs")


@pytest.fixture
def hasty(database: Database, blob_store: BlobStore, threads: ThreadPoolExecutor) -> Registry:
    """A registry that keeps nothing a moment longer than it is needed."""
    return registry_on(database, blob_store, threads, AT_ONCE)


async def pulled(registry: Registry, digest: Digest, name: RepositoryName = NAME) -> bytes:
    with await registry.pulling.open(await registry.pulling.blob(name, digest)) as file:
        return file.read()


async def test_what_nothing_needs_is_gone_bytes_and_all(hasty: Registry, database: Database) -> None:
    unneeded, needed = await push_blob(hasty, b"unneeded"), await push_blob(hasty, b"{}")
    await push_manifest(hasty, image(b"{}"), "latest")
    status = await hasty.collecting.status()
    assert (status.candidates, status.unneeded, status.unneeded_bytes) == (2, 1, 8)
    done = await hasty.collecting.run()
    assert (done.judged, done.trashed, done.trashed_bytes, done.removed, done.removed_bytes) == (2, 1, 8, 1, 8)
    assert done.finished
    with pytest.raises(BlobUnknown):
        await pulled(hasty, unneeded)
    assert await pulled(hasty, needed) == b"{}"
    assert await count(database, "trash") == 0


async def test_a_grace_keeps_what_was_just_pushed(registry: Registry) -> None:
    digest = await push_blob(registry, b"layer")
    done = await registry.collecting.run()
    assert (done.judged, done.trashed) == (0, 0)
    assert await pulled(registry, digest) == b"layer"


async def test_a_hold_postpones_everything(hasty: Registry) -> None:
    digest = await push_blob(hasty, b"layer")
    await hasty.collecting.hold(SERVER, 60)
    assert (await hasty.collecting.run()).postponed
    assert (await hasty.collecting.status()).held
    assert await pulled(hasty, digest) == b"layer"
    await hasty.collecting.hold(SERVER, 0)
    assert (await hasty.collecting.run()).trashed == 1


async def test_a_run_that_may_take_no_time_says_that_it_has_not_finished(hasty: Registry) -> None:
    await push_blob(hasty, b"layer")
    assert not (await hasty.collecting.run(0)).finished
    assert (await hasty.collecting.run()).finished


async def test_bytes_whose_removal_was_cut_off_are_removed_by_the_next_run(
    hasty: Registry, database: Database, blob_store: BlobStore
) -> None:
    await push_blob(hasty, b"layer")
    await database.write(lambda: collection.sweep(0, 10))
    (trash,) = await database.read(collection.expired_trash(0, 10))
    blob_store.delete_blob(trash.key)  # and then the process died
    assert (await hasty.collecting.run()).removed == 1
    assert await count(database, "trash") == 0


async def test_collectors_share_the_work(hasty: Registry, blob_store: BlobStore) -> None:
    for number in range(60):
        await push_blob(hasty, b"layer %d" % number)
    done = await asyncio.gather(*(hasty.collecting.run() for _ in range(4)))
    done.append(await hasty.collecting.run())  # what one passes over while another has it
    assert sum(one.judged for one in done) == sum(one.trashed for one in done) == 60
    assert list(blob_store.stored_blobs()) == []


@pytest.mark.real
async def test_a_collector_does_not_wait_for_what_another_one_judges(
    postgresql_url: str, blob_store: BlobStore, threads: ThreadPoolExecutor
) -> None:
    database = open_database(postgresql_url)
    registry = registry_on(database, blob_store, threads, AT_ONCE)
    judged_elsewhere = await push_blob(registry, b"layer 1")
    await push_blob(registry, b"layer 2")
    other = await asyncpg.connect(postgresql_url)
    async with other.transaction():
        await other.execute("SELECT FROM blob_reviews WHERE digest = $1 FOR UPDATE", str(judged_elsewhere))
        assert (await registry.collecting.run()).judged == 1
    assert (await registry.collecting.run()).judged == 1
    await other.close()
    await database.close()


async def test_a_late_removal_never_meets_the_bytes_of_a_new_push(
    hasty: Registry, database: Database, blob_store: BlobStore
) -> None:
    digest = await push_blob(hasty, b"layer")
    await database.write(lambda: collection.sweep(0, 10))
    (trash,) = await database.read(collection.expired_trash(0, 10))
    await push_blob(hasty, b"layer")
    blob_store.delete_blob(trash.key)
    assert await pulled(hasty, digest) == b"layer"


async def test_a_look_at_a_blob_keeps_it_for_half_a_grace(
    database: Database, blob_store: BlobStore, threads: ThreadPoolExecutor
) -> None:
    registry = registry_on(database, blob_store, threads, Retention(grace=10_000, trash=0))
    digest = await push_blob(registry, b"layer")
    for _ in range(3):
        await _pass(database, 6_000)
        await registry.pulling.blob(NAME, digest)
        assert (await registry.collecting.run()).judged == 0
    await _pass(database, 6_000)
    assert (await registry.collecting.run()).judged == 0
    await _pass(database, 6_000)
    assert (await registry.collecting.run()).trashed == 1


async def _pass(database: Database, seconds: float) -> None:
    """Let so much time pass for every promise."""
    later = "UPDATE blob_reviews SET promised_at = promised_at - :seconds"

    def work() -> Work[None]:
        yield Statement(later, {"seconds": seconds})

    await database.write(work)


async def _patiently(step: Callable[[], Awaitable[T]]) -> T:
    """The step's result; told that the database is busy (503), it asks again, as every client does."""
    end = asyncio.get_running_loop().time() + PATIENCE
    while True:
        try:
            return await step()
        except Unavailable:
            assert asyncio.get_running_loop().time() < end, "nothing but 503"
            await asyncio.sleep(0.05)


async def _push_image(registry: Registry, who: int, layers: list[bytes]) -> tuple[RepositoryName, bytes]:
    """Push an image as clients do, from its start again when something is gone: what was acknowledged."""
    name = RepositoryName(f"team/app-{who % 5}")
    config = b'{"by":%d}' % who
    payload = image(config, *layers, annotations={"n": str(random.random())})
    while True:
        try:
            for content in (config, *layers):
                await _patiently(partial(_have, registry, name, content))
            await _patiently(partial(registry.pushing.manifest, name, Tag(f"t{who}"), [], OCI_MANIFEST, payload))
            return name, payload
        except ManifestBlobUnknown:
            continue


async def _have(registry: Registry, name: RepositoryName, content: bytes) -> None:
    try:
        await registry.pulling.blob(name, Digest.of(content))
    except BlobUnknown:
        if not await registry.uploading.mount(name, Digest.of(content), [RepositoryName("team/app-0")]):
            await push_blob(registry, content, name)


async def test_no_acknowledged_image_is_ever_broken(hasty: Registry) -> None:
    """For SECONDS at least, and until enough was removed: a slow machine only takes longer.

    Who pushes when the collectors end finishes without them, so each of the pushers has had an image acknowledged.
    """
    layers = [b"layer %d" % number for number in range(16)]
    acknowledged: dict[tuple[RepositoryName, bytes], list[bytes]] = {}
    removed, begin = 0, asyncio.get_running_loop().time()

    async def collect() -> None:
        nonlocal removed
        while running():
            removed += (await _patiently(partial(hasty.collecting.run, 1))).removed
            await asyncio.sleep(0)

    async def push(who: int) -> None:
        newest = None
        while running():
            mine = random.sample(layers, 3)
            older, newest = newest, await _push_image(hasty, who, mine)
            acknowledged[newest] = [b'{"by":%d}' % who, *mine]
            if older is not None:  # or else soon everything is needed, and nothing left to collect
                del acknowledged[older]
                await _patiently(partial(_delete, hasty, older[0], Digest.of(older[1])))

    def running() -> bool:
        elapsed = asyncio.get_running_loop().time() - begin
        return elapsed < SECONDS or (removed <= PUSHERS and elapsed < PATIENCE)

    await asyncio.gather(*(push(who) for who in range(PUSHERS)), collect(), collect())
    assert len(acknowledged) == PUSHERS
    assert removed > PUSHERS
    await _require_all(hasty, acknowledged)


async def _delete(registry: Registry, name: RepositoryName, digest: Digest) -> None:
    # A 503 leaves it open whether it was done.
    with suppress(ManifestUnknown):
        await registry.deleting.manifest(name, digest, permit=None)


async def _require_all(registry: Registry, images: dict[tuple[RepositoryName, bytes], list[bytes]]) -> None:
    broken: list[RegistryError] = []
    for (name, payload), contents in images.items():
        try:
            manifest = await _patiently(partial(registry.pulling.manifest, name, Digest.of(payload)))
            assert manifest.payload == payload
            for content in contents:
                assert await _patiently(partial(pulled, registry, Digest.of(content), name)) == content
        except RegistryError as error:
            broken.append(error)
    assert not broken, (len(broken), len(images))


async def test_without_the_look_at_what_manifests_need_the_database_still_refuses(
    hasty: Registry, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: a sweep with that fault takes nothing, for the foreign keys hold."""
    await push_blob(hasty, b"{}")
    await push_manifest(hasty, image(b"{}"), "latest")
    faulty = "DELETE FROM repository_blobs WHERE digest = :digest"
    monkeypatch.setattr(collection, "UNLINK_UNNEEDED", faulty)
    assert (await hasty.collecting.run()).trashed == 0
    assert await pulled(hasty, Digest.of(b"{}")) == b"{}"
