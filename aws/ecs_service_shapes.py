"""Services and their deployments as ECS shows them."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aws.call import Call
from aws.ecs_names import arns
from orchestrator.planning import is_healthy
from orchestrator.records import as_deployment, as_service, as_task
from orchestrator.state import Deployment, RolloutState, SchedulingStrategy, Service, Task, TaskStatus
from storage.metadata import deployments, service_events, tasks
from storage.metadata.clusters import ClusterKey
from storage.metadata.database import Work
from storage.metadata.deployments import DeploymentRecord
from storage.metadata.service_events import EventRecord
from storage.metadata.services import ServiceRecord

LIVE_TASKS = 10_000
_DEFAULTS: Mapping[str, Any] = {
    "launchType": "EC2",
    "availabilityZoneRebalancing": "DISABLED",
    "loadBalancers": [],
    "serviceRegistries": [],
    "placementConstraints": [],
    "placementStrategy": [],
    "enableECSManagedTags": False,
    "enableExecuteCommand": False,
    "propagateTags": "NONE",
}


@dataclass(frozen=True, slots=True)
class ServiceView:
    """A service and all that is shown with it. `deployments`: newest first, INACTIVE ones too."""

    record: ServiceRecord
    deployments: Sequence[DeploymentRecord]
    tasks: Sequence[Task]
    events: Sequence[EventRecord]
    at: float

    def running(self, record: DeploymentRecord) -> int:
        """Its tasks that run and, as long as it is in progress, are healthy: nobody takes it for stable too early."""
        return sum(self._counts(task, record) for task in self.tasks if task.deployment == record.id)

    def pending(self, record: DeploymentRecord) -> int:
        """Its tasks that are on their way."""
        on_their_way = [
            task for task in self.tasks if task.deployment == record.id and task.status <= TaskStatus.RUNNING
        ]
        return len(on_their_way) - sum(self._counts(task, record) for task in on_their_way)

    def _counts(self, task: Task, record: DeploymentRecord) -> bool:
        if task.status is not TaskStatus.RUNNING:
            return False
        if record.rollout != RolloutState.IN_PROGRESS.value:
            return True
        steady = as_service(self.record).settings.steady_seconds
        return is_healthy(task, steady, record.document.get("checked", False), self.at)

    @property
    def current(self) -> list[DeploymentRecord]:
        """Those that are PRIMARY or ACTIVE, the primary one first."""
        shown = [record for record in self.deployments if record.status != deployments.INACTIVE]
        return sorted(shown, key=lambda record: record.status != deployments.PRIMARY)


def view(record: ServiceRecord) -> Work[ServiceView]:
    """Everything that is shown of a service."""
    of_service = yield from deployments.of_service(record.key, record.name)
    events = yield from service_events.newest(record.key, record.name)
    live = [as_task(task) for task in (yield from tasks.live(record.key, LIVE_TASKS)) if task.service == record.name]
    return ServiceView(record, of_service, live, events, time.time())


def described(call: Call, seen: ServiceView, *, tags: bool = True) -> Mapping[str, Any]:
    """The service."""
    service, key, document = as_service(seen.record), seen.record.key, seen.record.document
    current = seen.current
    primary = current[0] if current else (seen.deployments[0] if seen.deployments else None)
    kept = {name: value for name, value in document.items() if name not in ("tags", "createdBy")}
    return {
        **_DEFAULTS,
        **kept,
        "serviceArn": arns(call).within(key, "service", service.name),
        "serviceName": service.name,
        "clusterArn": arns(call).cluster(key),
        "status": service.status.value,
        "desiredCount": _desired(service, primary),
        "runningCount": sum(seen.running(one) for one in current),
        "pendingCount": sum(seen.pending(one) for one in current),
        "taskDefinition": None if primary is None else _definition(call, key, primary),
        "deploymentConfiguration": configuration(service),
        "deployments": [_deployment(call, seen, one) for one in current],
        "events": [{"id": event.id, "createdAt": event.created_at, "message": event.message} for event in seen.events],
        "createdAt": service.created_at,
        "createdBy": document.get("createdBy"),
        "currentServiceDeployment": _current_deployment(call, seen, primary),
        "currentServiceRevisions": [
            {
                "arn": revision_arn(call, one),
                "requestedTaskCount": as_deployment(one).desired,
                "runningTaskCount": seen.running(one),
                "pendingTaskCount": seen.pending(one),
            }
            for one in current
        ],
        "healthCheckGracePeriodSeconds": service.grace_period,
        "schedulingStrategy": service.strategy.value,
        "deploymentController": {"type": "ECS"},
        "tags": document.get("tags", []) if tags else [],
    }


def _desired(service: Service, primary: DeploymentRecord | None) -> int:
    """How many tasks are wanted: of a daemon, as many as it has instances."""
    if primary is None or service.strategy is not SchedulingStrategy.DAEMON:
        return service.desired
    return as_deployment(primary).desired


def configuration(service: Service) -> Mapping[str, Any]:
    """How the service is deployed."""
    settings = service.settings
    breaker: dict[str, Any] = {"enable": settings.circuit_breaker, "rollback": settings.rollback}
    if settings.threshold is not None:
        breaker["thresholdConfiguration"] = {"type": "COUNT", "value": settings.threshold}
    return {
        "deploymentCircuitBreaker": breaker,
        "maximumPercent": settings.maximum_percent,
        "minimumHealthyPercent": settings.minimum_healthy_percent,
        "strategy": "ROLLING",
    }


def number_of(deployment_id: str) -> str:
    """A deployment's id without the part that all have."""
    return deployment_id.rpartition("/")[2]


def deployment_arn(call: Call, record: DeploymentRecord) -> str:
    """The ARN of a service deployment."""
    return arns(call).within(record.key, "service-deployment", record.service, number_of(record.id))


def revision_arn(call: Call, record: DeploymentRecord) -> str:
    """The ARN of the revision that a deployment moves its service to."""
    return arns(call).within(record.key, "service-revision", record.service, number_of(record.id))


def _definition(call: Call, key: ClusterKey, record: DeploymentRecord) -> str:
    return arns(call).definition(key.account, record.family, record.revision)


def _current_deployment(call: Call, seen: ServiceView, primary: DeploymentRecord | None) -> str | None:
    in_progress = primary is not None and primary.rollout == RolloutState.IN_PROGRESS.value
    return deployment_arn(call, primary) if primary is not None and in_progress else None


def _deployment(call: Call, seen: ServiceView, record: DeploymentRecord) -> Mapping[str, Any]:
    deployment: Deployment = as_deployment(record)
    network = seen.record.document.get("networkConfiguration")
    return {
        "id": record.id,
        "status": record.status,
        "taskDefinition": _definition(call, record.key, record),
        "desiredCount": deployment.desired,
        "pendingCount": seen.pending(record),
        "runningCount": seen.running(record),
        "failedTasks": deployment.failed_tasks,
        "createdAt": record.created_at,
        "updatedAt": record.updated_at,
        "launchType": seen.record.document.get("launchType", "EC2"),
        "networkConfiguration": network,
        "rolloutState": record.rollout,
        "rolloutStateReason": deployment.reason or None,
    }
