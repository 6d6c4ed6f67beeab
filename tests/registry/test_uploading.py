import asyncio
import uuid
from collections.abc import Callable

import pytest

from estiva.digest import Algorithm, Digest
from estiva.errors import BlobUnknown, BlobUploadInvalid, BlobUploadOutOfOrder, BlobUploadUnknown, DigestInvalid
from estiva.reference import RepositoryName
from registry import Registry
from registry.begun import UploadKey
from registry.streamed import Stream
from registry.upload_ids import UUID_LENGTH
from storage.blobs.memory import MemoryBlobStore
from storage.metadata.database import Database, Statement, Work
from tests.fixtures.facts import NAME, OTHER, count
from tests.fixtures.registry import body, push_blob

CONTENT = b"a cargo of words"
DIGEST = Digest.of(CONTENT)


async def pulled(registry: Registry, digest: Digest, name: RepositoryName = NAME) -> bytes:
    with await registry.pulling.open(await registry.pulling.blob(name, digest)) as file:
        return file.read()


def blobs_in(store: MemoryBlobStore) -> int:
    return len(store._blobs)


@pytest.mark.parametrize("pieces", [[CONTENT], [CONTENT[:5], CONTENT[5:]], [bytes([byte]) for byte in CONTENT]])
async def test_pieces_become_a_blob(registry: Registry, pieces: list[bytes]) -> None:
    upload_id = await registry.uploading.start(NAME)
    assert uuid.UUID(upload_id[:UUID_LENGTH]).version == 7
    offset = 0
    for piece in pieces:
        assert await registry.uploading.offset(UploadKey(NAME, upload_id)) == offset
        assert await registry.uploading.append(UploadKey(NAME, upload_id), body(piece), start=offset) == offset + len(
            piece
        )
        offset += len(piece)
    await registry.uploading.finish(UploadKey(NAME, upload_id), DIGEST, body(), start=offset)
    assert await pulled(registry, DIGEST) == CONTENT
    with pytest.raises(BlobUploadUnknown):
        await registry.uploading.offset(UploadKey(NAME, upload_id))


@pytest.mark.parametrize("started_with", list(Algorithm))
@pytest.mark.parametrize("named_by", list(Algorithm))
async def test_the_digest_at_the_end_decides_whatever_was_said_at_the_start(
    registry: Registry, started_with: Algorithm, named_by: Algorithm
) -> None:
    upload_id = await registry.uploading.start(NAME, started_with)
    await registry.uploading.append(UploadKey(NAME, upload_id), body(CONTENT[:5]))
    digest = Digest.of(CONTENT, named_by)
    await registry.uploading.finish(UploadKey(NAME, upload_id), digest, body(CONTENT[5:]))
    assert await pulled(registry, digest) == CONTENT


async def test_a_chunk_out_of_order_changes_nothing_and_says_where_the_upload_ends(registry: Registry) -> None:
    upload_id = await registry.uploading.start(NAME)
    await registry.uploading.append(UploadKey(NAME, upload_id), body(CONTENT[:5]))
    for start in (0, 4, 6):
        with pytest.raises(BlobUploadOutOfOrder) as refused:
            await registry.uploading.append(UploadKey(NAME, upload_id), body(b"wrong"), start=start)
        assert refused.value.detail == {"offset": 5}
        with pytest.raises(BlobUploadOutOfOrder):
            await registry.uploading.finish(UploadKey(NAME, upload_id), DIGEST, body(b"wrong"), start=start)
    assert await registry.uploading.offset(UploadKey(NAME, upload_id)) == 5
    await registry.uploading.finish(UploadKey(NAME, upload_id), DIGEST, body(CONTENT[5:]), start=5)
    assert await pulled(registry, DIGEST) == CONTENT


async def test_content_of_another_digest_ends_the_upload(registry: Registry, blob_store: MemoryBlobStore) -> None:
    upload_id = await registry.uploading.start(NAME)
    with pytest.raises(DigestInvalid):
        await registry.uploading.finish(UploadKey(NAME, upload_id), Digest.of(b"other"), body(CONTENT))
    with pytest.raises(BlobUploadUnknown):
        await registry.uploading.offset(UploadKey(NAME, upload_id))
    assert blobs_in(blob_store) == 0


async def test_what_came_of_a_body_that_broke_off_stays(registry: Registry) -> None:
    upload_id = await registry.uploading.start(NAME)

    async def broken(write: Callable[[memoryview], None]) -> int:
        write(memoryview(CONTENT[:5]))
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        await registry.uploading.append(UploadKey(NAME, upload_id), broken)
    assert await registry.uploading.offset(UploadKey(NAME, upload_id)) == 5
    with pytest.raises(ConnectionResetError):
        await registry.uploading.finish(UploadKey(NAME, upload_id), DIGEST, broken)
    assert await registry.uploading.offset(UploadKey(NAME, upload_id)) == 10


def stream(*pieces: bytes, breaks: bool = False) -> Stream:
    """A body that comes in these pieces and then ends, or breaks off."""

    async def pour(write: Callable[[memoryview], None], end: Callable[[], None]) -> int:
        for piece in pieces:
            await asyncio.to_thread(write, memoryview(piece))
        if breaks:
            raise ConnectionResetError
        await asyncio.to_thread(end)
        return sum(map(len, pieces))

    return pour


async def test_streams_add_to_the_upload_and_let_go_of_it(registry: Registry) -> None:
    key = UploadKey(NAME, await registry.uploading.start(NAME))
    assert await registry.uploading.append_stream(key, stream()) == 0
    assert await registry.uploading.append_stream(key, stream(CONTENT[:3], CONTENT[3:5])) == 5
    with pytest.raises(ConnectionResetError):
        await registry.uploading.append_stream(key, stream(CONTENT[5:6], breaks=True))
    with pytest.raises(ConnectionResetError):
        await registry.uploading.append_stream(key, stream(breaks=True))
    assert await registry.uploading.offset(key) == 6
    assert await registry.uploading.append_stream(key, stream(CONTENT[6:])) == len(CONTENT)
    await registry.uploading.finish(key, DIGEST, body())
    assert await pulled(registry, DIGEST) == CONTENT
    with pytest.raises(BlobUploadUnknown):
        await registry.uploading.append_stream(key, stream(b"x"))


async def test_a_stream_to_an_upload_that_another_request_writes_to_is_refused(registry: Registry) -> None:
    key = UploadKey(NAME, await registry.uploading.start(NAME))
    arrived, go_on = asyncio.Event(), asyncio.Event()

    async def slow(write: Callable[[memoryview], None], end: Callable[[], None]) -> int:
        await asyncio.to_thread(write, memoryview(CONTENT))
        arrived.set()
        await go_on.wait()
        await asyncio.to_thread(end)
        return len(CONTENT)

    first = asyncio.create_task(registry.uploading.append_stream(key, slow))
    await arrived.wait()
    for second in (stream(b"x"), stream()):
        with pytest.raises(BlobUploadInvalid, match="another request is writing"):
            await registry.uploading.append_stream(key, second)
    go_on.set()
    assert await first == len(CONTENT)


async def test_an_upload_belongs_to_its_repository(registry: Registry) -> None:
    upload_id = await registry.uploading.start(NAME)
    for attempt in (
        registry.uploading.offset(UploadKey(OTHER, upload_id)),
        registry.uploading.append(UploadKey(OTHER, upload_id), body(b"x")),
        registry.uploading.append_stream(UploadKey(OTHER, upload_id), stream(b"x")),
        registry.uploading.finish(UploadKey(OTHER, upload_id), DIGEST, body(CONTENT)),
        registry.uploading.cancel(UploadKey(OTHER, upload_id)),
    ):
        with pytest.raises(BlobUploadUnknown):
            await attempt
    assert await registry.uploading.offset(UploadKey(NAME, upload_id)) == 0


async def test_an_end_that_was_never_heard_of_can_be_asked_for_again(registry: Registry) -> None:
    upload_id = await registry.uploading.start(NAME)
    for _ in range(3):
        await registry.uploading.finish(UploadKey(NAME, upload_id), DIGEST, body(CONTENT))
    with pytest.raises(BlobUploadUnknown):
        await registry.uploading.finish(UploadKey(NAME, upload_id), Digest.of(b"other"), body(b"other"))


async def test_content_that_is_known_is_kept_once(
    registry: Registry, blob_store: MemoryBlobStore, database: Database
) -> None:
    for name in (NAME, NAME, OTHER):
        await push_blob(registry, CONTENT, name)
    assert blobs_in(blob_store) == await count(database, "blobs") == 1
    assert await pulled(registry, DIGEST, OTHER) == CONTENT


async def test_cancelling_forgets_the_upload_and_its_bytes(
    registry: Registry, blob_store: MemoryBlobStore, database: Database
) -> None:
    upload_id = await registry.uploading.start(NAME)
    await registry.uploading.append(UploadKey(NAME, upload_id), body(CONTENT))
    assert list(blob_store.stale_uploads(-1)) == [upload_id]
    await registry.uploading.cancel(UploadKey(NAME, upload_id))
    assert await count(database, "upload_notes") == 1
    assert list(blob_store.stale_uploads(-1)) == []
    with pytest.raises(BlobUploadUnknown):
        await registry.uploading.cancel(UploadKey(NAME, upload_id))


async def test_an_upload_that_is_cancelled_while_it_ends_is_unknown_and_no_blob(
    registry: Registry, blob_store: MemoryBlobStore
) -> None:
    upload_id = await registry.uploading.start(NAME)
    arrived, go_on = asyncio.Event(), asyncio.Event()

    async def slow(write: Callable[[memoryview], None]) -> int:
        write(memoryview(CONTENT))
        arrived.set()
        await go_on.wait()
        return len(CONTENT)

    ending = asyncio.create_task(registry.uploading.finish(UploadKey(NAME, upload_id), DIGEST, slow))
    await arrived.wait()
    await registry.uploading.cancel(UploadKey(NAME, upload_id))
    go_on.set()
    with pytest.raises(BlobUploadUnknown):
        await ending
    with pytest.raises(BlobUnknown):
        await registry.pulling.blob(NAME, DIGEST)
    assert blobs_in(blob_store) == 0


async def test_a_second_request_to_the_same_upload_is_refused_while_the_first_runs(registry: Registry) -> None:
    upload_id = await registry.uploading.start(NAME)
    arrived, go_on = asyncio.Event(), asyncio.Event()

    async def slow(write: Callable[[memoryview], None]) -> int:
        arrived.set()
        await go_on.wait()
        write(memoryview(CONTENT))
        return len(CONTENT)

    first = asyncio.create_task(registry.uploading.append(UploadKey(NAME, upload_id), slow))
    await arrived.wait()
    with pytest.raises(BlobUploadInvalid, match="another request is writing"):
        await registry.uploading.append(UploadKey(NAME, upload_id), body(b"x"))
    with pytest.raises(BlobUploadInvalid, match="another request is writing"):
        await registry.uploading.finish(UploadKey(NAME, upload_id), DIGEST, body())
    go_on.set()
    assert await first == len(CONTENT)


async def test_a_repository_that_is_deleted_takes_its_uploads_with_it(
    registry: Registry, blob_store: MemoryBlobStore
) -> None:
    upload_id = await registry.uploading.start(NAME)
    kept = await registry.uploading.start(OTHER)
    for name, begun in ((NAME, upload_id), (OTHER, kept)):
        await registry.uploading.append(UploadKey(name, begun), body(b"x"))
    await registry.deleting.repository(NAME, permit=None)
    assert list(blob_store.stale_uploads(-1)) == [kept]
    with pytest.raises(BlobUploadUnknown):
        await registry.uploading.append(UploadKey(NAME, upload_id), body(CONTENT))


async def test_a_mounted_blob_is_the_same_bytes(registry: Registry, blob_store: MemoryBlobStore) -> None:
    await push_blob(registry, CONTENT)
    assert await registry.uploading.mount(OTHER, DIGEST, [NAME])
    assert await pulled(registry, DIGEST, OTHER) == CONTENT
    assert blobs_in(blob_store) == 1
    assert sorted(name.text for name in await registry.uploading.holders(DIGEST)) == [NAME.text, OTHER.text]


async def test_mounting_what_the_source_does_not_have_makes_nothing(registry: Registry) -> None:
    await push_blob(registry, CONTENT)
    assert not await registry.uploading.mount(OTHER, Digest.of(b"other"), [NAME])
    assert (await registry.listing.repositories("", 10)).entries == [NAME.text]


async def test_uploads_that_nobody_touches_are_purged_and_others_stay(
    registry: Registry, blob_store: MemoryBlobStore, database: Database
) -> None:
    idle = [await registry.uploading.start(NAME) for _ in range(2)]
    await registry.uploading.append(UploadKey(NAME, idle[0]), body(b"x"))
    blob_store.create_upload("orphan")
    assert await registry.uploading.purge(3600) == 0
    lost = await registry.uploading.start(NAME)
    await registry.uploading.append(UploadKey(NAME, lost), body(b"x"))
    blob_store.discard_upload(lost)
    await asyncio.sleep(1.2)
    busy = await registry.uploading.start(NAME)
    assert await registry.uploading.purge(1.0) == 2
    idle.append(lost)
    for upload_id in idle:
        with pytest.raises(BlobUploadUnknown):
            await registry.uploading.offset(UploadKey(NAME, upload_id))
    assert await registry.uploading.offset(UploadKey(NAME, busy)) == 0


async def test_what_seems_idle_after_a_jump_of_the_clock_stays_for_another_expiry(
    registry: Registry, blob_store: MemoryBlobStore, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def pass_ten_years_since(name: str) -> Work[None]:
        sql = "UPDATE collection_state SET value = value - 315360000 WHERE name = :name"
        yield Statement(sql, {"name": name})

    upload_id = await registry.uploading.start(NAME)
    await registry.uploading.append(UploadKey(NAME, upload_id), body(b"x"))
    assert await registry.uploading.purge(3600) == 0
    monkeypatch.setattr(blob_store, "stale_uploads", lambda older_than: iter([upload_id]))
    await database.write(lambda: pass_ten_years_since("look at the clock: uploads"))
    assert await registry.uploading.purge(3600) == 0
    assert await registry.uploading.purge(3600) == 0
    assert await registry.uploading.offset(UploadKey(NAME, upload_id)) == 1
    await database.write(lambda: pass_ten_years_since("jump of the clock: uploads"))
    assert await registry.uploading.purge(3600) == 1


async def test_an_old_upload_that_still_gets_bytes_is_not_purged(registry: Registry) -> None:
    upload_id = await registry.uploading.start(NAME)
    await asyncio.sleep(0.2)
    await registry.uploading.append(UploadKey(NAME, upload_id), body(CONTENT))
    assert await registry.uploading.purge(0.1) == 0
    assert await registry.uploading.offset(UploadKey(NAME, upload_id)) == len(CONTENT)


async def test_an_upload_takes_no_room_before_its_first_byte(registry: Registry, blob_store: MemoryBlobStore) -> None:
    upload_id = await registry.uploading.start(NAME)
    assert list(blob_store.stale_uploads(-1)) == []
    assert await registry.uploading.offset(UploadKey(NAME, upload_id)) == 0
    await registry.uploading.append(UploadKey(NAME, upload_id), body(CONTENT))
    assert list(blob_store.stale_uploads(-1)) == [upload_id]


async def test_content_at_hand_ends_an_upload_in_one_go(registry: Registry, blob_store: MemoryBlobStore) -> None:
    key = UploadKey(NAME, await registry.uploading.start(NAME))
    await registry.uploading.append(key, body(CONTENT[:5]))
    with pytest.raises(BlobUploadOutOfOrder) as refused:
        await registry.uploading.finish_whole(key, DIGEST, CONTENT[5:], start=4)
    assert refused.value.detail == {"offset": 5}
    for _ in range(2):  # the second time its end was only never heard of
        await registry.uploading.finish_whole(key, DIGEST, CONTENT[5:], start=5)
    assert await pulled(registry, DIGEST) == CONTENT
    assert (blobs_in(blob_store), list(blob_store.stale_uploads(-1))) == (1, [])


async def test_content_at_hand_of_another_digest_ends_the_upload(
    registry: Registry, blob_store: MemoryBlobStore
) -> None:
    key = UploadKey(NAME, await registry.uploading.start(NAME))
    with pytest.raises(DigestInvalid):
        await registry.uploading.finish_whole(key, Digest.of(b"other"), CONTENT)
    with pytest.raises(BlobUploadUnknown):
        await registry.uploading.finish_whole(key, DIGEST, CONTENT)
    assert (blobs_in(blob_store), list(blob_store.stale_uploads(-1))) == (0, [])


async def test_content_at_hand_waits_for_nobody_who_writes_to_the_upload(registry: Registry) -> None:
    key = UploadKey(NAME, await registry.uploading.start(NAME))
    arrived, go_on = asyncio.Event(), asyncio.Event()

    async def slow(write: Callable[[memoryview], None]) -> int:
        arrived.set()
        await go_on.wait()
        return 0

    first = asyncio.create_task(registry.uploading.append(key, slow))
    await arrived.wait()
    with pytest.raises(BlobUploadInvalid, match="another request is writing"):
        await registry.uploading.finish_whole(key, DIGEST, CONTENT)
    go_on.set()
    await first
    await registry.uploading.finish_whole(key, DIGEST, CONTENT)
    assert await pulled(registry, DIGEST) == CONTENT


async def test_a_blob_is_taken_without_an_upload(
    registry: Registry, blob_store: MemoryBlobStore, database: Database
) -> None:
    for _ in range(2):
        await registry.uploading.take(NAME, DIGEST, CONTENT)
    assert await pulled(registry, DIGEST) == CONTENT
    with pytest.raises(DigestInvalid):
        await registry.uploading.take(NAME, Digest.of(b"other"), CONTENT)
    assert blobs_in(blob_store) == await count(database, "blobs") == 1
    assert (await count(database, "upload_notes"), list(blob_store.stale_uploads(-1))) == (0, [])


async def test_the_empty_blob_can_be_at_hand_too(registry: Registry) -> None:
    await registry.uploading.take(NAME, Digest.of(b""), b"")
    assert await pulled(registry, Digest.of(b"")) == b""
