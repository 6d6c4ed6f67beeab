"""An engine in memory, on a clock that tests turn, whose images behave as they are told to.

It keeps the contract of `Driver` (tests/contracts/test_engine.py runs on it and on Docker), except where a test asks
for a fault: `down`, `speaks`, `stale_list`, `taken_ports`, and what a `Behaviour` refuses.
"""

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

from estiva.digest import Digest
from orchestrator.definition import ContainerDefinition, NetworkMode
from orchestrator.engines import (
    Authorize,
    ContainerSpec,
    ContainerStatus,
    EngineDown,
    EngineInfo,
    Exec,
    Image,
    LogLine,
    NetworkBinding,
    Refused,
    TaskSpec,
    TaskView,
    Usage,
)
from orchestrator.engines.fake_container import Behaviour, FakeContainer, FakeExec, VirtualClock
from orchestrator.engines.labels import task_labels
from orchestrator.engines.steps import startable

FIRST_DYNAMIC_PORT = 32768


@dataclass(slots=True)
class _Task:
    spec: TaskSpec
    containers: dict[str, FakeContainer]
    reported_dead: set[str] = field(default_factory=set)


class FakeEngine:
    """See the module. `images` maps a repository or a whole reference to what its containers do."""

    def __init__(self, clock: VirtualClock, info: EngineInfo | None = None) -> None:
        self.clock = clock
        self.about = info or EngineInfo("fake", "fake", "1", cpu=4096, memory=16384, architecture="amd64")
        self.images: dict[str, Behaviour] = {}
        self.down = False
        self.speaks = asyncio.Event()
        """Cleared, it hangs: whoever asks what it is waits."""
        self.speaks.set()
        self.stale_list = False
        """`tasks()` lists containers that died by themselves as running; `task()` is right (ORCHESTRATOR.md part 2)."""
        self.taken_ports: set[tuple[int, str]] = set()
        """(host port, protocol) that somebody else on the host listens on."""
        self.present: dict[str, int] = {}
        """Reference → bytes, of what was pulled; the order is that of last use."""
        self.pulls: list[str] = []
        """What was really pulled, in order."""
        self._tasks: dict[str, _Task] = {}
        self._watchers: list[asyncio.Queue[str | None]] = []
        self._numbers = itertools.count(1)
        self._changed = asyncio.Event()
        clock.when_it_ticks(self._tell_what_ended)

    # What tests do to it.

    def kill(self, task_id: str, container: str, exit_code: int = 137) -> None:
        """End a container as `docker kill` from elsewhere does."""
        self._tasks[task_id].containers[container].end(self.clock(), exit_code)
        self._tell(task_id)

    def restart_daemon(self, *, live_restore: bool = False) -> None:
        """The engine's daemon restarts: without live restore, what ran has exited."""
        for task in self._tasks.values():
            for container in task.containers.values():
                if not live_restore and container.runs(self.clock()):
                    container.end(self.clock(), 137)
        for watcher in self._watchers:
            watcher.put_nowait(None)

    # What a driver does.

    async def info(self) -> EngineInfo:
        """What it was told to be."""
        await self.speaks.wait()
        self._answer()
        return self.about

    async def pull(self, image: Image, authorize: Authorize) -> Digest | None:
        """See `Driver.pull`."""
        self._answer()
        behaviour = self._behaviour(image)
        digest = image.digest or behaviour.digest
        # By digest what is here is used as it is; a tag is asked for each time.
        if image.digest is None or image.reference not in self.present:
            await authorize()
            if behaviour.refuses_pull is not None:
                raise behaviour.refuses_pull
            self.pulls.append(image.reference)
        self.present.pop(image.reference, None)
        self.present[image.reference] = behaviour.size
        return digest

    async def advance(self, task: TaskSpec) -> TaskView:
        """See `Driver.advance`."""
        self._answer()
        held = self._tasks.setdefault(task.task_id, _Task(task, {}))
        for spec in task.containers:
            if spec.definition.name not in held.containers:
                held.containers[spec.definition.name] = self._create(spec)
        views = {name: container.view(self.clock()) for name, container in held.containers.items()}
        for name in startable(task.definition, views, self.clock()):
            self._start(held, held.containers[name])
        return self._look(held)

    async def stop(self, task_id: str) -> TaskView:
        """See `Driver.stop`; no time passes."""
        self._answer()
        held = self._tasks.get(task_id)
        if held is None:
            return TaskView(task_id, ())
        for container in held.containers.values():
            if container.runs(self.clock()):
                code = 137 if container.behaviour.ignores_term else container.behaviour.exit_code_on_term
                container.end(self.clock(), code)
        self._tell(task_id)
        return self._look(held)

    async def forget(self, task_id: str) -> None:
        """See `Driver.forget`."""
        self._answer()
        if self._tasks.pop(task_id, None) is not None:
            self._tell(task_id)

    async def task(self, task_id: str) -> TaskView | None:
        """See `Driver.task`."""
        self._answer()
        held = self._tasks.get(task_id)
        return None if held is None else self._look(held)

    async def tasks(self) -> list[TaskView]:
        """See `Driver.tasks`; wrong where `stale_list` says so."""
        self._answer()
        return [self._stale(view) if self.stale_list else view for view in map(self._look, self._tasks.values())]

    async def watch(self) -> AsyncIterator[str]:
        """See `Driver.watch`."""
        self._answer()
        queue: asyncio.Queue[str | None] = asyncio.Queue()
        self._watchers.append(queue)
        try:
            while (task_id := await queue.get()) is not None:
                self._answer()
                yield task_id
        finally:
            self._watchers.remove(queue)
        raise EngineDown("the engine ended the connection")

    async def logs(
        self, task_id: str, container: str, *, follow: bool = False, since: float = 0, tail: int | None = None
    ) -> AsyncIterator[LogLine]:
        """See `Driver.logs`."""
        held = self._container(task_id, container)
        lines = [line for line in held.lines(self.clock()) if line.at >= since]
        told = len(held.lines(self.clock()))
        for line in lines if tail is None else lines[max(0, len(lines) - tail) :]:
            yield line
        while follow and held.runs(self.clock()):
            await self._changed.wait()
            lines = held.lines(self.clock())
            for line in lines[told:]:
                yield line
            told = len(lines)

    @asynccontextmanager
    async def exec(
        self, task_id: str, container: str, argv: tuple[str, ...], *, terminal: bool = False
    ) -> AsyncIterator[Exec]:
        """See `Driver.exec`; what a command does is in the image's `Behaviour`."""
        held = self._container(task_id, container)
        if not held.runs(self.clock()):
            raise Refused("CannotExecError", f"container {container} is not running", container=container)
        yield FakeExec(argv, held.behaviour.commands)

    async def usage(self, task_id: str) -> list[Usage]:
        """A processor second for each second it ran, and one MiB."""
        self._answer()
        held = self._tasks.get(task_id)
        running = [] if held is None else [one for one in held.containers.values() if one.runs(self.clock())]
        now = self.clock()
        return [Usage(one.spec.definition.name, now - (one.started_at or now), 1 << 20) for one in running]

    async def evict(self, repositories: str, keep: frozenset[Digest], want: int) -> int:
        """See `Driver.evict`; `free_disk` of its info is what is free, 0 where it is not told."""
        self._answer()
        used = {one.spec.image.reference for task in self._tasks.values() for one in task.containers.values()}
        freed = 0
        for reference in [one for one in self.present if one.startswith(f"{repositories}/") and one not in used]:
            free = (self.about.free_disk or 0) + freed
            kept = any(reference.endswith(f"@{digest}") for digest in keep)
            if free < want and not kept:
                freed += self.present.pop(reference)
        self.about = replace(self.about, free_disk=(self.about.free_disk or 0) + freed)
        return freed

    async def close(self) -> None:
        """Nothing is open."""

    # How it does that.

    def _answer(self) -> None:
        if self.down:
            raise EngineDown("the fake engine is down")

    def _behaviour(self, image: Image) -> Behaviour:
        return self.images.get(image.reference) or self.images.get(image.repository) or Behaviour()

    def _create(self, spec: ContainerSpec) -> FakeContainer:
        name, behaviour = spec.definition.name, self._behaviour(spec.image)
        if spec.image.reference not in self.present:
            message = f"No such image: {spec.image.reference}"
            raise Refused("CannotCreateContainerError", message, container=name)
        if behaviour.refuses_create is not None:
            raise behaviour.refuses_create.about(name)
        return FakeContainer(spec, behaviour, f"{next(self._numbers):064x}", self.clock())

    def _start(self, task: _Task, container: FakeContainer) -> None:
        definition = container.spec.definition
        if container.behaviour.refuses_start is not None:
            refusal = container.behaviour.refuses_start.about(definition.name)
            if refusal.lasting:
                container.stopped = (self.clock(), 127, str(refusal))
            raise refusal
        container.restarts += container.started_at is not None
        container.bindings = self._bind(definition, task.spec.definition.network_mode)
        container.started_at, container.stopped = self.clock(), None
        task.reported_dead.discard(definition.name)
        self._tell(task.spec.task_id)

    def _bind(self, definition: ContainerDefinition, mode: NetworkMode) -> tuple[NetworkBinding, ...]:
        if mode is NetworkMode.NONE:
            return ()
        taken = self.taken_ports | {
            (binding.host_port, binding.protocol)
            for task in self._tasks.values()
            for other in task.containers.values()
            if other.runs(self.clock())
            for binding in other.bindings
        }
        bindings = []
        for mapping in definition.port_mappings:
            port = mapping.container_port if mode is NetworkMode.HOST else mapping.host_port or None
            if mode is NetworkMode.AWSVPC:  # the port of the task's own address, not one of the host's
                port = None
            if port is None:
                port = next(n for n in itertools.count(FIRST_DYNAMIC_PORT) if (n, mapping.protocol) not in taken)
            elif (port, mapping.protocol) in taken:
                message = f"port {port}/{mapping.protocol} of the host is already in use"
                raise Refused("CannotStartContainerError", message, port_taken=True, container=definition.name)
            taken.add((port, mapping.protocol))
            bindings.append(NetworkBinding(mapping.container_port, port, mapping.protocol))
        return tuple(bindings)

    def _look(self, task: _Task) -> TaskView:
        views = tuple(one.view(self.clock()) for one in task.containers.values())
        return TaskView(task.spec.task_id, views, task_labels(task.spec))

    def _stale(self, view: TaskView) -> TaskView:
        held = self._tasks[view.task_id].containers
        return replace(
            view,
            containers=tuple(
                replace(one, status=ContainerStatus.RUNNING, exit_code=None, reason=None, finished_at=None)
                if one.status is ContainerStatus.STOPPED and held[one.name].started_at is not None
                else one
                for one in view.containers
            ),
        )

    def _container(self, task_id: str, name: str) -> FakeContainer:
        self._answer()
        held = self._tasks.get(task_id)
        if held is None or name not in held.containers:
            raise Refused("ContainerVanishedError", f"there is no container {name} of task {task_id}", container=name)
        return held.containers[name]

    def _tell(self, task_id: str) -> None:
        for watcher in self._watchers:
            watcher.put_nowait(task_id)
        self._changed.set()
        self._changed = asyncio.Event()

    def _tell_what_ended(self) -> None:
        for task in self._tasks.values():
            dead = {name for name, one in task.containers.items() if one.ended(self.clock())}
            if dead - task.reported_dead and not self.down:
                task.reported_dead |= dead
                self._tell(task.spec.task_id)
        self._changed.set()
        self._changed = asyncio.Event()
