"""Stored documents read: a revision as it was registered, and what one task runs in its place (RunTask's overrides)."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from orchestrator.definition import ContainerDefinition, TaskDefinition
from orchestrator.parsing import cpu_units, mebibytes, parse
from orchestrator.rules import DefinitionInvalid, check
from storage.metadata.task_definitions import DefinitionRecord

Document = Mapping[str, Any]
_KEPT_ONLY = frozenset({"taskRoleArn", "executionRoleArn"})
_TASK = frozenset({"containerOverrides", "cpu", "memory"})
_CONTAINER = frozenset({"name", "command", "environment", "cpu", "memory", "memoryReservation"})


def read(record: DefinitionRecord) -> TaskDefinition:
    """What a stored revision says."""
    return parse(record.document, record.revision)


def overridden(definition: TaskDefinition, document: Document) -> TaskDefinition:
    """The definition with the `overrides` of a task's document. DefinitionInvalid, in ECS's words."""
    overrides = document.get("overrides") or {}
    _require_known(overrides, _TASK, "overrides")
    containers = {container.name: container for container in definition.containers}
    for given in overrides.get("containerOverrides", ()):
        name = given.get("name", "")
        if name not in containers:
            raise DefinitionInvalid(f"Override for container named {name} is not a container in the TaskDefinition.")
        containers[name] = _container(containers[name], given)
    changed = replace(
        definition,
        containers=tuple(containers.values()),
        cpu=cpu_units(overrides.get("cpu")) or definition.cpu,
        memory=mebibytes(overrides.get("memory")) or definition.memory,
    )
    if overrides:
        check(changed)
    return changed


def _container(container: ContainerDefinition, given: Document) -> ContainerDefinition:
    _require_known(given, _CONTAINER, "overrides.containerOverrides")
    environment = {one["name"]: one.get("value", "") for one in given.get("environment", ()) if one.get("name")}
    return replace(
        container,
        command=tuple(given["command"]) if given.get("command") else container.command,
        environment={**container.environment, **environment},
        cpu=given.get("cpu", container.cpu),
        memory=given.get("memory", container.memory),
        memory_reservation=given.get("memoryReservation", container.memory_reservation),
    )


def _require_known(given: Document, known: frozenset[str], where: str) -> None:
    unknown: Sequence[str] = sorted(name for name in given if given[name] and name not in known | _KEPT_ONLY)
    if unknown:
        raise DefinitionInvalid(f"{where}.{unknown[0]} is not supported by this server (see docs/ecs.md).")
