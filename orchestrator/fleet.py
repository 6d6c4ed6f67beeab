"""The engines of a cluster, as long as this process acts for it: whether each answers, and what it runs."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Sequence

from orchestrator.engines import Driver, EngineDown, EngineInfo, Refused, TaskView

logger = logging.getLogger("estiva.orchestrator")

RESYNC_EVERY = 10.0
RETRY_AFTER = 1.0
STARTS_AT_ONCE = 4
UNREACHABLE_AFTER = 15.0
"""Seconds without an answer after which nothing is placed on an engine (`agentConnected` is false)."""

OnViews = Callable[["Engine", Sequence[TaskView]], None]
OnTouch = Callable[[str], None]


class Engine:
    """One engine. `ready` is set once everything that it runs has been seen, and nothing is done on it before."""

    def __init__(self, instance_id: str, driver: Driver) -> None:
        self.instance_id = instance_id
        self.driver = driver
        self.starts = asyncio.Semaphore(STARTS_AT_ONCE)
        self.ready = asyncio.Event()
        self.info: EngineInfo | None = None
        self.answered_at: float | None = None
        self.since = time.time()
        self.trouble = ""
        self._again = asyncio.Event()

    def silent_for(self, now: float) -> float:
        """Seconds since its last answer, or since we began to ask; 0 while it answers."""
        if not self.trouble:
            return 0.0
        return now - (self.answered_at or self.since)

    async def follow(self, on_views: OnViews, on_touch: OnTouch) -> None:
        """Watch it until cancelled."""
        watching = asyncio.create_task(self._watch(on_touch))
        try:
            while True:
                await self._sync(on_views)
                self._again.clear()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(RETRY_AFTER if self.trouble else RESYNC_EVERY):
                        await self._again.wait()
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)

    async def _sync(self, on_views: OnViews) -> None:
        try:
            self.info = await self.driver.info()
            views = await self.driver.tasks()
        except (EngineDown, Refused) as error:
            if not self.trouble:
                logger.warning("engine %s does not answer: %s", self.instance_id, error)
            self.trouble = str(error) or "it does not answer"
            on_views(self, ())
            return
        if self.trouble:
            logger.info("engine %s answers again", self.instance_id)
        self.trouble, self.answered_at = "", time.time()
        on_views(self, views)
        self.ready.set()

    async def _watch(self, on_touch: OnTouch) -> None:
        while True:
            try:
                async for task_id in self.driver.watch():
                    on_touch(task_id)
            except (EngineDown, Refused):
                self._again.set()
            await asyncio.sleep(RETRY_AFTER)
