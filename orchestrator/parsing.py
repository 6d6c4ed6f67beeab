"""ECS's JSON of a task definition, read: its members are of the right types and names already (botocore's model).

What acts becomes a `TaskDefinition`; what is only kept stays in the document, which Describe gives back whole. What
would make a task run otherwise than it was asked to, and is not known here, is refused by its name.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from orchestrator import rules
from orchestrator.definition import (
    Condition,
    ContainerDefinition,
    Dependency,
    Device,
    HealthCheck,
    LinuxParameters,
    LogConfiguration,
    MountPoint,
    NetworkMode,
    PortMapping,
    RestartPolicy,
    TaskDefinition,
    Tmpfs,
    Ulimit,
    Volume,
    VolumesFrom,
)
from orchestrator.rules import DefinitionInvalid

Document = Mapping[str, Any]

_REFUSED_VOLUMES = (
    "efsVolumeConfiguration",
    "fsxWindowsFileServerVolumeConfiguration",
    "s3filesVolumeConfiguration",
    "configuredAtLaunch",
)
_REFUSED = ("firelensConfiguration", "credentialSpecs", "environmentFiles")
_LISTS = ("portMappings", "environment", "mountPoints", "volumesFrom", "systemControls")
_AS_GIVEN = {
    "essential": "essential",
    "cpu": "cpu",
    "memory": "memory",
    "memoryReservation": "memory_reservation",
    "startTimeout": "start_timeout",
    "stopTimeout": "stop_timeout",
    "hostname": "hostname",
    "user": "user",
    "workingDirectory": "working_directory",
    "disableNetworking": "disable_networking",
    "privileged": "privileged",
    "readonlyRootFilesystem": "readonly_root_filesystem",
    "interactive": "interactive",
    "pseudoTerminal": "pseudo_terminal",
}
_LISTS_OF_TEXT = {
    "dnsServers": "dns_servers",
    "dnsSearchDomains": "dns_search_domains",
    "links": "links",
    "dockerSecurityOptions": "docker_security_options",
}
_ARCHITECTURES = {"X86_64": "amd64", "ARM64": "arm64"}
_VCPU = re.compile(r"([0-9]{0,6}(?:\.[0-9]{1,6})?)\s*vcpus?", re.IGNORECASE)
_GIGABYTES = re.compile(r"([0-9]{0,6}(?:\.[0-9]{1,6})?)\s*gb", re.IGNORECASE)


def with_defaults(document: Document) -> Document:
    """The document as ECS gives it back: with the defaults that it adds, which clients compare theirs with."""
    containers = [_container_with_defaults(container) for container in document["containerDefinitions"]]
    return {"volumes": [], "placementConstraints": [], **document, "containerDefinitions": containers}


def parse(document: Document, revision: int = 0) -> TaskDefinition:
    """The definition that a document says, held to ECS's rules. DefinitionInvalid."""
    _refuse(document)
    mode = NetworkMode(document.get("networkMode", "bridge"))
    platform = document.get("runtimePlatform", {})
    definition = TaskDefinition(
        document["family"],
        revision,
        tuple(_container(container, mode) for container in document["containerDefinitions"]),
        tuple(_volume(volume) for volume in document.get("volumes", ())),
        mode,
        cpu_units(document.get("cpu")),
        mebibytes(document.get("memory")),
        _ARCHITECTURES.get(platform.get("cpuArchitecture", "")),
        document.get("pidMode"),
        document.get("ipcMode"),
        tuple((one.get("type", ""), one.get("expression", "")) for one in document.get("placementConstraints", ())),
    )
    rules.check(definition)
    return definition


def cpu_units(text: str | None) -> int | None:
    """Units of 1/1024 processor: `256`, or `.25 vCPU`. DefinitionInvalid."""
    return _amount(text, _VCPU, "cpu")


def mebibytes(text: str | None) -> int | None:
    """MiB: `512`, or `0.5 GB`. DefinitionInvalid."""
    return _amount(text, _GIGABYTES, "memory")


def _amount(text: str | None, unit: re.Pattern[str], name: str) -> int | None:
    if not text:
        return None
    stripped = text.strip()
    in_units = unit.fullmatch(stripped)
    if in_units is not None and in_units[1]:
        amount = int(float(in_units[1]) * 1024)
    elif stripped.isascii() and stripped.isdigit() and len(stripped) <= 9:
        amount = int(stripped)
    else:
        amount = 0
    if amount <= 0:
        raise DefinitionInvalid(f"Invalid '{name}' setting for task.")
    return amount


def _refuse(document: Document) -> None:
    for name in _unsupported(document):
        raise rules.not_supported(name)


def _unsupported(document: Document) -> Iterator[str]:
    for container in document["containerDefinitions"]:
        yield from (f"containerDefinitions.{name}" for name in _unsupported_of(container))
    for volume in document.get("volumes", ()):
        yield from (f"volumes.{name}" for name in _REFUSED_VOLUMES if volume.get(name))
    yield from (name for name in ("proxyConfiguration", "inferenceAccelerators") if document.get(name))
    if document.get("runtimePlatform", {}).get("operatingSystemFamily", "LINUX") != "LINUX":
        yield "runtimePlatform.operatingSystemFamily"


def _unsupported_of(container: Document) -> Iterator[str]:
    yield from (name for name in _REFUSED if container.get(name))
    if container.get("logConfiguration", {}).get("secretOptions"):
        yield "logConfiguration.secretOptions"
    if any("containerPortRange" in port for port in container.get("portMappings", ())):
        yield "portMappings.containerPortRange"
    if container.get("logConfiguration", {}).get("logDriver") == "awsfirelens":
        yield "logConfiguration.logDriver awsfirelens"
    requirements = container.get("resourceRequirements", ())
    if any(one["type"] != "GPU" for one in requirements):
        yield "resourceRequirements"
    if any("sharingStrategy" in one for one in requirements):
        yield "resourceRequirements.sharingStrategy"


def _container_with_defaults(container: Document) -> Document:
    ports = [{"protocol": "tcp", **port} for port in container.get("portMappings", ())]
    lists: dict[str, Any] = {name: [] for name in _LISTS}
    return {"cpu": 0, "essential": True, **lists, **container, "portMappings": ports}


def _container(given: Document, mode: NetworkMode) -> ContainerDefinition:
    requirements = {one["type"]: one.get("value", "") for one in given.get("resourceRequirements", ())}
    plain: dict[str, Any] = {field: given[name] for name, field in _AS_GIVEN.items() if name in given}
    plain |= {field: tuple(given[name]) for name, field in _LISTS_OF_TEXT.items() if name in given}
    return ContainerDefinition(
        given.get("name", ""),
        given.get("image", ""),
        entry_point=_words(given, "entryPoint"),
        command=_words(given, "command"),
        environment=_pairs(given.get("environment", ()), "name", "value"),
        secrets=_pairs(given.get("secrets", ()), "name", "valueFrom"),
        port_mappings=tuple(_port(port, mode) for port in given.get("portMappings", ())),
        depends_on=tuple(
            Dependency(one["containerName"], Condition(one["condition"])) for one in given.get("dependsOn", ())
        ),
        health_check=_health_check(given.get("healthCheck")),
        restart_policy=_restart_policy(given.get("restartPolicy", {})),
        mount_points=tuple(_mount(mount) for mount in given.get("mountPoints", ())),
        volumes_from=tuple(
            VolumesFrom(one.get("sourceContainer", ""), one.get("readOnly", False))
            for one in given.get("volumesFrom", ())
        ),
        ulimits=tuple(Ulimit(one["name"], one["softLimit"], one["hardLimit"]) for one in given.get("ulimits", ())),
        linux_parameters=_linux(given.get("linuxParameters", {})),
        log_configuration=_log(given.get("logConfiguration")),
        extra_hosts=_pairs(given.get("extraHosts", ()), "hostname", "ipAddress"),
        docker_labels=dict(given.get("dockerLabels", {})),
        system_controls=_pairs(given.get("systemControls", ()), "namespace", "value"),
        gpus=_gpus(requirements.get("GPU", "0")),
        resolves_at_launch=given.get("versionConsistency") == "disabled",
        **plain,
    )


def _words(given: Document, name: str) -> tuple[str, ...] | None:
    return tuple(given[name]) if given.get(name) else None


def _pairs(given: Iterable[Mapping[str, str]], key: str, value: str) -> dict[str, str]:
    return {one[key]: one.get(value, "") for one in given if one.get(key)}


def _gpus(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 3:
        raise DefinitionInvalid("Invalid 'resourceRequirements' setting: the value of GPU is a number.")
    return int(text)


def _port(given: Document, mode: NetworkMode) -> PortMapping:
    container, host = given.get("containerPort", 0), given.get("hostPort") or None
    if mode in (NetworkMode.HOST, NetworkMode.AWSVPC) and host not in (None, container):
        raise DefinitionInvalid(
            f"When networkMode={mode.value}, the host ports and container ports in port mappings must match."
        )
    # With awsvpc every task has that port for itself: what the engine publishes it as is its own to choose.
    shown = {NetworkMode.HOST: container, NetworkMode.AWSVPC: None}.get(mode, host)
    return PortMapping(container, shown, given.get("protocol", "tcp"), given.get("name"))


def _health_check(given: Document | None) -> HealthCheck | None:
    if given is None:
        return None
    return HealthCheck(
        tuple(given["command"]),
        given.get("interval", 30),
        given.get("timeout", 5),
        given.get("retries", 3),
        given.get("startPeriod", 0),
    )


def _restart_policy(given: Document) -> RestartPolicy | None:
    if not given.get("enabled", False):
        return None
    return RestartPolicy(frozenset(given.get("ignoredExitCodes", ())), given.get("restartAttemptPeriod", 300))


def _mount(given: Document) -> MountPoint:
    return MountPoint(given.get("sourceVolume", ""), given.get("containerPath", ""), given.get("readOnly", False))


def _linux(given: Document) -> LinuxParameters:
    capabilities = given.get("capabilities", {})
    devices = (_device(device) for device in given.get("devices", ()))
    return LinuxParameters(
        tuple(capabilities.get("add", ())),
        tuple(capabilities.get("drop", ())),
        tuple(devices),
        given.get("initProcessEnabled", False),
        given.get("sharedMemorySize"),
        given.get("maxSwap"),
        given.get("swappiness"),
        tuple(
            Tmpfs(one["containerPath"], one["size"], tuple(one.get("mountOptions", ())))
            for one in given.get("tmpfs", ())
        ),
    )


def _device(given: Document) -> Device:
    permissions = tuple(given.get("permissions") or ("read", "write", "mknod"))
    return Device(given["hostPath"], given.get("containerPath"), permissions)


def _log(given: Document | None) -> LogConfiguration | None:
    return None if given is None else LogConfiguration(given["logDriver"], dict(given.get("options", {})))


def _volume(given: Document) -> Volume:
    name = given.get("name", "")
    engine = given.get("dockerVolumeConfiguration", {})
    return Volume(
        name,
        given.get("host", {}).get("sourcePath"),
        name if engine.get("scope") == "shared" else None,
        engine.get("driver"),
        dict(engine.get("driverOpts", {})),
        dict(engine.get("labels", {})),
        engine.get("autoprovision", False),
    )
