"""State as the database keeps it: rows to records of `state` and back.

A row's columns hold what is asked for; its `state` holds the rest of the record as JSON, by the names of the fields;
its `document` is what ECS's operations keep beside it, which the orchestrator never changes.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from estiva.digest import Digest
from orchestrator.definition import TaskDefinition
from orchestrator.engines import ContainerStatus, ContainerView, HealthStatus, NetworkBinding
from orchestrator.state import (
    Deployment,
    DeploymentSettings,
    DesiredStatus,
    Instance,
    InstanceStatus,
    Placement,
    Resources,
    RolloutState,
    SchedulingStrategy,
    Service,
    ServiceStatus,
    StopCode,
    Task,
    TaskStatus,
)
from storage.metadata import deployments
from storage.metadata.clusters import ClusterKey
from storage.metadata.container_instances import InstanceRecord
from storage.metadata.deployments import DeploymentRecord
from storage.metadata.services import ServiceRecord
from storage.metadata.tasks import TaskRecord

Document = Mapping[str, Any]
_TASK_TIMES = ("started_at", "stopping_at", "pull_started_at", "pull_stopped_at")
_VIEW_PLAIN = ("runtime_id", "image", "exit_code", "reason", "created_at", "started_at", "finished_at", "address")


def task_document(definition: TaskDefinition) -> dict[str, Any]:
    """What is told of a task's containers before any engine has been asked: the least of its row's `document`."""
    return {
        "containers": [
            {
                "name": container.name,
                "image": container.image,
                "cpu": str(container.cpu),
                "memory": _text(container.memory),
                "memoryReservation": _text(container.memory_reservation),
            }
            for container in definition.containers
        ]
    }


def _text(number: int | None) -> str | None:
    return None if number is None else str(number)


def task_record(key: ClusterKey, task: Task, document: Document) -> TaskRecord:
    """The row of a task."""
    state = {
        "group": task.group,
        "needs": _resources(task.needs),
        "images": _digests(task.images),
        "containers": [_view(view) for view in task.containers],
        "health": task.health.value,
        "connected": task.connected,
        "stop_code": None if task.stop_code is None else task.stop_code.value,
        "stopped_reason": task.stopped_reason,
        **{name: getattr(task, name) for name in _TASK_TIMES},
    }
    return TaskRecord(
        key,
        task.task_id,
        task.family,
        task.revision,
        task.desired.value,
        task.status.value,
        task.service,
        task.deployment,
        task.instance_id,
        task.started_by,
        state,
        document,
        task.version,
        task.created_at,
        task.stopped_at,
    )


def as_task(record: TaskRecord) -> Task:
    """The task of a row."""
    state = record.state
    return Task(
        record.id,
        record.key.cluster,
        record.family,
        record.revision,
        DesiredStatus(record.desired),
        TaskStatus(record.status),
        record.created_at,
        group=state["group"],
        service=record.service,
        deployment=record.deployment,
        instance_id=record.instance,
        started_by=record.started_by,
        needs=_as_resources(state["needs"]),
        images=_as_digests(state["images"]),
        containers=tuple(_as_view(view) for view in state["containers"]),
        health=HealthStatus(state["health"]),
        connected=state["connected"],
        stop_code=None if state["stop_code"] is None else StopCode(state["stop_code"]),
        stopped_reason=state["stopped_reason"],
        stopped_at=record.stopped_at,
        version=record.version,
        **{name: state[name] for name in _TASK_TIMES},
    )


def service_record(key: ClusterKey, service: Service, document: Document) -> ServiceRecord:
    """The row of a service."""
    settings = service.settings
    state = {
        "desired": service.desired,
        "strategy": service.strategy.value,
        "settings": {name: getattr(settings, name) for name in DeploymentSettings.__slots__},
        "placement": {
            "strategies": [list(strategy) for strategy in service.placement.strategies],
            "constraints": [list(constraint) for constraint in service.placement.constraints],
        },
        "grace_period": service.grace_period,
        "deploy_on_push": service.deploy_on_push,
    }
    return ServiceRecord(key, service.name, service.status.value, state, document, service.version, service.created_at)


def as_service(record: ServiceRecord) -> Service:
    """The service of a row."""
    state = record.state
    return Service(
        record.name,
        record.key.cluster,
        ServiceStatus(record.status),
        state["desired"],
        SchedulingStrategy(state["strategy"]),
        DeploymentSettings(**state["settings"]),
        Placement(
            tuple((kind, field) for kind, field in state["placement"]["strategies"]),
            tuple((kind, expression) for kind, expression in state["placement"]["constraints"]),
        ),
        record.created_at,
        grace_period=state["grace_period"],
        deploy_on_push=state["deploy_on_push"],
        version=record.version,
    )


def deployment_record(key: ClusterKey, deployment: Deployment, document: Document) -> DeploymentRecord:
    """The row of a deployment that is PRIMARY, or ACTIVE until its tasks have stopped (`inactive`: when they have)."""
    state = {
        "images": _digests(deployment.images),
        "desired": deployment.desired,
        "reason": deployment.reason,
        "failed_tasks": deployment.failed_tasks,
        "consecutive_failures": deployment.consecutive_failures,
        "next_launch_at": deployment.next_launch_at,
        "rollback_of": deployment.rollback_of,
        "following": _digests(deployment.following),
    }
    return DeploymentRecord(
        key,
        deployment.service,
        deployment.deployment_id,
        deployment.family,
        deployment.revision,
        deployments.PRIMARY if deployment.primary else deployments.ACTIVE,
        deployment.rollout.value,
        state,
        document,
        deployment.version,
        deployment.created_at,
        deployment.updated_at,
    )


def inactive(record: DeploymentRecord) -> DeploymentRecord:
    """The row of a deployment whose tasks have stopped."""
    return replace(record, status=deployments.INACTIVE)


def as_deployment(record: DeploymentRecord) -> Deployment:
    """The deployment of a row."""
    state = record.state
    return Deployment(
        record.id,
        record.service,
        record.family,
        record.revision,
        _as_digests(state["images"]),
        state["desired"],
        record.created_at,
        record.updated_at,
        primary=record.status == deployments.PRIMARY,
        rollout=RolloutState(record.rollout),
        reason=state["reason"],
        failed_tasks=state["failed_tasks"],
        consecutive_failures=state["consecutive_failures"],
        next_launch_at=state["next_launch_at"],
        rollback_of=state["rollback_of"],
        following=_as_digests(state.get("following", {})),
        version=record.version,
    )


def instance_record(key: ClusterKey, instance: Instance, document: Document) -> InstanceRecord:
    """The row of a container instance."""
    state = {
        "connected": instance.connected,
        "registered": _resources(instance.registered),
        "architecture": instance.architecture,
        "attributes": dict(instance.attributes),
        "seen_at": instance.seen_at,
        "digests": sorted(str(digest) for digest in instance.digests),
        "taken_ports": sorted(list(port) for port in instance.taken_ports),
        "disk_full": instance.disk_full,
    }
    return InstanceRecord(
        key, instance.instance_id, instance.endpoint, instance.status.value, state, document, instance.version
    )


def as_instance(record: InstanceRecord) -> Instance:
    """The container instance of a row."""
    state = record.state
    return Instance(
        record.id,
        record.key.cluster,
        record.endpoint,
        InstanceStatus(record.status),
        state["connected"],
        _as_resources(state["registered"]),
        state["architecture"],
        state["attributes"],
        state["seen_at"],
        frozenset(Digest.parse(digest) for digest in state["digests"]),
        frozenset((port, protocol) for port, protocol in state.get("taken_ports", ())),
        state.get("disk_full", False),
        record.version,
    )


def _resources(resources: Resources) -> Document:
    return {"cpu": resources.cpu, "memory": resources.memory, "ports": sorted(list(port) for port in resources.ports)}


def _as_resources(state: Document) -> Resources:
    ports = frozenset((port, protocol) for port, protocol in state["ports"])
    return Resources(state["cpu"], state["memory"], ports)


def _digests(images: Mapping[str, Digest]) -> Mapping[str, str]:
    return {container: str(digest) for container, digest in images.items()}


def _as_digests(state: Mapping[str, str]) -> Mapping[str, Digest]:
    return {container: Digest.parse(digest) for container, digest in state.items()}


def _view(view: ContainerView) -> Document:
    return {
        "name": view.name,
        "status": view.status.value,
        "digest": None if view.digest is None else str(view.digest),
        "health": view.health.value,
        "restarts": view.restarts,
        "bindings": [[one.container_port, one.host_port, one.protocol, one.bind_ip] for one in view.bindings],
        **{name: getattr(view, name) for name in _VIEW_PLAIN},
    }


def _as_view(state: Document) -> ContainerView:
    return ContainerView(
        state["name"],
        ContainerStatus(state["status"]),
        digest=None if state["digest"] is None else Digest.parse(state["digest"]),
        health=HealthStatus(state["health"]),
        restarts=state["restarts"],
        bindings=tuple(NetworkBinding(*binding) for binding in state["bindings"]),
        **{name: state[name] for name in _VIEW_PLAIN},
    )
