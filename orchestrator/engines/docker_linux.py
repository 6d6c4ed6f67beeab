"""Limits, Linux parameters and logs of a container in the words of the Docker Engine API. Pure."""

from orchestrator.definition import ContainerDefinition, Device, TaskDefinition, Tmpfs
from orchestrator.engines.docker_http import JSON

MIB = 1 << 20
_LEAST_SHARES = 2
_LOCAL_LOGS = {"max-size": "10m", "max-file": "3"}
"""The engine's own default has no bound."""


def limits(task: TaskDefinition, container: ContainerDefinition) -> JSON:
    """Memory and processor: the container's own, and the task's as the hard limit of each container."""
    linux, memory = container.linux_parameters, container.memory or task.memory
    told: JSON = {"CpuShares": max(container.cpu, _LEAST_SHARES)}
    if memory:
        told["Memory"] = memory * MIB
    if container.memory_reservation:
        told["MemoryReservation"] = container.memory_reservation * MIB
    if task.cpu:
        told["NanoCpus"] = task.cpu * 1_000_000_000 // 1024
    if memory and linux.max_swap is not None:
        told["MemorySwap"] = (memory + linux.max_swap) * MIB
    if linux.swappiness is not None:
        told["MemorySwappiness"] = linux.swappiness
    if container.gpus:
        told["DeviceRequests"] = [{"Driver": "", "Count": container.gpus, "Capabilities": [["gpu"]]}]
    return told


def linux(container: ContainerDefinition) -> JSON:
    """What only Linux knows, one to one."""
    asked = container.linux_parameters
    told: JSON = {
        "Ulimits": [{"Name": one.name, "Soft": one.soft_limit, "Hard": one.hard_limit} for one in container.ulimits],
        "CapAdd": list(asked.capabilities_add),
        "CapDrop": list(asked.capabilities_drop),
        "Devices": [_device(one) for one in asked.devices],
        "Tmpfs": {one.container_path: _tmpfs(one) for one in asked.tmpfs},
        "Sysctls": dict(container.system_controls),
        "SecurityOpt": list(container.docker_security_options),
        "ReadonlyRootfs": container.readonly_root_filesystem,
        "Privileged": container.privileged,
    }
    if asked.init_process_enabled:
        told["Init"] = True
    if asked.shared_memory_size:
        told["ShmSize"] = asked.shared_memory_size * MIB
    return told


def logs(container: ContainerDefinition) -> JSON:
    """Where its lines go: to files of a bounded size, unless another driver is named that is not a cloud's."""
    asked = container.log_configuration
    if asked is None or asked.log_driver == "awslogs":
        return {"Type": "json-file", "Config": _LOCAL_LOGS}
    options = {**_LOCAL_LOGS, **asked.options} if asked.log_driver in ("json-file", "local") else dict(asked.options)
    return {"Type": asked.log_driver, "Config": options}


def _device(device: Device) -> JSON:
    letters = {"read": "r", "write": "w", "mknod": "m"}
    return {
        "PathOnHost": device.host_path,
        "PathInContainer": device.container_path or device.host_path,
        "CgroupPermissions": "".join(letters[one] for one in device.permissions),
    }


def _tmpfs(tmpfs: Tmpfs) -> str:
    return ",".join((f"size={tmpfs.size}m", *tmpfs.mount_options))
