"""What ECS asks of a task definition beyond the types of its members; the words are ECS's where they are known."""

import re
from collections import Counter
from collections.abc import Callable

from orchestrator.definition import Condition, ContainerDefinition, NetworkMode, TaskDefinition
from orchestrator.placing import MEMBER_OF

LEAST_MEMORY = 6
"""MiB: what engines take as the least."""
LONGEST_NAME = 255
MOST_CONTAINERS = 20
SECRET = "secret:"  # noqa: S105 - how a name begins
"""Before the name of a secret in `valueFrom`."""
_NAME = re.compile(r"[A-Za-z0-9_-]{1,255}")
_SECRET = re.compile(r"secret:[A-Za-z0-9_/.+=@-]{1,255}")


class DefinitionInvalid(Exception):
    """The definition can't be registered; the text says why in ECS's words."""


def not_supported(field: str) -> DefinitionInvalid:
    """A member that would act in AWS and can't here."""
    return DefinitionInvalid(f"{field} is not supported by this server (see docs/ecs.md).")


def check(definition: TaskDefinition) -> None:
    """Return where the definition can be registered. DefinitionInvalid."""
    if _NAME.fullmatch(definition.family) is None:
        raise DefinitionInvalid(
            "Family contains invalid characters: up to 255 letters, numbers, hyphens and underscores are allowed."
        )
    if not 0 < len(definition.containers) <= MOST_CONTAINERS:
        raise DefinitionInvalid("There should be at least one container definition, and at most 20.")
    for container in definition.containers:
        for rule in _CONTAINER_RULES:
            rule(definition, container)
    if not any(container.essential for container in definition.containers):
        raise DefinitionInvalid("There should be at least one essential container in the task definition.")
    for kind, expression in definition.placement_constraints:
        if kind == "memberOf" and MEMBER_OF.match(expression) is None:
            raise not_supported("placementConstraints.expression other than one comparison with == or !=")
    _check_names(definition)
    _check_ports(definition)
    _check_order(definition)


def _refuse(container: ContainerDefinition, text: str) -> DefinitionInvalid:
    return DefinitionInvalid(f"Invalid setting for container '{container.name}'. {text}")


def _check_container(definition: TaskDefinition, container: ContainerDefinition) -> None:
    if not container.name:
        raise DefinitionInvalid("Container.name should not be null or empty.")
    if _NAME.fullmatch(container.name) is None:
        raise DefinitionInvalid("Container.name contains invalid characters.")
    if not container.image:
        raise DefinitionInvalid("Container.image should not be null or empty.")
    if len(container.image) > LONGEST_NAME or any(character.isspace() for character in container.image):
        raise DefinitionInvalid("Container.image contains invalid characters.")


def _check_memory(definition: TaskDefinition, container: ContainerDefinition) -> None:
    hard, soft = container.memory, container.memory_reservation
    if hard is None and soft is None and definition.memory is None:
        raise _refuse(container, "At least one of 'memory' or 'memoryReservation' must be specified.")
    for amount in (hard, soft):
        if amount is not None and amount < LEAST_MEMORY:
            raise _refuse(container, f"Memory should be at least {LEAST_MEMORY} MiB.")
    if hard is not None and soft is not None and hard < soft:
        raise _refuse(container, "'memoryReservation' must not be greater than 'memory'.")
    if definition.memory is not None and max(hard or 0, soft or 0) > definition.memory:
        raise _refuse(container, "The memory of a container must not be greater than that of the task.")


def _check_cpu(definition: TaskDefinition, container: ContainerDefinition) -> None:
    if container.cpu < 0 or container.gpus < 0:
        raise _refuse(container, "'cpu' must not be negative.")
    if definition.cpu is not None and sum(one.cpu for one in definition.containers) > definition.cpu:
        raise DefinitionInvalid("Invalid 'cpu' setting for task: its containers ask for more than the task has.")


def _check_health(definition: TaskDefinition, container: ContainerDefinition) -> None:
    health = container.health_check
    if health is None:
        return
    if not health.command or health.command[0] not in ("CMD", "CMD-SHELL", "NONE"):
        raise _refuse(container, "The command of a health check begins with CMD, CMD-SHELL or NONE.")
    if health.command[0] != "NONE" and len(health.command) < 2:
        raise _refuse(container, "The command of a health check must not be empty.")
    ranges: tuple[tuple[str, int, int, int], ...] = (
        ("interval", health.interval, 5, 300),
        ("timeout", health.timeout, 2, 120),
        ("retries", health.retries, 1, 10),
        ("startPeriod", health.start_period, 0, 300),
    )
    for name, value, least, most in ranges:
        if not least <= value <= most:
            raise _refuse(container, f"Health check {name} must be between {least} and {most}.")


def _check_times(definition: TaskDefinition, container: ContainerDefinition) -> None:
    for name, seconds in (("startTimeout", container.start_timeout), ("stopTimeout", container.stop_timeout)):
        if seconds is not None and not 0 <= seconds <= 86_400:
            raise _refuse(container, f"'{name}' must be between 0 and 86400 seconds.")
    policy = container.restart_policy
    if policy is not None and not 60 <= policy.attempt_period <= 1800:
        raise _refuse(container, "'restartAttemptPeriod' must be between 60 and 1800 seconds.")
    if policy is not None and len(policy.ignored_exit_codes) > 50:
        raise _refuse(container, "'ignoredExitCodes' has at most 50 entries.")


def _check_mounts(definition: TaskDefinition, container: ContainerDefinition) -> None:
    volumes = {volume.name for volume in definition.volumes}
    for mount in container.mount_points:
        if mount.source_volume not in volumes:
            raise DefinitionInvalid(f"Unknown volume '{mount.source_volume}'.")
        if not mount.container_path:
            raise _refuse(container, "A mount point needs a 'containerPath'.")
    others = {one.name for one in definition.containers} - {container.name}
    for source in container.volumes_from:
        if source.source_container not in others:
            raise _refuse(container, f"'volumesFrom' names no other container: '{source.source_container}'.")


def _check_network(definition: TaskDefinition, container: ContainerDefinition) -> None:
    mode = definition.network_mode
    if container.links and mode is not NetworkMode.BRIDGE:
        raise DefinitionInvalid(f"Links are not supported when networkMode={mode.value}.")
    if container.port_mappings and mode is NetworkMode.NONE:
        raise DefinitionInvalid("Port mappings are not supported when networkMode=none.")
    if container.hostname is not None and mode is NetworkMode.AWSVPC:
        raise DefinitionInvalid("Hostname is not supported on container when networkMode=awsvpc.")
    for port in container.port_mappings:
        for number in (port.container_port, port.host_port or 1):
            if not 1 <= number <= 65_535:
                raise _refuse(container, "Ports must be between 1 and 65535.")


def _check_secrets(definition: TaskDefinition, container: ContainerDefinition) -> None:
    for name, value in container.secrets.items():
        if _SECRET.fullmatch(value) is None:
            raise _refuse(container, f"valueFrom of the secret '{name}' must be '{SECRET}NAME'.")
    both = sorted(set(container.secrets) & set(container.environment))
    if both:
        raise _refuse(container, f"The secret name must be unique and not shared with environment: '{both[0]}'.")


_CONTAINER_RULES: tuple[Callable[[TaskDefinition, ContainerDefinition], None], ...] = (
    _check_container,
    _check_memory,
    _check_cpu,
    _check_health,
    _check_times,
    _check_mounts,
    _check_network,
    _check_secrets,
)


def _check_names(definition: TaskDefinition) -> None:
    for what, names in (
        ("container", [container.name for container in definition.containers]),
        ("volume", [volume.name for volume in definition.volumes]),
    ):
        twice = [name for name, times in Counter(names).items() if times > 1]
        if twice:
            raise DefinitionInvalid(f"The {what} name '{twice[0]}' is there twice.")
    for name in (volume.name for volume in definition.volumes):
        if _NAME.fullmatch(name) is None:
            raise DefinitionInvalid("Volume.name contains invalid characters.")


def _check_ports(definition: TaskDefinition) -> None:
    shared = definition.network_mode in (NetworkMode.AWSVPC, NetworkMode.HOST)
    ports = (port for container in definition.containers for port in container.port_mappings)
    numbers = Counter((port.container_port if shared else port.host_port, port.protocol) for port in ports)
    for (number, _), times in numbers.items():
        if number is not None and times > 1:
            raise DefinitionInvalid(f"The port {number} is used by more than one port mapping.")


def _check_order(definition: TaskDefinition) -> None:
    """Dependencies are on containers that are there, may be as they are asked to, and form no circle."""
    containers = {container.name: container for container in definition.containers}
    for container in definition.containers:
        for dependency in container.depends_on:
            other = containers.get(dependency.container)
            if other is None or other is container:
                raise _refuse(container, f"'dependsOn' names no other container: '{dependency.container}'.")
            _check_condition(container, other, dependency.condition)
    waiting = {name: {one.container for one in container.depends_on} for name, container in containers.items()}
    while free := [name for name, awaited in waiting.items() if not awaited & waiting.keys()]:
        for name in free:
            del waiting[name]
    if waiting:
        raise DefinitionInvalid(f"Container dependencies form a cycle: {', '.join(sorted(waiting))}.")


def _check_condition(container: ContainerDefinition, other: ContainerDefinition, condition: Condition) -> None:
    if condition in (Condition.COMPLETE, Condition.SUCCESS) and other.essential:
        raise _refuse(container, f"'{other.name}' is essential: nothing can depend on its {condition.value}.")
    if condition is Condition.HEALTHY and (other.health_check is None or other.health_check.command[0] == "NONE"):
        raise _refuse(container, f"A dependency on HEALTHY needs a healthCheck of the container '{other.name}'.")
