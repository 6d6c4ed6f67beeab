"""Records of the orchestrator and the moves they may make. Times are Unix seconds; ids are 32 hexadecimal digits."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum

from estiva.digest import Digest
from orchestrator.engines import ContainerView, HealthStatus


class TaskStatus(IntEnum):
    """`lastStatus` of a task, in the only order it moves."""

    PROVISIONING = 1
    """Accepted."""
    PENDING = 2
    """Waiting for room, or for a pull."""
    ACTIVATING = 3
    """Created; dependencies and starts."""
    RUNNING = 4
    DEACTIVATING = 5
    """Taken from where traffic finds it."""
    STOPPING = 6
    DEPROVISIONING = 7
    """Its last log lines are kept; network and volumes go."""
    STOPPED = 8


class DesiredStatus(StrEnum):
    """What a task is wanted to be."""

    RUNNING = "RUNNING"
    STOPPED = "STOPPED"


class StopCode(StrEnum):
    """Why a task stopped, in ECS's words. InfrastructureHealth: its engine was lost."""

    TASK_FAILED_TO_START = "TaskFailedToStart"
    ESSENTIAL_CONTAINER_EXITED = "EssentialContainerExited"
    USER_INITIATED = "UserInitiated"
    SERVICE_SCHEDULER_INITIATED = "ServiceSchedulerInitiated"
    INFRASTRUCTURE_HEALTH = "InfrastructureHealth"


class InstanceStatus(StrEnum):
    """Of a container instance: ACTIVE is placed on; DRAINING is emptied, replacements first."""

    ACTIVE = "ACTIVE"
    DRAINING = "DRAINING"
    INACTIVE = "INACTIVE"


class RolloutState(StrEnum):
    """How far a deployment is."""

    IN_PROGRESS = "IN_PROGRESS"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"


class ServiceStatus(StrEnum):
    """Of a service."""

    ACTIVE = "ACTIVE"
    DRAINING = "DRAINING"
    INACTIVE = "INACTIVE"


class SchedulingStrategy(StrEnum):
    """REPLICA: so many tasks; DAEMON: one on each instance."""

    REPLICA = "REPLICA"
    DAEMON = "DAEMON"


@dataclass(frozen=True, slots=True)
class Resources:
    """What a task needs and an instance has: cpu in units of 1/1024, memory in MiB, fixed host ports."""

    cpu: int = 0
    memory: int = 0
    ports: frozenset[tuple[int, str]] = frozenset()
    """(host port, protocol)."""


@dataclass(frozen=True, slots=True)
class Instance:
    """A container instance: one engine."""

    instance_id: str
    cluster: str
    endpoint: str
    """`unix:///var/run/docker.sock`, `tcp://…`."""
    status: InstanceStatus
    connected: bool
    registered: Resources
    architecture: str
    attributes: Mapping[str, str] = field(default_factory=dict)
    seen_at: float = 0.0
    """When its engine answered last."""
    digests: frozenset[Digest] = frozenset()
    """Images known to be there: a launch there needs no pull."""
    taken_ports: frozenset[tuple[int, str]] = frozenset()
    """Ports of its host that somebody else was seen to listen on, until they are tried again."""
    disk_full: bool = False
    """Whether its engine's disk has less room than is kept free."""
    version: int = 1


@dataclass(frozen=True, slots=True)
class Placement:
    """How instances are chosen: strategies in order, constraints all of them, as (type, field or expression)."""

    strategies: tuple[tuple[str, str], ...] = ()
    """type random | spread | binpack, and its field."""
    constraints: tuple[tuple[str, str], ...] = ()
    """type distinctInstance | memberOf, and its expression."""


@dataclass(frozen=True, slots=True)
class Task:
    """A task: what was asked for, and what the engine reported last."""

    task_id: str
    cluster: str
    family: str
    revision: int
    desired: DesiredStatus
    status: TaskStatus
    created_at: float
    group: str = ""
    """`service:NAME` or `family:NAME`, as ECS has it."""
    service: str | None = None
    deployment: str | None = None
    instance_id: str | None = None
    started_by: str | None = None
    needs: Resources = Resources()
    images: Mapping[str, Digest] = field(default_factory=dict)
    """Container → digest it runs."""
    containers: tuple[ContainerView, ...] = ()
    health: HealthStatus = HealthStatus.UNKNOWN
    connected: bool = True
    started_at: float | None = None
    stopping_at: float | None = None
    stopped_at: float | None = None
    pull_started_at: float | None = None
    pull_stopped_at: float | None = None
    stop_code: StopCode | None = None
    stopped_reason: str | None = None
    version: int = 1


@dataclass(frozen=True, slots=True)
class DeploymentSettings:
    """How a service moves from one revision to another."""

    maximum_percent: int = 200
    minimum_healthy_percent: int = 100
    circuit_breaker: bool = True
    rollback: bool = True
    threshold: int | None = None
    """Failed tasks at which the breaker opens; None: ECS's min(200, max(3, half of the desired count))."""
    steady_seconds: float = 5.0
    """How long a task without a health check runs before it counts as healthy."""


@dataclass(frozen=True, slots=True)
class Deployment:
    """One rollout of a service: a revision with the digests its tags had, and how far it is."""

    deployment_id: str
    service: str
    family: str
    revision: int
    images: Mapping[str, Digest]
    desired: int
    created_at: float
    updated_at: float
    primary: bool = True
    """PRIMARY: the one the service moves to; others are ACTIVE until their tasks have stopped."""
    rollout: RolloutState = RolloutState.IN_PROGRESS
    reason: str = ""
    failed_tasks: int = 0
    consecutive_failures: int = 0
    """Launches that failed since the last task that became healthy: what throttling and the breaker count."""
    next_launch_at: float = 0.0
    rollback_of: str | None = None
    following: Mapping[str, Digest] = field(default_factory=dict)
    """Container → digest: what was pushed since it began to act, and is deployed when it has come to its end."""
    version: int = 1


@dataclass(frozen=True, slots=True)
class Service:
    """A number of tasks of one definition that is kept."""

    name: str
    cluster: str
    status: ServiceStatus
    desired: int
    strategy: SchedulingStrategy
    settings: DeploymentSettings
    placement: Placement
    created_at: float
    grace_period: int = 0
    """Seconds in which an unhealthy task is left alone after its start."""
    deploy_on_push: bool = False
    version: int = 1
