"""One task on its engine, from its acceptance to its end: whatever was cut off is gone on with when it is run again."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from functools import partial

from estiva.digest import Digest
from orchestrator import moves
from orchestrator.definition import TaskDefinition
from orchestrator.engines import (
    ContainerSpec,
    EngineDown,
    HealthStatus,
    LogLine,
    Refused,
    TaskSpec,
    TaskView,
)
from orchestrator.engines.steps import is_restarted
from orchestrator.facts import change_task, keep_lines
from orchestrator.figures import Figures, label_of
from orchestrator.fleet import Engine
from orchestrator.launching import Launching
from orchestrator.records import as_task
from orchestrator.state import DesiredStatus, StopCode, Task, TaskStatus
from storage.metadata import tasks
from storage.metadata.clusters import ClusterKey
from storage.metadata.database import Database, Work

logger = logging.getLogger("estiva.orchestrator")

PULL_TRIES = (1.1, 2.0, 3.5, 5.0)
"""Seconds between tries to pull, as the ECS agent has them."""
LOOK_EVERY = 0.25
"""Seconds between looks at a task that is starting, or whose health is not known yet."""
LOOK_ANYWAY = 30.0
KEPT_LINES = 200

Move = Callable[[Task], Task]


async def _nobody() -> None:
    """No proxy has to be told."""


class TaskRun:
    """Runs one task. `touch` it where it is worth a look; it ends when the task has stopped."""

    def __init__(
        self, key: ClusterKey, task_id: str, engine: Engine, database: Database, launching: Launching, drain: float
    ) -> None:
        self.key = key
        self.task_id = task_id
        self._engine = engine
        self._driver = engine.driver
        self._database = database
        self._launching = launching
        self._drain = drain
        self._touched = asyncio.Event()
        self._unwanted = asyncio.Event()
        self._stopping = False
        self.figures = Figures()
        self.withdraw: Callable[[], Awaitable[None]] = _nobody
        """Awaited before a task to which requests come is stopped, when its state says that it goes."""
        self.changed: Callable[[], None] = lambda: None
        """Called after each change of the task that is stored."""

    def touch(self, *, unwanted: bool = False) -> None:
        """Look at it soon; `unwanted`: it is to be stopped, whatever it is at."""
        self._touched.set()
        if unwanted:
            self._unwanted.set()

    async def run(self) -> None:
        """Until it has stopped, or is cancelled."""
        await self._engine.ready.wait()
        while True:
            try:
                record = await self._database.read(tasks.find(self.key, self.task_id))
                if record is None or record.status >= TaskStatus.STOPPED:
                    return
                await self._step(as_task(record), await self._launching.definition(self.key, record))
            except EngineDown:
                await asyncio.sleep(1.0)
            except Refused as why:
                await self._refused(why)

    async def _step(self, task: Task, definition: TaskDefinition) -> None:
        self._stopping = task.desired is DesiredStatus.STOPPED
        if self._stopping:
            await self._stop(task, definition)
        elif task.status < TaskStatus.RUNNING:
            await self._unless_unwanted(self._start(task, definition))
        else:
            await self._keep(task, definition)

    # --- to RUNNING

    async def _unless_unwanted(self, starting: Coroutine[None, None, None]) -> None:
        start = asyncio.create_task(starting)
        unwanted = asyncio.create_task(self._unwanted.wait())
        try:
            await asyncio.wait({start, unwanted}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in (start, unwanted):
                if not one.done():
                    one.cancel()
            await asyncio.gather(start, unwanted, return_exceptions=True)
        if not start.cancelled():
            start.result()

    async def _start(self, task: Task, definition: TaskDefinition) -> None:
        record = await self._database.read(tasks.find(self.key, self.task_id))
        if record is None:
            return
        spec = await self._launching.spec(self.key, record, definition)
        images = {each.definition.name: each.image.digest for each in spec.containers if each.image.digest}
        async with self._engine.starts:
            await self._change(partial(moves.pulling, now=time.time()))
            for container in spec.containers:
                found = await self._pull(task, container)
                if found is not None:
                    images[container.definition.name] = found
            await self._change(lambda task: moves.pulled(moves.pinned(task, images), time.time()))
            view = await self._driver.advance(spec)
        self._engine.found_free(task.needs.ports)
        while await self._judged(view, definition) is TaskStatus.ACTIVATING:
            await self._nap(LOOK_EVERY)
            view = await self._driver.advance(spec)
        self.figures.launched(label_of(self.key), task)

    async def _judged(self, view: TaskView, definition: TaskDefinition) -> TaskStatus | None:
        """What the task is by this view; None where it is not wanted any more."""
        task = await self._seen(view, definition)
        return None if task is None or task.desired is DesiredStatus.STOPPED else task.status

    async def _pull(self, task: Task, container: ContainerSpec) -> Digest | None:
        named = container.definition.image
        for wait in (*PULL_TRIES, None):
            try:
                return await self._driver.pull(container.image, partial(self._launching.auth, task, named))
            except Refused as why:
                why = why.about(container.definition.name)
                true = await self._launching.true_refusal(named, container.image.digest, why)
                if true.lasting or wait is None:
                    raise true from None
                await asyncio.sleep(wait)
        raise AssertionError("the last try returns or raises")

    async def _refused(self, why: Refused) -> None:
        """The engine won't run it. What asks for another try (an engine that was busy) is told so by `lasting`."""
        logger.info("task %s: %s", self.task_id, why)
        if self._stopping:
            await asyncio.sleep(1.0)  # whatever was refused, it has to stop
        if why.port_taken:
            await self._note_taken(why)
        await self._change(partial(moves.refused, why=why, now=time.time()), await self._lines())

    async def _note_taken(self, why: Refused) -> None:
        """Nothing that wants the same port is placed here next: the engine names it, where it is one of several."""
        record = await self._database.read(tasks.find(self.key, self.task_id))
        wanted = as_task(record).needs.ports if record is not None else frozenset()
        named = {port for port in wanted if f"port {port[0]} " in f"{why.message} ".replace("/", " ")}
        self._engine.found_taken(named or wanted, time.time())

    # --- RUNNING

    async def _keep(self, task: Task, definition: TaskDefinition) -> None:
        """One look at a task that runs, then wait for a reason to look again."""
        view = await self._driver.task(self.task_id)
        if view is None or not view.containers:
            await self._change(partial(moves.vanished, now=time.time()))
            return
        views = {one.name: one for one in view.containers}
        if any(one.name in views and is_restarted(one, views[one.name]) for one in definition.containers):
            view = await self._driver.advance(await self._again(definition))
            self.figures.restarted(label_of(self.key), task)
        seen = await self._seen(view, definition)
        if seen is None or seen.desired is DesiredStatus.STOPPED:
            return
        checked = any(one.health_check is not None for one in definition.containers)
        waits = any(one.restart_policy is not None for one in definition.containers) or (
            checked and seen.health is not HealthStatus.HEALTHY
        )
        await self._nap(1.0 if waits else LOOK_ANYWAY)

    async def _again(self, definition: TaskDefinition) -> TaskSpec:
        record = await self._database.read(tasks.find(self.key, self.task_id))
        if record is None:
            raise Refused("ContainerVanishedError", "the task is forgotten", lasting=True)
        return await self._launching.spec(self.key, record, definition)

    async def _seen(self, view: TaskView, definition: TaskDefinition) -> Task | None:
        """The task by this view. What it wrote is kept with the news that it ended by itself."""
        now = time.time()
        move = partial(moves.seen, view=view, definition=definition, now=now)
        record = await self._database.read(tasks.find(self.key, self.task_id))
        if record is None:
            return None
        before = as_task(record)
        after = move(before)
        if after == before:
            return after
        ends = after.desired is not before.desired
        return await self._change(move, await self._lines() if ends else None)

    # --- to STOPPED

    async def _stop(self, task: Task, definition: TaskDefinition) -> None:
        if task.status is TaskStatus.RUNNING:
            await self._change(partial(moves.reached, status=TaskStatus.DEACTIVATING))
        # Whoever began may have been cut off while the proxy was told: it is told, and time is given, once more.
        if task.status in (TaskStatus.RUNNING, TaskStatus.DEACTIVATING) and self._is_drained(task, definition):
            await self.withdraw()
            await asyncio.sleep(self._drain)
        await self._change(partial(moves.reached, status=TaskStatus.STOPPING))
        view = await self._driver.stop(self.task_id)
        if view.containers:
            await self._change(partial(moves.seen, view=view, definition=definition, now=time.time()))
        await self._change(partial(moves.reached, status=TaskStatus.DEPROVISIONING))
        lines = await self._lines()
        await self._driver.forget(self.task_id)
        ended = await self._change(partial(moves.ended, now=time.time()), lines)
        self.figures.ended(label_of(self.key), ended or task)

    def _is_drained(self, task: Task, definition: TaskDefinition) -> bool:
        """Whether requests may still come to it: it runs well and has ports, and only its service lets it go."""
        has_ports = any(one.port_mappings for one in definition.containers)
        return has_ports and task.stop_code is StopCode.SERVICE_SCHEDULER_INITIATED

    async def _lines(self) -> Mapping[str, list[LogLine]]:
        """What its containers wrote last, as far as the engine tells."""
        found: dict[str, list[LogLine]] = {}
        with contextlib.suppress(EngineDown, Refused):
            view = await self._driver.task(self.task_id)
            for container in view.containers if view is not None else ():
                with contextlib.suppress(Refused):
                    lines = self._driver.logs(self.task_id, container.name, tail=KEPT_LINES)
                    found[container.name] = [line async for line in lines]
        return found

    # --- the store

    async def _change(self, move: Move, lines: Mapping[str, list[LogLine]] | None = None) -> Task | None:
        def work() -> Work[Task | None]:
            if lines:
                yield from keep_lines(self.key, self.task_id, lines)
            return (yield from change_task(self.key, self.task_id, move, lines))

        changed = await self._database.write(work, durable=False)
        self.changed()
        return changed

    async def _nap(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._touched.wait()
        self._touched.clear()
