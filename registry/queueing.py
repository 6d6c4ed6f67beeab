"""Doing what is queued: a few pieces at a time, again and later each time it fails, until it is done or given up."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from storage.metadata import queue
from storage.metadata.database import Database
from storage.metadata.queue import QueuedWork

logger = logging.getLogger("estiva.queue")

AT_ONCE = 4
FIRST_DELAY = 5.0
LONGEST_DELAY = 1800.0


class NotNow(Exception):
    """The work could not be done and may be later; the text says why. `after` is the least delay in seconds."""

    def __init__(self, text: str, after: float = 0.0) -> None:
        super().__init__(text)
        self.after = after


class Hopeless(Exception):
    """The work can't be done and never will be; the text says why."""


@dataclass(frozen=True, slots=True)
class Worker:
    """Does the queued work of one kind. Several processes may have one each: each piece is one's at a time."""

    database: Database
    kind: str
    do: Callable[[QueuedWork], Awaitable[None]]
    give_up: Callable[[QueuedWork, str], Awaitable[None]]
    """Told when a piece was tried `attempts` times in vain, or is hopeless: it is off the queue then."""
    attempts: int = 12
    lease: float = 60.0
    first_delay: float = FIRST_DELAY

    async def __call__(self) -> None:
        """Do what is due, until nothing is."""
        while await self.database.read(queue.is_due(self.kind)):
            taken = await self.database.write(lambda: queue.take(self.kind, AT_ONCE, self.lease), durable=False)
            if not taken:
                return  # somebody else was quicker
            await asyncio.gather(*map(self._one, taken))

    async def _one(self, work: QueuedWork) -> None:
        try:
            async with self._held(work):
                await self.do(work)
        except Hopeless as error:
            await self._end(work, str(error))
        except Exception as error:
            if not isinstance(error, NotNow | TimeoutError):
                logger.exception("queued work failed: %s %s", work.kind, work.subject)
            await self._later(work, str(error) or type(error).__name__, getattr(error, "after", 0.0))
        else:
            await self.database.write(lambda: queue.done(work))

    @asynccontextmanager
    async def _held(self, work: QueuedWork) -> AsyncIterator[None]:
        """Keeps others from the piece for as long as this takes."""

        async def hold() -> None:
            while True:
                await asyncio.sleep(self.lease / 3)
                await self.database.write(lambda: queue.hold(work, self.lease), durable=False)

        holding = asyncio.create_task(hold())
        try:
            yield
        finally:
            holding.cancel()
            await asyncio.gather(holding, return_exceptions=True)

    async def _later(self, work: QueuedWork, text: str, after: float) -> None:
        if work.attempts >= self.attempts:
            await self._end(work, text)
            return
        delay = max(min(self.first_delay * 2 ** (work.attempts - 1), LONGEST_DELAY), after)
        logger.warning("%s %s: again in %.0f s: %s", work.kind, work.subject, delay, text)
        await self.database.write(lambda: queue.again(work, delay, text))

    async def _end(self, work: QueuedWork, text: str) -> None:
        logger.error("%s %s: given up: %s", work.kind, work.subject, text)
        await self.give_up(work, text)
        await self.database.write(lambda: queue.done(work))
