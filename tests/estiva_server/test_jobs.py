import asyncio
import logging

import pytest

from estiva.errors import BlobUploadUnknown
from estiva_server import jobs
from estiva_server.jobs import Collection, Scrub, UploadPurge, repeat
from estiva_server.storage_metrics import StorageTallies
from registry import Registry
from registry.begun import UploadKey
from storage.blobs.memory import MemoryBlobStore
from storage.metadata import blobs
from storage.metadata.database import Database
from tests.fixtures.facts import NAME
from tests.fixtures.registry import body, push_blob


async def test_a_job_runs_again_and_again_also_after_it_failed(caplog: pytest.LogCaptureFixture) -> None:
    rounds = 0
    enough = asyncio.Event()

    async def job() -> None:
        nonlocal rounds
        rounds += 1
        if rounds == 1:
            raise ValueError("not this time")
        if rounds == 3:
            enough.set()

    running = asyncio.create_task(repeat(0.01, job))
    await asyncio.wait_for(enough.wait(), 10)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert [record.getMessage() for record in caplog.records] == ["job failed"]


async def test_no_job_runs_before_its_time() -> None:
    async def job() -> None:
        raise AssertionError("too early")

    running = asyncio.create_task(repeat(60, job))
    await asyncio.sleep(0.05)
    assert not running.done()
    running.cancel()


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What the jobs have logged."""
    return [record.getMessage() for record in caplog.records if record.name == jobs.logger.name]


async def test_the_purge_forgets_idle_uploads_and_says_how_many(
    registry: Registry, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, jobs.logger.name)
    key = UploadKey(NAME, await registry.uploading.start(NAME))
    await registry.uploading.append(key, body(b"x"))
    await UploadPurge(registry.uploading, 3600)()
    assert (said(caplog), await registry.uploading.offset(key)) == ([], 1)
    await asyncio.sleep(0.05)
    await UploadPurge(registry.uploading, 0.01)()
    assert said(caplog) == ["purged 1 expired uploads"]
    with pytest.raises(BlobUploadUnknown):
        await registry.uploading.offset(key)


async def test_the_scrub_reads_all_blobs_and_says_so_where_a_rate_is_set(
    registry: Registry, database: Database, blob_store: MemoryBlobStore, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, jobs.logger.name)
    digest = await push_blob(registry, b"layer")
    found = await database.read(blobs.find(NAME, digest))
    assert found is not None
    blob_store.delete_blob(found.key)
    await Scrub(registry.scrubbing, every=3600, rate=0, tallies=StorageTallies())()
    assert (await registry.scrubbing.bad(), said(caplog)) == ([], [])
    await Scrub(registry.scrubbing, every=3600, rate=10**9, tallies=StorageTallies())()
    assert [bad.state for bad in await registry.scrubbing.bad()] == ["missing"]
    assert [line.partition(";")[0] for line in said(caplog)] == ["scrub: all blobs were read"]
    await Scrub(registry.scrubbing, every=3600, rate=10**9, tallies=StorageTallies())()  # not again before its time
    assert len(said(caplog)) == 1


async def test_collections_and_scrubs_count_what_they_did(registry: Registry) -> None:
    tallies = StorageTallies()
    await push_blob(registry, b"layer")
    await Collection(registry.collecting, tallies)()
    assert (tallies.counts["runs"], tallies.counts["trashed"], tallies.candidates) == (1, 0, 1)
    assert tallies.run_at > 0
    await Scrub(registry.scrubbing, 3600, 10**9, tallies)()
    assert (tallies.counts["read"], tallies.counts["read_bytes"], tallies.counts["corrupt"]) == (1, 5, 0)
