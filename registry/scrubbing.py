"""Looking after what is stored: every blob is read now and then, and rows and bytes are held against each other.

Any number of processes may do this at once: they take different blobs of one walk. What is found is written down, not
repaired: a blob that is known to be bad is answered like one that is not here, so the next push brings good bytes.
"""

import asyncio
import itertools
import logging
import time
from collections.abc import Iterator
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from math import inf
from time import monotonic

from registry.verifying import examine
from storage.blobs import BlobEntry, BlobMissingError, BlobStore
from storage.metadata import collection, soundness
from storage.metadata.database import Database
from storage.metadata.soundness import END, Promised, State

logger = logging.getLogger("estiva.scrub")

SCRUB = "scrub"
TAKEN_AT_ONCE = 20
LEASE = 600.0
"""Seconds for which blobs belong to whoever reads them; it asks for more as it goes. Then somebody else reads them."""
COMPARED_AT_ONCE = 500
ASKED_AT_ONCE = 8
"""Of how many blobs the size is asked at once, where the list does not tell it."""
LARGEST_NAP = 1.0
NAMED = 100
"""How many of the things that don't belong among the blobs are named in the log each time."""


@dataclass(slots=True)
class Scrubbed:
    """What was read, and found."""

    read: int = 0
    """Blobs."""
    read_bytes: int = 0
    missing: int = 0
    """Blobs whose bytes are gone, and were not known to be."""
    corrupt: int = 0
    """Blobs whose bytes are wrong, and were not known to be."""
    healed: int = 0
    """Blobs that were taken for bad, and are not."""
    finished: bool = True


@dataclass(slots=True)
class Compared:
    """What holding rows and bytes against each other found."""

    rows: int = 0
    keys: int = 0
    missing: int = 0
    """Rows without bytes that were not known to be."""
    corrupt: int = 0
    """Rows whose bytes are of another length, and were not known to be."""
    orphans: int = 0
    """Storage keys that nothing names, and that went to the trash."""
    young: int = 0
    """Storage keys that nothing names yet; their upload may be about to be acknowledged."""
    foreign: int = 0
    """What is among the blobs and can't be one, by its name; it is left alone, and the log says what it is."""
    after: str = ""
    """Where to go on; END when everything was compared."""


@dataclass(frozen=True, slots=True)
class Bad:
    """A blob that is known to be bad."""

    digest: str
    size: int
    state: str
    key: str


class Scrubbing:
    """Reads and compares."""

    def __init__(
        self,
        database: Database,
        blob_store: BlobStore,
        threads: Executor,
        orphan_age: float = 86400.0,
        lease: float = LEASE,
    ) -> None:
        self._database = database
        self._blob_store = blob_store
        self._threads = threads
        self._orphan_age = orphan_age
        self._lease = lease
        self._asking = asyncio.Semaphore(ASKED_AT_ONCE)

    async def begin(self, every: float) -> bool:
        """Begin a walk where none is under way and the last began `every` seconds ago: whether there is one now."""
        return await self._database.write(lambda: soundness.begin_walk(SCRUB, every))

    async def run(self, rate: float = inf, seconds: float = inf) -> Scrubbed:
        """Go on with the walk for about so many seconds, reading at most `rate` bytes per second."""
        done, end, pace = Scrubbed(), monotonic() + seconds, _Pace(rate)
        while monotonic() < end:
            taken = await self._database.write(lambda: soundness.take(SCRUB, TAKEN_AT_ONCE, self._lease))
            if taken is None:
                return done
            for promised in taken.blobs:
                await self._examine(taken.name, promised, pace, done)
            await self._database.write(partial(soundness.done, taken.name), durable=False, serializable=False)
        done.finished = False
        return done

    async def bad(self, limit: int = 1000) -> list[Bad]:
        """What is known to be bad."""
        found = await self._database.read(soundness.bad(limit))
        return [Bad(str(blob.digest), blob.size, blob.state.value, blob.key) for blob in found]

    async def compare(self, after: str = "", seconds: float = inf) -> Compared:
        """Hold rows and storage keys after that one against each other, for about so many seconds; read no contents."""
        done, end = Compared(after=after), monotonic() + seconds
        while done.after != END and monotonic() < end:
            await self._compare_some(done)
        return done

    async def _examine(self, stretch: str, promised: Promised, pace: "_Pace", done: Scrubbed) -> None:
        loop = asyncio.get_running_loop()
        read = loop.run_in_executor(self._threads, examine, self._blob_store, promised, pace.take)
        while True:
            await asyncio.wait([read], timeout=self._lease / 3)
            if read.done():
                break
            await self._database.write(lambda: soundness.keep(stretch, self._lease), durable=False, serializable=False)
        state = (await read).state
        done.read += 1
        done.read_bytes += promised.size
        if await self._mark(promised, state):
            done.missing += state is State.MISSING
            done.corrupt += state is State.CORRUPT
            done.healed += state is State.LIVE

    async def _mark(self, promised: Promised, state: State) -> bool:
        if state is promised.state:
            return False
        news = await self._database.write(lambda: soundness.mark(promised.digest, promised.key, state))
        if news:
            logger.warning("blob %s: %s, was %s", promised.digest, state.value, promised.state.value)
        return news

    async def _compare_some(self, done: Compared) -> None:
        """Take the next rows and keys up to the same key, so that whatever is on one side only is seen."""
        rows = await self._database.read(soundness.by_key(done.after, COMPARED_AT_ONCE))
        entries = await self._listed(done.after)
        whole = len(rows) < COMPARED_AT_ONCE and len(entries) < COMPARED_AT_ONCE
        ends = [side[-1].key for side in (rows, entries) if len(side) == COMPARED_AT_ONCE]
        until = END if whole else min(ends)
        stored = {entry.key: entry for entry in entries if entry.key <= until}
        promised = {row.key: row for row in rows if row.key <= until}
        sizes = await asyncio.gather(*(self._size(key, stored.get(key)) for key in promised))
        for row, size in zip(promised.values(), sizes, strict=True):
            await self._compare_row(row, size, done)
        await self._discard_orphans([entry for key, entry in stored.items() if key not in promised], done)
        await self._tell_foreign(until, done)
        done.rows += len(promised)
        done.keys += len(stored)
        done.after = until

    async def _listed(self, after: str) -> list[BlobEntry]:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, lambda: list(_first(self._blob_store.stored_blobs(after))))

    async def _size(self, key: str, entry: BlobEntry | None) -> int | None:
        """The length of a key's bytes, None where there are none.

        That a list lacks a key proves nothing, as the list may be older than the blob; nor does a note about bytes.
        """
        if entry is not None and entry.is_measured:
            return entry.size
        async with self._asking:
            return await asyncio.get_running_loop().run_in_executor(self._threads, self._ask_size, key)

    def _ask_size(self, key: str) -> int | None:
        try:
            return self._blob_store.size_of_blob(key)
        except BlobMissingError:
            return None

    async def _compare_row(self, row: Promised, size: int | None, done: Compared) -> None:
        if size == row.size:
            return
        state = State.MISSING if size is None else State.CORRUPT
        if await self._mark(row, state):
            done.missing += state is State.MISSING
            done.corrupt += state is State.CORRUPT

    async def _discard_orphans(self, entries: list[BlobEntry], done: Compared) -> None:
        keys = await self._database.read(soundness.forgotten([entry.key for entry in entries]))
        by_key = {entry.key: entry for entry in entries}
        for key in keys:
            if time.time() - by_key[key].modified < self._orphan_age:
                done.young += 1
                continue
            await self._discard(by_key[key])
            done.orphans += 1

    async def _tell_foreign(self, until: str, done: Compared) -> None:
        last = "" if until == END else until
        loop = asyncio.get_running_loop()
        names = await loop.run_in_executor(
            self._threads, lambda: list(self._blob_store.foreign_names(done.after, last))
        )
        for name in names[: max(0, NAMED - done.foreign)]:
            logger.warning("among the blobs, and none of them: %s", ascii(name))
        done.foreign += len(names)

    async def _discard(self, entry: BlobEntry) -> None:
        algorithm, _, rest = entry.key.partition("/")
        digest = f"{algorithm}:{rest.partition('/')[2].partition('.')[0]}"
        await self._database.write(lambda: collection.discard(entry.key, digest, entry.size, "orphan"))


def _first(entries: Iterator[BlobEntry]) -> Iterator[BlobEntry]:
    return itertools.islice(entries, COMPARED_AT_ONCE)


class _Pace:
    """Keeps a thread that reads to so many bytes per second."""

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._due = monotonic()

    def take(self, count: int) -> None:
        """Sleep until so many more bytes may have been read."""
        now = monotonic()
        self._due = max(self._due, now - LARGEST_NAP) + count / self._rate
        if self._due > now:
            time.sleep(self._due - now)
