"""Garbage collection on the whole domain: in a tight loop, without any grace, while everybody pushes."""

import asyncio
import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from estiva.digest import Digest
from estiva.errors import BlobUnknown, ManifestBlobUnknown, RegistryError
from estiva.mediatypes import OCI_MANIFEST
from estiva.reference import RepositoryName, Tag
from registry import Registry
from registry.collecting import Retention
from storage.blobs import BlobStore
from storage.blobs.filesystem import FilesystemBlobStore
from storage.blobs.memory import MemoryBlobStore
from storage.metadata import collection
from storage.metadata.database import Database
from tests.fixtures.documents import image
from tests.fixtures.facts import NAME, count
from tests.fixtures.registry import push_blob, push_manifest, registry_on

AT_ONCE = Retention(grace=0, trash=0)
PUSHERS, SECONDS = 20, 3.0


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
    await hasty.collecting.hold(60)
    assert (await hasty.collecting.run()).postponed
    assert (await hasty.collecting.status()).held
    assert await pulled(hasty, digest) == b"layer"
    await hasty.collecting.hold(0)
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
    registry = registry_on(database, blob_store, threads, Retention(grace=0.4, trash=0))
    digest = await push_blob(registry, b"layer")
    for _ in range(6):
        await asyncio.sleep(0.1)
        await registry.pulling.blob(NAME, digest)
        await registry.collecting.run()
    await asyncio.sleep(0.5)
    assert (await registry.collecting.run()).trashed == 1


async def _push_image(registry: Registry, who: int, layers: list[bytes]) -> tuple[RepositoryName, bytes] | None:
    """Push an image as clients do, from its start again when something is gone: what was acknowledged."""
    name = RepositoryName(f"team/app-{who % 5}")
    config = b'{"by":%d}' % who
    payload = image(config, *layers, annotations={"n": str(random.random())})
    for _ in range(50):
        try:
            for content in (config, *layers):
                await _have(registry, name, content)
            await registry.pushing.manifest(name, Tag(f"t{who}"), [], OCI_MANIFEST, payload)
            return name, payload
        except ManifestBlobUnknown:
            continue
    return None


async def _have(registry: Registry, name: RepositoryName, content: bytes) -> None:
    try:
        await registry.pulling.blob(name, Digest.of(content))
    except BlobUnknown:
        if not await registry.uploading.mount(name, Digest.of(content), [RepositoryName("team/app-0")]):
            await push_blob(registry, content, name)


async def test_no_acknowledged_image_is_ever_broken(hasty: Registry) -> None:
    layers = [b"layer %d" % number for number in range(8)]
    acknowledged: dict[tuple[RepositoryName, bytes], list[bytes]] = {}
    removed, end = 0, asyncio.get_running_loop().time() + SECONDS

    async def collect() -> None:
        nonlocal removed
        while running():
            removed += (await hasty.collecting.run()).removed
            await asyncio.sleep(0)

    async def push(who: int) -> None:
        while running():
            mine = random.sample(layers, 3)
            pushed = await _push_image(hasty, who, mine)
            if pushed is not None:
                acknowledged[pushed] = [b'{"by":%d}' % who, *mine]
                if random.random() < 0.5:
                    del acknowledged[pushed]
                    await hasty.deleting.manifest(pushed[0], Digest.of(pushed[1]), permit=None)

    def running() -> bool:
        return asyncio.get_running_loop().time() < end

    await asyncio.gather(*(push(who) for who in range(PUSHERS)), collect(), collect())
    assert acknowledged
    assert removed > 20
    await _require_all(hasty, acknowledged)


async def _require_all(registry: Registry, images: dict[tuple[RepositoryName, bytes], list[bytes]]) -> None:
    broken: list[RegistryError] = []
    for (name, payload), contents in images.items():
        try:
            assert (await registry.pulling.manifest(name, Digest.of(payload))).payload == payload
            for content in contents:
                assert await pulled(registry, Digest.of(content), name) == content
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
