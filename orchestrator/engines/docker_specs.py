"""A task in the words of the Docker Engine API, as the ECS agent translates it. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from orchestrator.definition import ContainerDefinition, HealthCheck, MountPoint, NetworkMode, PortMapping, Volume
from orchestrator.engines import ContainerSpec, TaskSpec
from orchestrator.engines.docker_http import JSON
from orchestrator.engines.docker_linux import limits, linux, logs
from orchestrator.engines.labels import PAUSE, PORTS, container_labels, object_labels
from orchestrator.engines.pause import IMAGE

SHARED_NETWORK = "estiva"
"""Of all tasks that have no siblings to find; containers cannot reach each other there."""
SECOND = 1_000_000_000
START_INTERVAL = (1, 44)
"""The version of the API from which a container that starts is asked for its health more often."""


@dataclass(frozen=True, slots=True)
class Plumbing:
    """How the containers of a task are connected."""

    network: str
    is_own: bool = False
    """The network is the task's, and goes with it."""
    is_paused: bool = False
    """A pause container holds namespaces that the containers share."""

    @property
    def is_made(self) -> bool:
        """Whether it is a network that somebody has to make."""
        return self.network not in ("host", "none")


def plumbing(task: TaskSpec) -> Plumbing:
    """What a task needs. Alone, a container needs neither a network of its own nor anybody to hold it."""
    definition, several = task.definition, len(task.containers) > 1
    paused = several and "task" in (definition.pid_mode, definition.ipc_mode)
    match definition.network_mode:
        case NetworkMode.AWSVPC:
            return Plumbing(SHARED_NETWORK, is_paused=several)
        case NetworkMode.BRIDGE if several:
            return Plumbing(f"task-{task.task_id}", is_own=True, is_paused=paused)
        case NetworkMode.BRIDGE:
            return Plumbing(SHARED_NETWORK)
        case other:
            return Plumbing(other.value, is_paused=paused)


def container_name(task_id: str, container: str) -> str:
    """The engine's name of a container."""
    return f"task-{task_id}-{container}"


def pause_name(task_id: str) -> str:
    """The engine's name of the pause container: no container of a definition has a dot in its name."""
    return f"task-{task_id}.pause"


def network_body(task: TaskSpec, plumbing: Plumbing) -> JSON:
    """POST /networks/create."""
    body: JSON = {"Name": plumbing.network, "CheckDuplicate": True, "Driver": "bridge"}
    if plumbing.is_own:
        return {**body, "Labels": object_labels(task)}
    return {**body, "Options": {"com.docker.network.bridge.enable_icc": "false"}}


def volume_name(task_id: str, volume: Volume) -> str:
    """The engine's name of a volume that is not a path of the host."""
    return volume.shared_name or f"task-{task_id}-{volume.name}"


def volume_body(task: TaskSpec, volume: Volume) -> JSON:
    """POST /volumes/create. Only what goes with the task has its labels."""
    return {
        "Name": volume_name(task.task_id, volume),
        "Driver": volume.driver or "local",
        "DriverOpts": dict(volume.driver_options),
        "Labels": {**volume.labels, **({} if volume.shared_name else object_labels(task))},
    }


@dataclass(frozen=True, slots=True)
class Bodies:
    """Bodies of POST /containers/create for the containers of a task."""

    task: TaskSpec
    plumbing: Plumbing
    api: tuple[int, int]
    publish_on: str
    """The address of the host on which ports are published; empty: all of them."""

    def pause(self) -> JSON:
        """What holds the shared namespaces. Where it holds the network, it has the ports and names of all."""
        host: JSON = {"NetworkMode": "none", "IpcMode": "shareable", "LogConfig": {"Type": "none", "Config": {}}}
        body: JSON = {"Image": IMAGE, "Labels": {**object_labels(self.task), PAUSE: "true"}}
        if self._shares_network:
            definitions = [one.definition for one in self.task.containers]
            host |= {"NetworkMode": self.plumbing.network, **self._names(definitions)}
            host |= {"PortBindings": self._published(definitions)}
            asked = {name: value for one in definitions for name, value in one.system_controls.items()}
            host["Sysctls"] = {name: value for name, value in asked.items() if name.startswith("net.")}
            body |= {"ExposedPorts": _exposed(definitions), "Hostname": _hostname(definitions)}
        return {**body, "HostConfig": host}

    def container(self, spec: ContainerSpec, level: int, pause: str | None) -> JSON:
        """One container of the task; `pause` is the id of the pause container where there is one."""
        asked, joins = spec.definition, self._shares_network and pause is not None
        body: JSON = {
            "Image": spec.image.reference,
            "Env": [f"{name}={value}" for name, value in {**asked.environment, **spec.secrets}.items()],
            "Labels": {**container_labels(self.task, spec, level), **self._told_ports(asked)},
            "StopTimeout": asked.stop_timeout,
            "Healthcheck": self._health(asked.health_check),
            "Tty": asked.pseudo_terminal,
            "OpenStdin": asked.interactive,
            "NetworkDisabled": asked.disable_networking,
        }
        body |= _stated(
            Entrypoint=_list(asked.entry_point),
            Cmd=_list(asked.command),
            WorkingDir=asked.working_directory,
            User=asked.user,
        )
        host = {**limits(self.task.definition, asked), **linux(asked), "LogConfig": logs(asked), **self._mounts(asked)}
        host |= self._namespaces(pause)
        if joins:
            host["Sysctls"] = {name: one for name, one in host["Sysctls"].items() if not name.startswith("net.")}
        else:
            host |= self._names([asked])
            body |= _stated(Hostname=asked.hostname)
            body |= self._connected(asked, host)
        return {**body, "HostConfig": host}

    @property
    def _shares_network(self) -> bool:
        return self.plumbing.is_paused and self.task.definition.network_mode is NetworkMode.AWSVPC

    def _connected(self, asked: ContainerDefinition, host: JSON) -> JSON:
        host["NetworkMode"] = self.plumbing.network
        if not self.plumbing.is_made:
            return {}
        host["PortBindings"] = self._published([asked])
        links = (link.partition(":") for link in asked.links)
        named = [f"{container_name(self.task.task_id, other)}:{alias or other}" for other, _, alias in links]
        end = {"Aliases": [asked.name], "Links": named} if self.plumbing.is_own else {}
        return {
            "ExposedPorts": _exposed([asked]),
            "NetworkingConfig": {"EndpointsConfig": {self.plumbing.network: end}},
        }

    def _published(self, definitions: Sequence[ContainerDefinition]) -> JSON:
        # With awsvpc, a host port is one of the task's own address: the engine chooses what is published on the host.
        own_address = self.task.definition.network_mode is NetworkMode.AWSVPC
        told: dict[str, list[JSON]] = {}
        for port in (port for one in definitions for port in one.port_mappings):
            host_port = "" if own_address or not port.host_port else str(port.host_port)
            told.setdefault(_port(port), []).append({"HostIp": self.publish_on, "HostPort": host_port})
        return told

    def _told_ports(self, asked: ContainerDefinition) -> dict[str, str]:
        elsewhere = self._shares_network or self.task.definition.network_mode is NetworkMode.HOST
        return {PORTS: ",".join(map(_port, asked.port_mappings))} if elsewhere else {}

    def _names(self, definitions: Iterable[ContainerDefinition]) -> JSON:
        told = list(definitions)
        return {
            "Dns": [address for one in told for address in one.dns_servers],
            "DnsSearch": [domain for one in told for domain in one.dns_search_domains],
            "ExtraHosts": [f"{name}:{address}" for one in told for name, address in one.extra_hosts.items()],
        }

    def _namespaces(self, pause: str | None) -> JSON:
        definition = self.task.definition
        held = f"container:{pause}" if pause else ""
        modes = {"PidMode": definition.pid_mode, "IpcMode": definition.ipc_mode}
        told: JSON = {name: held if mode == "task" else mode for name, mode in modes.items() if mode}
        if self._shares_network and pause:
            told["NetworkMode"] = held
        return {name: mode for name, mode in told.items() if mode}

    def _mounts(self, asked: ContainerDefinition) -> JSON:
        others = (
            (container_name(self.task.task_id, one.source_container), one.read_only) for one in asked.volumes_from
        )
        return {
            "Binds": [self._bind(mount) for mount in asked.mount_points],
            "VolumesFrom": [f"{name}:{'ro' if read_only else 'rw'}" for name, read_only in others],
        }

    def _bind(self, mount: MountPoint) -> str:
        volume = next(one for one in self.task.definition.volumes if one.name == mount.source_volume)
        source = volume.host_path or volume_name(self.task.task_id, volume)
        return f"{source}:{mount.container_path}:{'ro' if mount.read_only else 'rw'}"

    def _health(self, check: HealthCheck | None) -> JSON:
        if check is None:
            return {"Test": ["NONE"]}  # ECS ignores the check that an image brings
        told: JSON = {
            "Test": list(check.command),
            "Interval": check.interval * SECOND,
            "Timeout": check.timeout * SECOND,
            "Retries": check.retries,
            "StartPeriod": check.start_period * SECOND,
        }
        if self.api >= START_INTERVAL:
            # Else the first look is one interval after the start: until then failures count for nothing either way.
            told |= {"StartInterval": SECOND, "StartPeriod": max(check.start_period, check.interval) * SECOND}
        return told


def _list(words: tuple[str, ...] | None) -> list[str] | None:
    return None if words is None else list(words)


def _stated(**members: object) -> JSON:
    """Those that say something: for what is absent, the image's own counts."""
    return {name: value for name, value in members.items() if value is not None}


def _port(port: PortMapping) -> str:
    return f"{port.container_port}/{port.protocol}"


def _exposed(definitions: Sequence[ContainerDefinition]) -> JSON:
    return {_port(port): {} for one in definitions for port in one.port_mappings}


def _hostname(definitions: Sequence[ContainerDefinition]) -> str:
    return next((one.hostname for one in definitions if one.hostname), "")
