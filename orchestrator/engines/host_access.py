"""What tasks may have of the host they run on. Pure."""

import posixpath
from collections.abc import Iterator
from dataclasses import dataclass

from orchestrator.definition import ContainerDefinition, NetworkMode, TaskDefinition
from orchestrator.engines import Refused

# What Docker gives every container anyway, and what only the container's own network can feel.
_HARMLESS = frozenset(
    {"AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_ADMIN", "NET_BIND_SERVICE"}
    | {"NET_RAW", "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT"}
)


@dataclass(frozen=True, slots=True)
class HostAccess:
    """What an instance allows. Whoever may be privileged there is root there."""

    privileged: bool = False
    """Also devices, capabilities that reach out of the container, security options, the host's processes and IPC."""
    network: bool = True
    """`networkMode: host`."""
    paths: tuple[str, ...] = ()
    """Folders of the host in which volumes may be. A link in one of them leads where it leads."""

    def check(self, definition: TaskDefinition) -> None:
        """Refused, for good, where the definition asks for more."""
        for wish in self._too_much(definition):
            raise Refused("CannotCreateContainerError", f"this instance does not allow {wish}", lasting=True)

    def _too_much(self, definition: TaskDefinition) -> Iterator[str]:
        if definition.network_mode is NetworkMode.HOST and not self.network:
            yield "the network mode host"
        for volume in definition.volumes:
            # What a driver of volumes mounts is a path of the host too, where its options say so.
            for path in (volume.host_path, volume.driver_options.get("device")):
                if path is not None and not self._has(path):
                    yield f"the path {path} of the host in a volume"
        if not self.privileged:
            if "host" in (definition.pid_mode, definition.ipc_mode):
                yield "the processes or the IPC of the host"
            for container in definition.containers:
                yield from _privileges(container)

    def _has(self, path: str) -> bool:
        plain = posixpath.normpath(path)
        return any(f"{plain}/".startswith(f"{one.rstrip('/')}/") for one in self.paths)


def _privileges(container: ContainerDefinition) -> Iterator[str]:
    linux = container.linux_parameters
    wishes = {
        "privileged": container.privileged,
        "devices": linux.devices,
        "docker security options": container.docker_security_options,
        "capabilities like these": {one.upper().removeprefix("CAP_") for one in linux.capabilities_add} - _HARMLESS,
    }
    yield from (f"{wish} (container {container.name})" for wish, asked in wishes.items() if asked)
