"""The engines of a cluster, as long as this process acts for it: whether each answers, and what it runs."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Iterable, Sequence

from orchestrator.engines import Driver, EngineDown, EngineInfo, Refused, TaskView

logger = logging.getLogger("estiva.orchestrator")

RESYNC_EVERY = 10.0
RETRY_AFTER = 1.0
STARTS_AT_ONCE = 4
PORT_TAKEN_FIRST, PORT_TAKEN_LONGEST = 30.0, 300.0
"""Seconds for which a port that somebody else has is not tried again: doubled each time it is still taken."""
UNREACHABLE_AFTER = 15.0
"""Seconds without an answer after which nothing is placed on an engine (`agentConnected` is false), or fewer
where its tasks are given up sooner."""
ANSWERS_WITHIN = UNREACHABLE_AFTER
"""Seconds that an engine has to say what it is: one that hangs takes connections, and says nothing."""

Port = tuple[int, str]
"""Of the host, and its protocol."""
OnViews = Callable[["Engine", Sequence[TaskView]], None]
OnTouch = Callable[[str], None]


class Engine:
    """One engine. `ready` is set once everything that it runs has been seen, and nothing is done on it before."""

    def __init__(self, instance_id: str, driver: Driver, lost_after: float = UNREACHABLE_AFTER) -> None:
        self.instance_id = instance_id
        self.driver = driver
        self._unreachable_after = min(UNREACHABLE_AFTER, lost_after)  # what is lost is not placed there again
        self.starts = asyncio.Semaphore(STARTS_AT_ONCE)
        self.ready = asyncio.Event()
        self.info: EngineInfo | None = None
        self.answered_at: float | None = None
        self.trouble = ""
        self._unanswered_since = 0.0
        """When it was asked first what it has not answered; 0: it has."""
        self._again = asyncio.Event()
        self._taken: dict[Port, tuple[float, float]] = {}
        """Port → until when it counts as taken, and for how long it was said to be."""

    def silent_for(self, now: float) -> float:
        """Seconds since it was first asked in vain; 0 while it answers.

        That it was not asked for a while before is no silence of its own.
        """
        return now - self._unanswered_since if self.trouble else 0.0

    def is_placed_on(self, now: float) -> bool:
        """Whether it has answered, and not too long ago."""
        return self.info is not None and self.silent_for(now) < self._unreachable_after

    def found_taken(self, ports: Iterable[Port], now: float) -> None:
        """Somebody else on its host listens on these: nothing that wants them is placed there for a while."""
        for port in ports:
            _, before = self._taken.get(port, (0.0, PORT_TAKEN_FIRST / 2))
            wait = min(PORT_TAKEN_LONGEST, before * 2)
            self._taken[port] = (now + wait, wait)

    def found_free(self, ports: Iterable[Port]) -> None:
        """A task has them."""
        for port in ports:
            self._taken.pop(port, None)

    def taken_ports(self, now: float) -> frozenset[Port]:
        """Those that count as taken."""
        return frozenset(port for port, (until, _) in self._taken.items() if now < until)

    def look_again(self) -> None:
        """Ask it soon, and not only when it is time."""
        self._again.set()

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
        asked_at = time.time()
        try:
            self.info = await self._told()
            views = await self.driver.tasks()
        except (EngineDown, Refused) as error:
            if not self.trouble:
                logger.warning("engine %s does not answer: %s", self.instance_id, error)
            self._unanswered_since = self._unanswered_since or asked_at
            self.trouble = str(error) or "it does not answer"
            on_views(self, ())
            return
        if self.trouble:
            logger.info("engine %s answers again", self.instance_id)
        self.trouble, self.answered_at, self._unanswered_since = "", time.time(), 0.0
        on_views(self, views)
        self.ready.set()

    async def _told(self) -> EngineInfo:
        try:
            async with asyncio.timeout(ANSWERS_WITHIN):
                return await self.driver.info()
        except TimeoutError:
            raise EngineDown(f"it has not said anything for {ANSWERS_WITHIN:.0f} seconds") from None

    async def _watch(self, on_touch: OnTouch) -> None:
        while True:
            try:
                async for task_id in self.driver.watch():
                    on_touch(task_id)
            except (EngineDown, Refused):
                self._again.set()
            await asyncio.sleep(RETRY_AFTER)
