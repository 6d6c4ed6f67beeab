"""Many who do the same thing at once: nobody meets an unexpected error, and one consistent state is left."""

import asyncio
from collections.abc import Awaitable, Iterable

import pytest

from estiva.digest import Digest
from estiva.errors import RegistryError
from estiva.mediatypes import OCI_INDEX, OCI_MANIFEST
from estiva.reference import RepositoryName, Tag
from registry import Registry
from registry.begun import UploadKey
from storage.blobs import BlobStore
from storage.blobs.filesystem import FilesystemBlobStore
from storage.blobs.memory import MemoryBlobStore
from storage.metadata.database import Database
from tests.fixtures.documents import image, index
from tests.fixtures.facts import NAME, OTHER, count
from tests.fixtures.registry import body, push_blob, push_manifest

MANY = 50
CONTENT = b"wanted by many"
DIGEST = Digest.of(CONTENT)


@pytest.fixture(params=["memory", "filesystem"])
def blob_store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> object:
    """Each kind of store has races of its own."""
    if request.param == "memory":
        return MemoryBlobStore()
    return FilesystemBlobStore(tmp_path_factory.mktemp("blobs"))


async def statuses(attempts: Iterable[Awaitable[object]]) -> list[int]:
    """How each attempt ended: 0 where it went well, else the status of its refusal, which must be one."""
    outcomes = await asyncio.gather(*attempts, return_exceptions=True)
    for outcome in outcomes:
        if isinstance(outcome, BaseException) and not isinstance(outcome, RegistryError):
            raise outcome
    return [outcome.status if isinstance(outcome, RegistryError) else 0 for outcome in outcomes]


async def test_fifty_who_move_one_tag(registry: Registry, database: Database) -> None:
    await push_blob(registry, b"{}")
    payloads = [image(annotations={"n": str(number)}) for number in range(MANY)]
    pushes = (
        registry.pushing.manifest(NAME, Tag("latest"), [], OCI_MANIFEST, payload) for payload in (*payloads, *payloads)
    )
    assert set(await statuses(pushes)) == {0}
    assert (await registry.pulling.manifest(NAME, Tag("latest"))).payload in payloads
    assert await count(database, "tags") == 1
    assert await count(database, "manifests") == MANY


async def test_fifty_who_upload_one_blob(registry: Registry, database: Database, blob_store: BlobStore) -> None:
    names = [NAME if number % 2 else OTHER for number in range(MANY)]
    assert set(await statuses(push_blob(registry, CONTENT, name) for name in names)) == {0}
    assert await count(database, "blobs") == 1
    assert await count(database, "repository_blobs") == 2
    assert list(blob_store.stale_uploads(-1)) == []
    for name in (NAME, OTHER):
        with await registry.pulling.open(await registry.pulling.blob(name, DIGEST)) as file:
            assert file.read() == CONTENT


async def test_fifty_who_append_to_one_upload(registry: Registry) -> None:
    upload_id = await registry.uploading.start(NAME)
    ended = await statuses(
        registry.uploading.append(UploadKey(NAME, upload_id), body(CONTENT), start=0) for _ in range(MANY)
    )
    assert ended.count(0) == 1
    assert set(ended) <= {0, 400, 416}
    await registry.uploading.finish(UploadKey(NAME, upload_id), DIGEST, body())
    assert (await registry.pulling.blob(NAME, DIGEST)).size == len(CONTENT)


async def test_fifty_who_end_one_upload(registry: Registry, database: Database, blob_store: BlobStore) -> None:
    upload_id = await registry.uploading.start(NAME)
    await registry.uploading.append(UploadKey(NAME, upload_id), body(CONTENT))
    ended = await statuses(registry.uploading.finish(UploadKey(NAME, upload_id), DIGEST, body()) for _ in range(MANY))
    assert ended.count(0) >= 1
    assert set(ended) <= {0, 400, 404}
    assert (await registry.pulling.blob(NAME, DIGEST)).size == len(CONTENT)
    assert list(blob_store.stale_uploads(-1)) == []


async def test_uploads_that_end_and_are_cancelled_at_once(
    registry: Registry, database: Database, blob_store: BlobStore
) -> None:
    uploads = [await registry.uploading.start(NAME) for _ in range(MANY)]
    attempts: list[Awaitable[object]] = []
    for upload_id in uploads:
        attempts.append(registry.uploading.finish(UploadKey(NAME, upload_id), DIGEST, body(CONTENT)))
        attempts.append(registry.uploading.cancel(UploadKey(NAME, upload_id)))
    assert set(await statuses(attempts)) <= {0, 400, 404}
    assert list(blob_store.stale_uploads(-1)) == []
    if await count(database, "blobs"):
        with await registry.pulling.open(await registry.pulling.blob(NAME, DIGEST)) as file:
            assert file.read() == CONTENT


async def test_a_blob_is_mounted_deleted_and_needed_at_once(registry: Registry, database: Database) -> None:
    await push_blob(registry, b"{}", OTHER)
    digest = Digest.of(b"{}")
    attempts: list[Awaitable[object]] = []
    for number in range(MANY):
        attempts.append(registry.uploading.mount(NAME, digest, [OTHER]))
        attempts.append(push_manifest(registry, image(annotations={"n": str(number)}), f"t{number}"))
        attempts.append(registry.deleting.blob(NAME, digest))
    assert set(await statuses(attempts)) <= {0, 400, 404, 409}
    # Whatever got in is whole: the database itself holds what it needs.
    if await count(database, "manifests"):
        assert (await registry.pulling.blob(NAME, digest)).size == 2


async def test_an_index_and_its_children_come_and_go_at_once(registry: Registry, database: Database) -> None:
    await push_blob(registry, b"{}")
    child, parent = image(), index(image())
    attempts: list[Awaitable[object]] = []
    for _ in range(MANY):
        attempts.append(push_manifest(registry, child, "child"))
        attempts.append(push_manifest(registry, parent, "parent", media_type=OCI_INDEX))
        attempts.append(registry.deleting.manifest(NAME, Digest.of(child), permit=None))
        attempts.append(registry.deleting.manifest(NAME, Digest.of(parent), permit=None))
    assert set(await statuses(attempts)) <= {0, 400, 404, 409}
    assert await count(database, "manifest_children") <= await count(database, "manifests")


async def test_a_repository_is_deleted_while_fifty_push_to_it(registry: Registry, database: Database) -> None:
    async def push(number: int) -> None:
        await push_blob(registry, b"{}")
        await push_manifest(registry, image(annotations={"n": str(number)}), f"t{number}")

    attempts: list[Awaitable[object]] = [push(number) for number in range(MANY)]
    attempts += [registry.deleting.repository(NAME, permit=None) for _ in range(10)]
    assert set(await statuses(attempts)) <= {0, 400, 404}
    await registry.uploading.start(RepositoryName("library/after"))
    assert await count(database, "manifest_blobs") == await count(database, "manifests")
