"""Labels: whose a container, a network or a volume is, and what has to be known of it without its definition."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from orchestrator.engines import ECS_LABEL, LABEL, ContainerSpec, TaskSpec

TASK = f"{LABEL}task"
CONTAINER = f"{LABEL}container"
DIGEST = f"{LABEL}digest"
LEVEL = f"{LABEL}level"
"""How many steps of `dependsOn` come before it (`steps.levels`): it stops after those with a higher one."""
PAUSE = f"{LABEL}pause"
"""It holds the network namespace of its task, and runs nothing of the task."""
PORTS = f"{LABEL}ports"
"""`80/tcp,53/udp`: ports of a container that the engine does not tell with it, for its network is another one's."""
SPEC_HASH = f"{LABEL}spec-hash"


def task_labels(task: TaskSpec) -> dict[str, str]:
    """What every container of the task says, without `LABEL`; also what a `TaskView` tells."""
    labels = {
        "task": task.task_id,
        "cluster": task.cluster,
        "definition": f"{task.definition.family}:{task.definition.revision}",
        "service": task.service,
        "deployment": task.deployment,
    }
    return {name: value for name, value in labels.items() if value is not None}


def object_labels(task: TaskSpec) -> dict[str, str]:
    """Labels of a network or a volume of the task, as the engine keeps them."""
    return {f"{LABEL}{name}": value for name, value in task_labels(task).items()}


def container_labels(task: TaskSpec, container: ContainerSpec, level: int) -> dict[str, str]:
    """Labels of a container: those of its definition, ours, and the five of the ECS agent. No secret is in them."""
    labels = {
        **container.definition.docker_labels,
        **object_labels(task),
        CONTAINER: container.definition.name,
        LEVEL: str(level),
        SPEC_HASH: spec_hash(task, container),
        f"{ECS_LABEL}task-arn": task.arn,
        f"{ECS_LABEL}container-name": container.definition.name,
        f"{ECS_LABEL}task-definition-family": task.definition.family,
        f"{ECS_LABEL}task-definition-version": str(task.definition.revision),
        f"{ECS_LABEL}cluster": task.cluster,
    }
    if container.image.digest is not None:
        labels[DIGEST] = str(container.image.digest)
    return labels


def spec_hash(task: TaskSpec, container: ContainerSpec) -> str:
    """The same for what would run the same; values of secrets do not go in."""
    told = {"container": asdict(container.definition), "image": container.image.reference, "task": task.arn}
    return hashlib.sha256(json.dumps(told, sort_keys=True, default=_plain).encode()).hexdigest()[:16]


def _plain(value: Any) -> Any:
    return sorted(value) if isinstance(value, frozenset | set) else str(value)


def own_labels(labels: Mapping[str, str]) -> dict[str, str]:
    """What a `TaskView` tells of these labels of a container."""
    names = ("task", "cluster", "definition", "service", "deployment")
    return {name: labels[f"{LABEL}{name}"] for name in names if f"{LABEL}{name}" in labels}
