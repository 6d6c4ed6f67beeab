"""Garbage collection, while everybody pushes and pulls: blobs that nothing needs go to the trash, their bytes later.

What a sweep may take is decided in one short transaction by the database (`storage.metadata.collection`); how often,
and how much at a time, is decided here. Any number of processes may collect at once.
"""

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from math import inf
from time import monotonic

from storage.blobs import BlobStore
from storage.metadata import audit, collection
from storage.metadata.audit import Actor
from storage.metadata.clock import UNEVEN, Presence
from storage.metadata.database import ConstraintError, Database, Work

SWEPT_AT_ONCE = 50
REMOVED_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class Retention:
    """How long things stay, in seconds."""

    grace: float = 86400.0
    """A blob that nothing needs, from the last time it was promised to somebody."""
    trash: float = 86400.0
    """Bytes that nothing names. More than the time between two backups of the database, so that one of them, put
    back, still finds its bytes."""


@dataclass(slots=True)
class Collected:
    """What a collection did, or would do."""

    judged: int = 0
    """Blobs looked at."""
    trashed: int = 0
    """Blobs that went to the trash."""
    trashed_bytes: int = 0
    removed: int = 0
    """Blobs whose bytes were removed for good."""
    removed_bytes: int = 0
    postponed: bool = False
    """Nothing was done: the clock jumped, or a hold is in force."""
    finished: bool = True
    """Nothing more was due at the end."""

    def add(self, other: "Collected") -> None:
        """Count what the other did, too."""
        self.judged += other.judged
        self.trashed += other.trashed
        self.trashed_bytes += other.trashed_bytes
        self.removed += other.removed
        self.removed_bytes += other.removed_bytes


@dataclass(frozen=True, slots=True)
class CollectionStatus:
    """What waits to be collected."""

    held: bool
    candidates: int
    """Blobs to be judged when their grace is over."""
    unneeded: int
    """Those of them that the next collection takes."""
    unneeded_bytes: int
    trash: int
    """Blobs in the trash."""
    trash_bytes: int


class Collecting:
    """Collects garbage, and says what there is of it."""

    def __init__(self, database: Database, blob_store: BlobStore, threads: Executor, retention: Retention) -> None:
        self._database = database
        self._blob_store = blob_store
        self._threads = threads
        self._retention = retention
        self._presence = Presence()

    async def run(self, seconds: float = inf) -> Collected:
        """Sweep and empty the trash, by turns, until nothing is due or about so many seconds have passed."""
        total = Collected()
        present = self._presence.since_last()
        # Two at once read the same tick, and write the same: neither needs to be told of the other.
        even = await self._database.write(lambda: collection.tick(UNEVEN, present), serializable=False)
        if not even or await self._database.read(collection.is_held()):
            total.postponed = True
            return total
        total.finished = await _repeat(self._sweep_and_remove, total, monotonic() + seconds)
        return total

    async def status(self) -> CollectionStatus:
        """What waits now, and what a run would take. Reads every candidate."""
        read = self._database.read
        unneeded, unneeded_bytes = await read(collection.unneeded(self._retention.grace))
        trash, trash_bytes = await read(collection.trash())
        candidates = await read(collection.candidates())
        return CollectionStatus(
            await read(collection.is_held()), candidates, unneeded, unneeded_bytes, trash, trash_bytes
        )

    async def candidates(self) -> int:
        """How many blobs wait to be judged. Counts each of them."""
        return await self._database.read(collection.candidates())

    async def hold(self, actor: Actor, seconds: float) -> None:
        """Collect nothing, in any process, for so many seconds from now; 0 ends a hold."""

        def work() -> Work[None]:
            yield from collection.hold(seconds)
            yield from audit.record(actor, "HoldCollection", "gc", seconds=seconds)

        await self._database.write(work)

    async def _sweep_and_remove(self) -> Collected:
        """By turns: while others make candidates as fast as they are judged, the trash would never be emptied."""
        done = await self._sweep()
        done.add(await self._remove())
        return done

    async def _sweep(self) -> Collected:
        try:
            return await self._sweep_at_most(SWEPT_AT_ONCE)
        except ConstraintError:
            # Somebody began to need one of them this moment. One by one, the others do not wait for it.
            pass
        total = Collected()
        for _ in range(SWEPT_AT_ONCE):
            try:
                one = await self._sweep_at_most(1)
            except ConstraintError:
                return total  # the next run finds it needed
            if not one.judged:
                break
            total.add(one)
        return total

    async def _sweep_at_most(self, limit: int) -> Collected:
        judged, trashed = await self._database.write(
            lambda: collection.sweep(self._retention.grace, limit), serializable=False
        )
        return Collected(judged=judged, trashed=len(trashed), trashed_bytes=sum(trash.size for trash in trashed))

    async def _remove(self) -> Collected:
        """Bytes first: a key is never made again, so removing one twice does no harm, and forgetting one would."""
        expired = await self._database.read(collection.expired_trash(self._retention.trash, REMOVED_AT_ONCE))
        keys = [trash.key for trash in expired]
        if keys:
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(self._threads, self._blob_store.delete_blobs, keys)
            await self._database.write(lambda: collection.forget_trash(keys))
        return Collected(removed=len(keys), removed_bytes=sum(trash.size for trash in expired))


async def _repeat(step: Callable[[], Awaitable[Collected]], total: Collected, end: float) -> bool:
    """Take the step until it finds nothing to do, giving everybody else a turn in between: whether it came to that."""
    while monotonic() < end:
        done = await step()
        total.add(done)
        if not (done.judged or done.removed):
            return True
        await asyncio.sleep(0)
    return False
