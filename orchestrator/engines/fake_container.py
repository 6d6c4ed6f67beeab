"""What a container of the fake engine does as time passes."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field

from estiva.digest import Digest
from orchestrator.engines import (
    ContainerSpec,
    ContainerStatus,
    ContainerView,
    HealthStatus,
    LogLine,
    NetworkBinding,
    Refused,
)

OUT_OF_MEMORY = "OutOfMemoryError: Container killed due to memory usage"


class VirtualClock:
    """Unix seconds that pass only when a test says so; several engines may share one."""

    def __init__(self, start: float = 1_800_000_000.0) -> None:
        self._now = start
        self._listeners: list[Callable[[], None]] = []

    def __call__(self) -> float:
        """What time it is."""
        return self._now

    def tick(self, seconds: float) -> None:
        """Let time pass; engines tell their watchers what ended meanwhile."""
        self._now += seconds
        for listener in self._listeners:
            listener()

    def when_it_ticks(self, listener: Callable[[], None]) -> None:
        """Call this after each tick."""
        self._listeners.append(listener)


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What containers of an image do. Seconds count from the start of the container; None: it never happens."""

    exits_after: float | None = None
    exit_code: int = 0
    out_of_memory: bool = False
    """It is killed for its memory when it exits, with 137."""
    healthy_after: float | None = 0.0
    """With a health check: when it becomes HEALTHY; None: UNHEALTHY once start period and retries are over."""
    unhealthy_after: float | None = None
    """With a health check: when it becomes UNHEALTHY again."""
    ignores_term: bool = False
    exit_code_on_term: int = 143
    output: tuple[tuple[float, str, str], ...] = ()
    """(seconds after the start, stdout or stderr, line)."""
    commands: Mapping[str, tuple[bytes, bytes, int]] = field(default_factory=dict)
    """First word of a command that is run in it → stdout, stderr, exit code. `cat` is always there."""
    refuses_pull: Refused | None = None
    refuses_create: Refused | None = None
    refuses_start: Refused | None = None
    digest: Digest | None = None
    """What a pull by tag finds."""
    size: int = 10_000_000


@dataclass(slots=True)
class FakeContainer:
    """One container: what it is, and what was done to it."""

    spec: ContainerSpec
    behaviour: Behaviour
    runtime_id: str
    created_at: float
    started_at: float | None = None
    stopped: tuple[float, int, str | None] | None = None
    """When, exit code, reason: what was done to it from outside."""
    restarts: int = 0
    bindings: tuple[NetworkBinding, ...] = ()

    @property
    def name(self) -> str:
        """Its name in the definition."""
        return self.spec.definition.name

    def runs(self, now: float) -> bool:
        """Whether it was started and has not ended."""
        return self.started_at is not None and self.ended(now) is None

    def ended(self, now: float) -> tuple[float, int, str | None] | None:
        """When, with which code and why it ended: by what was done to it, or by itself."""
        behaviour = self.behaviour
        if self.stopped is not None or self.started_at is None or behaviour.exits_after is None:
            return self.stopped
        at = self.started_at + behaviour.exits_after
        if at > now:
            return None
        return (at, 137, OUT_OF_MEMORY) if behaviour.out_of_memory else (at, behaviour.exit_code, None)

    def end(self, now: float, exit_code: int) -> None:
        """End it from outside."""
        self.stopped = (now, exit_code, None)

    def lines(self, now: float) -> list[LogLine]:
        """What it has written since its last start."""
        if self.started_at is None:
            return []
        ended = self.ended(now)
        until = (ended[0] if ended else now) - self.started_at
        output = self.behaviour.output
        return [LogLine(self.started_at + at, stream, text) for at, stream, text in output if at <= until]

    def view(self, now: float) -> ContainerView:
        """The container as an engine tells it."""
        ended = self.ended(now)
        status = ContainerStatus.STOPPED if ended else ContainerStatus.CREATED
        if self.runs(now):
            status = ContainerStatus.RUNNING
        return ContainerView(
            name=self.name,
            status=status,
            runtime_id=self.runtime_id,
            image=self.spec.image.reference,
            digest=self.spec.image.digest or self.behaviour.digest,
            exit_code=ended[1] if ended else None,
            reason=ended[2] if ended else None,
            health=self._health(now),
            created_at=self.created_at,
            started_at=self.started_at,
            finished_at=ended[0] if ended else None,
            restarts=self.restarts,
            bindings=self.bindings if status is ContainerStatus.RUNNING else (),
        )

    def _health(self, now: float) -> HealthStatus:
        check, behaviour = self.spec.definition.health_check, self.behaviour
        if check is None or self.started_at is None:
            return HealthStatus.UNKNOWN
        ended = self.ended(now)
        age = (ended[0] if ended else now) - self.started_at
        if behaviour.unhealthy_after is not None and age >= behaviour.unhealthy_after:
            return HealthStatus.UNHEALTHY
        if behaviour.healthy_after is not None:
            return HealthStatus.HEALTHY if age >= behaviour.healthy_after else HealthStatus.UNKNOWN
        given_up = check.start_period + check.interval * check.retries
        return HealthStatus.UNHEALTHY if age >= given_up else HealthStatus.UNKNOWN


class FakeExec:
    """A command that runs in a fake container; `cat` gives back what it is given."""

    def __init__(self, argv: tuple[str, ...], commands: Mapping[str, tuple[bytes, bytes, int]]) -> None:
        self._cat = argv[0] == "cat"
        missing = (b"", f"{argv[0]}: not found\n".encode(), 127)
        self._result = (b"", b"", 0) if self._cat else commands.get(argv[0], missing)
        self._given: asyncio.Queue[bytes] = asyncio.Queue()
        self.size: tuple[int, int] | None = None

    async def output(self) -> AsyncIterator[tuple[str, bytes]]:
        """See `Exec.output`."""
        while self._cat and (data := await self._given.get()):
            yield "stdout", data
        for stream, data in zip(("stdout", "stderr"), self._result[:2], strict=True):
            if data:
                yield stream, data

    async def write(self, data: bytes) -> None:
        """See `Exec.write`."""
        if data:
            self._given.put_nowait(data)

    async def write_eof(self) -> None:
        """See `Exec.write_eof`."""
        self._given.put_nowait(b"")

    async def resize(self, columns: int, rows: int) -> None:
        """See `Exec.resize`; `size` tells what was said last."""
        self.size = (columns, rows)

    async def exit_code(self) -> int:
        """See `Exec.exit_code`."""
        return self._result[2]
