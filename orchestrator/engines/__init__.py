"""What the orchestrator asks of a container engine: a task is advanced, stopped, forgotten, and seen as it is.

A driver remembers nothing between calls: what exists on the engine is the state, and labels say whose it is. Every call
is idempotent and has a deadline, so that whatever was cut off is healed by calling again.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from estiva.digest import Digest
from orchestrator.definition import ContainerDefinition, TaskDefinition

LABEL = "dev.estiva."
"""Before each label of ours: cluster, task, container, service, deployment, definition, digest, spec-hash."""
ECS_LABEL = "com.amazonaws.ecs."
"""Before the five labels of the ECS agent: task-arn, container-name, task-definition-family, …-version, cluster."""


class EngineDown(Exception):
    """The engine does not answer, or not in time; nothing is known of what it runs."""


class Refused(Exception):
    """The engine (or what it asked for us) said no, in words an operator understands.

    `name` is what the ECS agent calls it, such as `CannotPullContainerError`; `lasting` says that asking again does
    not help (a missing digest, a bad command), `port_taken` that another instance may be free. `container` is the
    container of the task it was about, where it was about one.
    """

    def __init__(
        self, name: str, message: str, *, lasting: bool = False, port_taken: bool = False, container: str | None = None
    ) -> None:
        super().__init__(f"{name}: {message}")
        self.name, self.message, self.lasting, self.port_taken = name, message, lasting, port_taken
        self.container = container

    def about(self, container: str) -> "Refused":
        """The same, said about this container."""
        return Refused(self.name, self.message, lasting=self.lasting, port_taken=self.port_taken, container=container)


class ContainerStatus(StrEnum):
    """What the engine says of a container; PENDING: it was not created yet."""

    PENDING = "PENDING"
    CREATED = "CREATED"
    RUNNING = "RUNNING"
    STOPPED = "STOPPED"


class HealthStatus(StrEnum):
    """ECS's words for health; UNKNOWN: no check, or none has ended yet."""

    HEALTHY = "HEALTHY"
    UNHEALTHY = "UNHEALTHY"
    UNKNOWN = "UNKNOWN"


@dataclass(frozen=True, slots=True)
class Image:
    """An image to run: where it is pulled from, pinned where the digest is known."""

    repository: str
    """With its host, such as `127.0.0.1:5000/web`."""
    digest: Digest | None = None
    tag: str | None = None

    @property
    def reference(self) -> str:
        """What the engine is asked for: the digest where it is known, never a tag that may have moved."""
        if self.digest is not None:
            return f"{self.repository}@{self.digest}"
        return f"{self.repository}:{self.tag or 'latest'}"


@dataclass(frozen=True, slots=True)
class PullAuth:
    """A name and a secret for one pull; kept by nobody."""

    username: str
    password: str = field(repr=False)


Authorize = Callable[[], Awaitable[PullAuth | None]]
"""What gives the right to pull one image, where it is asked for; None where none is needed."""


@dataclass(frozen=True, slots=True)
class ContainerSpec:
    """One container to run: what its definition says after overrides, its image, and its secrets in the clear."""

    definition: ContainerDefinition
    image: Image
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class TaskSpec:
    """One task to run."""

    task_id: str
    arn: str
    cluster: str
    definition: TaskDefinition
    containers: tuple[ContainerSpec, ...]
    service: str | None = None
    deployment: str | None = None


@dataclass(frozen=True, slots=True)
class NetworkBinding:
    """A published port as the engine has it."""

    container_port: int
    host_port: int
    protocol: str = "tcp"
    bind_ip: str = "0.0.0.0"  # noqa: S104 - what the engine reports


@dataclass(frozen=True, slots=True)
class ContainerView:
    """A container as the engine has it now (inspected, never listed). Times are Unix seconds."""

    name: str
    status: ContainerStatus
    runtime_id: str | None = None
    image: str | None = None
    digest: Digest | None = None
    exit_code: int | None = None
    reason: str | None = None
    """Why it did not start or how it ended, as the ECS agent says it: `OutOfMemoryError: Container killed …`."""
    health: HealthStatus = HealthStatus.UNKNOWN
    created_at: float | None = None
    started_at: float | None = None
    finished_at: float | None = None
    restarts: int = 0
    bindings: tuple[NetworkBinding, ...] = ()
    address: str | None = None
    """Its address on the task's network, where it has one."""


@dataclass(frozen=True, slots=True)
class TaskView:
    """A task as the engine has it now; `labels` are those of its containers without `LABEL`."""

    task_id: str
    containers: tuple[ContainerView, ...]
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """What an engine has. Memory in MiB, cpu in units of 1/1024 processor, disk in bytes."""

    engine_id: str
    name: str
    version: str
    cpu: int
    memory: int
    architecture: str
    free_disk: int | None = None
    live_restore: bool = False


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line a container wrote. `at`: Unix seconds; `stream`: stdout or stderr."""

    at: float
    stream: str
    text: str


@dataclass(frozen=True, slots=True)
class Usage:
    """What a container uses now: memory in bytes, processor seconds since its start."""

    container: str
    cpu_seconds: float
    memory: int


class Exec(Protocol):
    """A command that runs in a container."""

    def output(self) -> AsyncIterator[tuple[str, bytes]]:
        """What it writes, as (stdout or stderr, bytes), until it ends."""
        ...

    async def write(self, data: bytes) -> None:
        """Give it more on its standard input."""
        ...

    async def write_eof(self) -> None:
        """Say that nothing more comes on its standard input."""
        ...

    async def resize(self, columns: int, rows: int) -> None:
        """Say how large its terminal is; nothing where it has none, or has ended."""
        ...

    async def exit_code(self) -> int:
        """Its exit code, when its output has ended."""
        ...


class Driver(Protocol):
    """One engine. Every method raises EngineDown, and where it says so Refused."""

    async def info(self) -> EngineInfo:
        """What the engine is and has."""
        ...

    async def pull(self, image: Image, authorize: Authorize) -> Digest | None:
        """Have the image here; no work where its digest is. Pulls of the same image at once are one. Refused.

        Returns the digest that will run, where the engine tells it. `authorize` is asked only where there is something
        to pull, once for those who want it at once.
        """
        ...

    async def advance(self, task: TaskSpec) -> TaskView:
        """Do the next safe steps towards running: networks, volumes, creates, starts that `dependsOn` allows.

        Images must have been pulled. Call again until all containers run (or may never): it does not wait for
        dependencies. Containers whose restart policy says so are started again here (`steps.is_restarted` says
        which), so judge a task that is wanted by what this returns. The view has every container of the task, in the
        order of its definition. Refused; `TaskDependencyError` where a dependency can no longer come true.
        """
        ...

    async def stop(self, task_id: str) -> TaskView:
        """Stop its containers in the reverse order of `dependsOn`, each with its own stop timeout.

        Returns what is there then, which is nothing where the engine has nothing of the task. Containers that were
        created and never started stay as they are; nothing starts them but `advance`.
        """
        ...

    async def forget(self, task_id: str) -> None:
        """Remove its containers, its network and the volumes that were its own."""
        ...

    async def task(self, task_id: str) -> TaskView | None:
        """One task as it is, or None where the engine has nothing of it. Containers not created yet are absent."""
        ...

    async def tasks(self) -> list[TaskView]:
        """Every task with our labels, running or dead."""
        ...

    def watch(self) -> AsyncIterator[str]:
        """Ids of tasks worth another look. Some may be lost: this wakes, and never decides."""
        ...

    def logs(
        self, task_id: str, container: str, *, follow: bool = False, since: float = 0, tail: int | None = None
    ) -> AsyncIterator[LogLine]:
        """What a container wrote, oldest first. Refused where there is no such container."""
        ...

    def exec(
        self, task_id: str, container: str, argv: tuple[str, ...], *, terminal: bool = False
    ) -> AbstractAsyncContextManager[Exec]:
        """Run a command in a container. Refused where there is no such container, or it does not run."""
        ...

    async def usage(self, task_id: str) -> list[Usage]:
        """What the running containers of a task use now."""
        ...

    async def evict(self, repositories: str, keep: frozenset[Digest], want: int) -> int:
        """Remove images of this registry (`host` before the first slash) until `want` bytes are free, least recently
        used first, never one that is kept or that a container uses. Returns the bytes that were freed.
        """
        ...

    async def close(self) -> None:
        """End the connections to the engine; what it runs goes on."""
        ...
