"""What has to be done now and then, whether or not anybody asks."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from time import monotonic

from estiva_server.storage_metrics import StorageTallies
from registry.collecting import Collecting
from registry.lifecycle.running import LifecycleRuns
from registry.scrubbing import Scrubbing
from registry.uploading import Uploading
from storage.metadata import audit
from storage.metadata.database import Database

logger = logging.getLogger("estiva.jobs")

PURGE_EVERY = 300.0
LOOK_FOR_LIFECYCLES_EVERY = 60.0
AUDIT_EVERY = 3600.0
AT_ONCE = 500
SCRUB_EVERY = 60.0
TELL_OF_COLLECTION_EVERY = 10.0
QUEUE_EVERY = 1.0


async def repeat(every: float, job: Callable[[], Awaitable[None]]) -> None:
    """Run the job again and again, a little irregularly so that workers don't do it all at once, until cancelled."""
    while True:
        await asyncio.sleep(every * random.uniform(0.8, 1.2))  # noqa: S311 - no secret
        try:
            await job()
        except Exception:
            # The next round may find things better; until then the log says what is wrong.
            logger.exception("job failed")


class UploadPurge:
    """Forgets uploads that nobody has touched for `expiry` seconds."""

    def __init__(self, uploading: Uploading, expiry: float) -> None:
        self._uploading = uploading
        self._expiry = expiry

    async def __call__(self) -> None:
        """Purge once."""
        purged = await self._uploading.purge(self._expiry)
        if purged:
            logger.info("purged %d expired uploads", purged)


class Collection:
    """Collects garbage, and counts what came of it."""

    def __init__(self, collecting: Collecting, tallies: StorageTallies) -> None:
        self._collecting = collecting
        self._tallies = tallies

    async def __call__(self) -> None:
        """Collect until nothing is due, and now and then say so where there was something to collect."""
        while not await self._collect():
            pass

    async def _collect(self) -> bool:
        """Collect for a while: whether nothing more was due."""
        begin = monotonic()
        done = await self._collecting.run(TELL_OF_COLLECTION_EVERY)
        seconds = monotonic() - begin
        self._tallies.collected(done, seconds, await self._collecting.candidates())
        if done.trashed or done.removed:
            logger.info(
                "garbage collection: %d blobs (%d bytes) to the trash, %d (%d bytes) removed",
                *(done.trashed, done.trashed_bytes, done.removed, done.removed_bytes),
            )
        return done.finished


class Scrub:
    """Reads all blobs now and then, a minute's worth at a time; when all were read, rows and keys are compared."""

    def __init__(self, scrubbing: Scrubbing, every: float, rate: int, tallies: StorageTallies) -> None:
        self._scrubbing = scrubbing
        self._tallies = tallies
        self._every = every
        self._rate = rate

    async def __call__(self) -> None:
        """Go on for a minute with what is under way, or begin anew where it is time to."""
        if not self._rate or not await self._scrubbing.begin(self._every):
            return
        done = await self._scrubbing.run(self._rate, SCRUB_EVERY)
        self._tallies.scrubbed(done)
        if done.finished and done.read:
            compared = await self._scrubbing.compare()
            logger.info(
                "scrub: all blobs were read; %d storage keys that nothing names went to the trash", compared.orphans
            )


class Lifecycle:
    """Carries out the lifecycle policies that are due."""

    def __init__(self, runs: LifecycleRuns) -> None:
        self._runs = runs

    async def __call__(self) -> None:
        """Carry them out, and say so where something expired."""
        for name, run in (await self._runs.run_due()).items():
            if run.expired or run.kept:
                logger.info("lifecycle of %s: %d images expired, %d kept", name, len(run.expired), len(run.kept))


class AuditRetention:
    """Removes old records of the audit trail, some at a time."""

    def __init__(self, database: Database, age: float) -> None:
        self._database = database
        self._age = age

    async def __call__(self) -> None:
        """Remove what is too old; nothing where records are kept for ever."""
        while self._age:
            if await self._database.write(lambda: audit.forget(self._age, AT_ONCE), durable=False) < AT_ONCE:
                return
            await asyncio.sleep(0.05)  # others write too
