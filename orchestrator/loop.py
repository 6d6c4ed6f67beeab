"""Observe, plan, act: one process at a time acts for a cluster, by a lease in the store; others take over when it dies.

Nothing that is remembered here is needed: whoever takes over reads the store, looks at the engines, and goes on.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from estiva.errors import RegistryError
from orchestrator import moves
from orchestrator.engines import Driver, EngineDown, Refused, TaskView
from orchestrator.facts import ClusterFacts, change_task, load, say
from orchestrator.figures import MOST_TASKS, Figures, label_of
from orchestrator.fleet import Engine
from orchestrator.gating import Gating
from orchestrator.host_images import HostImages
from orchestrator.launching import Launching
from orchestrator.platforms import Platforms
from orchestrator.publishing import CaddyUpstreams
from orchestrator.records import as_instance, instance_record
from orchestrator.running import TaskRun
from orchestrator.scheduling import QUIET, Scheduling
from orchestrator.state import DesiredStatus, Instance, Resources, Task, TaskStatus
from orchestrator.waiting import Waiting
from storage.metadata import clusters, container_instances, tasks
from storage.metadata.clusters import ClusterKey
from storage.metadata.database import Database, Work

logger = logging.getLogger("estiva.orchestrator")

LEASE = 15.0
"""Seconds after which another process takes over from one that is heard of no more."""
RENEW_EVERY = 5.0
BOUND = "(task {task}) is not replaced: (container-instance {instance}) is lost, and the task has a volume of its host."
LOOK_EVERY = 0.2
"""Seconds after which everything is read again where a database cannot tell whether anything was committed."""
GLANCE_EVERY = 0.05
"""Seconds between looks at whether another process has committed something, where that costs nothing: what it was asked
for waits half as long on average."""

MEASURE_EVERY = 15.0
"""Seconds between two looks at what tasks use."""

Connect = Callable[[str], Driver]
"""A driver for an engine's endpoint. ValueError where it is none that is known."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How patient the orchestrator is, in seconds."""

    lost_after: float = 60.0
    """Without an answer from its engine a task counts as lost, and is replaced."""
    drain: float = 2.0
    """A service's task that is let go is unpublished so long before it is stopped."""
    lease: float = LEASE


@dataclass(frozen=True, slots=True)
class World:
    """What the loop works with."""

    database: Database
    scheduling: Scheduling
    launching: Launching
    connect: Connect
    holder: str
    """This process, as other processes know it."""
    pace: Pace = field(default_factory=Pace)
    disk_reserve: int = 0
    """Bytes that are kept free on an engine's disk: images that nothing needs go for it. 0: nothing is done."""
    figures: Figures = field(default_factory=Figures)
    proxy: CaddyUpstreams | None = None
    """What is told of healthy targets."""
    platforms: Platforms | None = None
    """What knows which processors images are for; it is what `scheduling` asks."""
    gating: Gating | None = None
    """What judges the gates of services; None: they are not asked."""


class ClusterLoop:
    """Acts for one cluster while it holds the lease."""

    def __init__(self, key: ClusterKey, world: World) -> None:
        self.key = key
        self._world = world
        self._database = world.database
        self._engines: dict[str, Engine] = {}
        self._following: dict[str, asyncio.Task[None]] = {}
        self._runs: dict[str, TaskRun] = {}
        self._running: dict[str, asyncio.Task[None]] = {}
        self._images = HostImages(world.database, world.launching, world.disk_reserve, self.wake)
        self._measuring: asyncio.Task[None] | None = None
        self._measured_at = -MEASURE_EVERY
        self._publishing: asyncio.Task[None] | None = None
        self._woken = asyncio.Event()
        self._renewed_at = 0.0
        self._zombies: set[asyncio.Task[None]] = set()

    def wake(self) -> None:
        """Look again soon."""
        self._woken.set()

    def engine(self, instance_id: str) -> Engine | None:
        """The engine of an instance, while this process acts for the cluster."""
        return self._engines.get(instance_id)

    async def run(self) -> None:
        """Act whenever the lease can be had, until cancelled."""
        try:
            while True:
                if not await self._holds():
                    await self._let_go()
                    await asyncio.sleep(self._world.pace.lease / 5)
                    continue
                self._woken.clear()
                wake_at = await self._round()
                await self._wait(wake_at)
        finally:
            await self._let_go()
            with contextlib.suppress(RegistryError):
                await self._database.write(lambda: clusters.release(self.key, self._world.holder), durable=False)

    async def _holds(self) -> bool:
        now = time.monotonic()
        if now - self._renewed_at < min(RENEW_EVERY, self._world.pace.lease / 3):
            return True
        lease = self._world.pace.lease
        held = await self._database.write(
            lambda: clusters.hold(self.key, self._world.holder, lease), durable=False, serializable=True
        )
        self._renewed_at = now if held else 0.0
        return held

    async def _let_go(self) -> None:
        """Act no more; what runs goes on running."""
        self._renewed_at = 0.0
        ending = [*self._running.values(), *self._following.values(), *self._zombies]
        ending += [one for one in (self._measuring, self._publishing) if one is not None]
        self._world.figures.forget(label_of(self.key))
        if self._world.proxy is not None:
            self._world.proxy.forget(self.key)
        for one in ending:
            one.cancel()
        await asyncio.gather(*ending, return_exceptions=True)
        await self._images.let_go()
        for engine in self._engines.values():
            with contextlib.suppress(EngineDown, Refused):
                await engine.driver.close()
        self._running.clear()
        self._runs.clear()
        self._following.clear()
        self._engines.clear()

    async def _wait(self, wake_at: float | None) -> None:
        """Until something was committed, something was seen, or it is time."""
        until = min(time.time() + RENEW_EVERY / 2, wake_at or float("inf"))
        version = self._database.version()
        look_every = LOOK_EVERY if version is None else GLANCE_EVERY
        while (left := until - time.time()) > 0:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(left, look_every)):
                    await self._woken.wait()
            current = self._database.version()
            if self._woken.is_set() or current is None or current != version:
                return

    # --- one round

    async def _round(self) -> float | None:
        facts = await self._database.read(load(self.key))
        if facts is None:
            return None
        await self._meet(facts)
        now = time.time()
        world = self._world
        if world.platforms is not None:
            await world.platforms.learn(world.scheduling.images(facts))
        held = await world.gating.held(facts) if world.gating is not None else {}
        waiting = Waiting(self._images.ahead(facts, self._engines, held.keys()), held, facts.current)
        self._images.make_room(self._engines)
        planned = world.scheduling.look(facts, now, waiting)
        if planned.has_work:
            carry_out = world.scheduling.carry_out
            await self._database.write(lambda: carry_out(self.key, now, waiting), durable=False)
            facts = await self._database.read(load(self.key)) or facts
            if not all(map(waiting.is_seen, facts.current)):
                self.wake()
        world.figures.look(label_of(self.key), facts, world.scheduling.checked(facts), now)
        self._measure(facts)
        await self._lose(facts)
        if world.proxy is not None and (self._publishing is None or self._publishing.done()):
            self._publishing = asyncio.create_task(self._publish())  # a proxy that hangs must not hold the lease up
        self._start_runs(facts)
        return planned.wake_at

    async def _publish(self) -> None:
        """Tell the proxy of the targets as they are stored now."""
        if self._world.proxy is not None:
            await self._world.proxy.publish(lambda: self._database.read(load(self.key)))

    async def _meet(self, facts: ClusterFacts) -> None:
        """Follow the engines of all instances, and store what has changed about them."""
        for identifier, instance in facts.instances.items():
            if identifier not in self._engines:
                self._follow(instance)
            if identifier in self._engines:
                await self._note(instance, self._engines[identifier])
        for identifier in self._engines.keys() - facts.instances.keys():
            self._following.pop(identifier).cancel()
            del self._engines[identifier]

    def _follow(self, instance: Instance) -> None:
        try:
            driver = self._world.connect(instance.endpoint)
        except ValueError as error:
            logger.warning("instance %s: %s", instance.instance_id, error)
            return
        engine = Engine(instance.instance_id, driver, self._world.pace.lost_after)
        self._engines[instance.instance_id] = engine
        self._following[instance.instance_id] = asyncio.create_task(engine.follow(self._seen, self._touched))

    async def _note(self, instance: Instance, engine: Engine) -> None:
        now = time.time()
        noted = noted_instance(instance, engine, now, self._world.disk_reserve)
        if noted != instance:
            await self._database.write(lambda: self._store_instance(instance.instance_id, engine, now))
            self.wake()

    def _store_instance(self, instance_id: str, engine: Engine, now: float) -> Work[None]:
        record = yield from container_instances.find(self.key, instance_id)
        if record is None:
            return
        noted = noted_instance(as_instance(record), engine, now, self._world.disk_reserve)
        fresh = instance_record(self.key, noted, record.document)
        yield from container_instances.update(replace(fresh, version=record.version))

    async def _lose(self, facts: ClusterFacts) -> None:
        """Tasks of engines that have been silent for too long are lost."""
        now, patience = time.time(), self._world.pace.lost_after
        for task in facts.tasks.values():
            engine = self._engines.get(task.instance_id or "")
            silence = engine.silent_for(now) if engine is not None else 0.0
            if engine is None and task.instance_id not in facts.instances:
                silence = now - task.created_at
            if silence <= patience:
                continue
            begun = task.status >= TaskStatus.ACTIVATING and task.desired is DesiredStatus.RUNNING
            if begun and task.instance_id in facts.instances and await self._is_bound(task):
                await self._say_bound(task)
            else:
                await self._lose_one(task.task_id, silence)

    async def _is_bound(self, task: Task) -> bool:
        """Whether it has files of its host: then it may still be at them, and another one would not find them."""
        record = await self._database.read(tasks.find(self.key, task.task_id))
        if record is None:
            return False
        try:
            definition = await self._world.launching.definition(self.key, record)
        except Refused:
            return False
        return any(volume.host_path is not None for volume in definition.volumes)

    async def _say_bound(self, task: Task) -> None:
        if task.service is not None:
            told = BOUND.format(task=task.task_id, instance=task.instance_id)
            name = task.service
            await self._database.write(lambda: say(self.key, name, told, QUIET), durable=False)

    async def _lose_one(self, task_id: str, silence: float) -> None:
        logger.warning("task %s is lost: its engine is silent for %.0f s", task_id, silence)
        now = time.time()
        task = await self._database.write(
            lambda: change_task(self.key, task_id, lambda task: moves.lost(task, silence, now))
        )
        if task is not None:
            self._world.figures.ended(label_of(self.key), task)
        run = self._running.pop(task_id, None)
        if run is not None:
            run.cancel()
        self.wake()

    def _start_runs(self, facts: ClusterFacts) -> None:
        for task in facts.tasks.values():
            engine = self._engines.get(task.instance_id or "")
            if engine is None:
                continue
            if task.task_id not in self._running:
                self._run(task.task_id, engine)
            if task.desired is DesiredStatus.STOPPED:
                self._runs[task.task_id].touch(unwanted=True)

    def _run(self, task_id: str, engine: Engine) -> None:
        world = self._world
        run = TaskRun(self.key, task_id, engine, self._database, world.launching, world.pace.drain)
        run.changed, run.figures, run.withdraw = self.wake, world.figures, self._publish
        self._runs[task_id] = run
        running = self._running[task_id] = asyncio.create_task(run.run())

        def ended(done: asyncio.Task[None]) -> None:
            if self._running.get(task_id) is done:
                del self._running[task_id]
                del self._runs[task_id]
            if not done.cancelled() and done.exception() is not None:
                logger.error("task %s: will be tried again", task_id, exc_info=done.exception())
            self.wake()

        running.add_done_callback(ended)

    def _measure(self, facts: ClusterFacts) -> None:
        """Ask engines now and then what tasks use."""
        if time.monotonic() - self._measured_at < MEASURE_EVERY:
            return
        self._measured_at = time.monotonic()
        if self._measuring is None or self._measuring.done():
            running = [task for task in facts.tasks.values() if task.status is TaskStatus.RUNNING]
            self._measuring = asyncio.create_task(self._measure_all(running[:MOST_TASKS]))

    async def _measure_all(self, running: list[Task]) -> None:
        found = {}
        for task in running:
            engine = self._engines.get(task.instance_id or "")
            if engine is not None and not engine.trouble:
                with contextlib.suppress(EngineDown, Refused):
                    found[task.task_id] = (task, await engine.driver.usage(task.task_id))
        self._world.figures.used(label_of(self.key), found)

    # --- what engines tell

    def _touched(self, task_id: str) -> None:
        run = self._runs.get(task_id)
        if run is not None:
            run.touch()

    def _seen(self, engine: Engine, views: Sequence[TaskView]) -> None:
        """All that an engine has, every few seconds: what is ours and runs is looked at, what has stopped goes."""
        for view in views:
            if view.labels.get("cluster", self.key.cluster) != self.key.cluster:
                continue
            if view.task_id in self._runs:
                self._runs[view.task_id].touch()
            else:
                zombie = asyncio.create_task(self._clear_away(engine, view.task_id))
                self._zombies.add(zombie)
                zombie.add_done_callback(self._zombies.discard)
        for run in self._runs.values():
            run.touch()
        self.wake()

    async def _clear_away(self, engine: Engine, task_id: str) -> None:
        """Stop and remove what the store says has stopped; what it does not know is left to whoever started it."""
        record = await self._database.read(tasks.find(self.key, task_id))
        if record is None or record.status < TaskStatus.STOPPED:
            return
        logger.warning("task %s has stopped, but engine %s still has it: removed", task_id, engine.instance_id)
        with contextlib.suppress(EngineDown, Refused):
            await engine.driver.stop(task_id)
            await engine.driver.forget(task_id)


def noted_instance(instance: Instance, engine: Engine, now: float, reserve: int) -> Instance:
    """The instance as its engine is now, whose disk has to have `reserve` bytes free."""
    info = engine.info
    full = info is not None and info.free_disk is not None and info.free_disk < reserve
    noted = replace(instance, connected=engine.is_placed_on(now), taken_ports=engine.taken_ports(now), disk_full=full)
    if info is not None and instance.registered.cpu == 0 and instance.registered.memory == 0:
        noted = replace(noted, registered=Resources(info.cpu, info.memory, instance.registered.ports))
    if info is not None and instance.architecture != info.architecture:
        noted = replace(noted, architecture=info.architecture)
    if noted.connected is not instance.connected:
        noted = replace(noted, seen_at=engine.answered_at or instance.seen_at)
    return noted
