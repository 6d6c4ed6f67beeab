import asyncio
import logging

import pytest

from estiva_server import jobs
from estiva_server.jobs import UploadPurge, repeat
from registry import Registry
from storage.metadata.database import Database
from tests.fixtures.facts import NAME, count


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
    await registry.uploading.start(NAME)
    await UploadPurge(registry.uploading, 3600)()
    assert (said(caplog), await count(database, "uploads")) == ([], 1)
    await asyncio.sleep(0.05)
    await UploadPurge(registry.uploading, 0.01)()
    assert (said(caplog), await count(database, "uploads")) == (["purged 1 expired uploads"], 0)
