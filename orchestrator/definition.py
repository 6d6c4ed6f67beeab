"""What a task definition says, read from ECS's JSON: the names are ECS's own, in Python's spelling.

Members that act are here; those that are only kept and returned stay in the document the definition was read from.
Memory is in MiB, as ECS has it, and times are in seconds.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class NetworkMode(StrEnum):
    """How the containers of a task are connected. `awsvpc`: they share one network namespace."""

    BRIDGE = "bridge"
    HOST = "host"
    NONE = "none"
    AWSVPC = "awsvpc"


class Condition(StrEnum):
    """What has to be true of another container before this one starts (ECS ContainerDependency)."""

    START = "START"
    COMPLETE = "COMPLETE"
    SUCCESS = "SUCCESS"
    HEALTHY = "HEALTHY"


@dataclass(frozen=True, slots=True)
class PortMapping:
    """A port that is published; without a host port (None or 0) the engine chooses one."""

    container_port: int
    host_port: int | None = None
    protocol: str = "tcp"
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Dependency:
    """`dependsOn`: the container waits until the other one is so."""

    container: str
    condition: Condition


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """A command that says whether the container is well: `CMD`, `CMD-SHELL` or `NONE` and its words."""

    command: tuple[str, ...]
    interval: int = 30
    timeout: int = 5
    retries: int = 3
    start_period: int = 0


@dataclass(frozen=True, slots=True)
class RestartPolicy:
    """Start the same container again where it exits, but not with these codes, nor before it ran this long."""

    ignored_exit_codes: frozenset[int] = frozenset()
    attempt_period: int = 300


@dataclass(frozen=True, slots=True)
class MountPoint:
    """A volume of the task at a path of the container."""

    source_volume: str
    container_path: str
    read_only: bool = False


@dataclass(frozen=True, slots=True)
class VolumesFrom:
    """All mounts of another container of the task."""

    source_container: str
    read_only: bool = False


@dataclass(frozen=True, slots=True)
class Ulimit:
    """A limit of the container's processes, named as setrlimit's resources are."""

    name: str
    soft_limit: int
    hard_limit: int


@dataclass(frozen=True, slots=True)
class Device:
    """A device of the host inside the container."""

    host_path: str
    container_path: str | None = None
    permissions: tuple[str, ...] = ("read", "write", "mknod")


@dataclass(frozen=True, slots=True)
class Tmpfs:
    """A file system in memory, of at most `size` MiB."""

    container_path: str
    size: int
    mount_options: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LinuxParameters:
    """What only Linux knows."""

    capabilities_add: tuple[str, ...] = ()
    capabilities_drop: tuple[str, ...] = ()
    devices: tuple[Device, ...] = ()
    init_process_enabled: bool = False
    shared_memory_size: int | None = None
    max_swap: int | None = None
    swappiness: int | None = None
    tmpfs: tuple[Tmpfs, ...] = ()


@dataclass(frozen=True, slots=True)
class LogConfiguration:
    """The engine's log driver and its options."""

    log_driver: str
    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ContainerDefinition:
    """One container of a task."""

    name: str
    image: str
    essential: bool = True
    cpu: int = 0
    memory: int | None = None
    memory_reservation: int | None = None
    entry_point: tuple[str, ...] | None = None
    command: tuple[str, ...] | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)
    """Name of the variable → `valueFrom`."""
    port_mappings: tuple[PortMapping, ...] = ()
    depends_on: tuple[Dependency, ...] = ()
    start_timeout: int | None = None
    """How long others wait, from its start, for it to become what they depend on; None: for ever."""
    stop_timeout: int = 30
    health_check: HealthCheck | None = None
    restart_policy: RestartPolicy | None = None
    mount_points: tuple[MountPoint, ...] = ()
    volumes_from: tuple[VolumesFrom, ...] = ()
    ulimits: tuple[Ulimit, ...] = ()
    linux_parameters: LinuxParameters = LinuxParameters()
    log_configuration: LogConfiguration | None = None
    hostname: str | None = None
    user: str | None = None
    working_directory: str | None = None
    disable_networking: bool = False
    privileged: bool = False
    readonly_root_filesystem: bool = False
    dns_servers: tuple[str, ...] = ()
    dns_search_domains: tuple[str, ...] = ()
    extra_hosts: Mapping[str, str] = field(default_factory=dict)
    """Name → address."""
    links: tuple[str, ...] = ()
    docker_security_options: tuple[str, ...] = ()
    docker_labels: Mapping[str, str] = field(default_factory=dict)
    system_controls: Mapping[str, str] = field(default_factory=dict)
    interactive: bool = False
    pseudo_terminal: bool = False
    gpus: int = 0
    resolves_at_launch: bool = False
    """`versionConsistency: disabled`: the tag is resolved for each launch instead of once for a deployment."""


@dataclass(frozen=True, slots=True)
class Volume:
    """A volume of the task: a path of the host, a named volume that outlives it, or one that goes with it (neither)."""

    name: str
    host_path: str | None = None
    shared_name: str | None = None
    """The engine's name of a volume with `scope: shared`."""
    driver: str | None = None
    driver_options: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    autoprovision: bool = False


@dataclass(frozen=True, slots=True)
class TaskDefinition:
    """What one revision of a family runs."""

    family: str
    revision: int
    containers: tuple[ContainerDefinition, ...]
    volumes: tuple[Volume, ...] = ()
    network_mode: NetworkMode = NetworkMode.BRIDGE
    cpu: int | None = None
    """The limit of the whole task, in units of 1/1024 of a processor."""
    memory: int | None = None
    architecture: str | None = None
    """As image platforms name it, `amd64` or `arm64`, where `runtimePlatform` names one."""
    pid_mode: str | None = None
    ipc_mode: str | None = None
    placement_constraints: tuple[tuple[str, str], ...] = ()
    """Kind and expression of what every task of it asks of its instance."""

    def container(self, name: str) -> ContainerDefinition:
        """The container of this name; KeyError."""
        for container in self.containers:
            if container.name == name:
                return container
        raise KeyError(name)
