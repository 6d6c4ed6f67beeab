"""What is stored of a cluster, read as a whole, and the changes that the orchestrator makes to it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from estiva.digest import Digest
from estiva.reference import RepositoryName
from orchestrator import rollout
from orchestrator.definition import TaskDefinition
from orchestrator.engines import LogLine
from orchestrator.moves import summary
from orchestrator.records import (
    as_deployment,
    as_instance,
    as_service,
    as_task,
    deployment_record,
    service_record,
    task_record,
)
from orchestrator.state import Deployment, DesiredStatus, Instance, Service, StopCode, Task
from storage.metadata import (
    clusters,
    container_instances,
    deployments,
    service_events,
    services,
    task_definitions,
    task_logs,
    tasks,
)
from storage.metadata.clusters import ClusterKey, ClusterRecord
from storage.metadata.database import Work
from storage.metadata.deployments import DeploymentRecord
from storage.metadata.services import ServiceRecord
from storage.metadata.task_definitions import DefinitionRecord
from storage.metadata.tasks import TaskRecord

PAGE = 1000
Lines = Mapping[str, Sequence[LogLine]]
Revision = tuple[str, int]
ReadDefinition = Callable[[DefinitionRecord], TaskDefinition]
"""What a stored task definition says."""
OwnImages = Callable[[TaskDefinition, Mapping[str, Digest]], Sequence[tuple[RepositoryName, Digest]]]
"""Those of a definition's images that this registry stores, by the digests they are pinned to."""


@dataclass(frozen=True, slots=True)
class ServiceFacts:
    """A service with its deployments, newest first, INACTIVE ones too."""

    record: ServiceRecord
    service: Service
    deployments: Sequence[DeploymentRecord]
    last_event: str

    @property
    def current(self) -> list[Deployment]:
        """Those that are PRIMARY or ACTIVE."""
        return [as_deployment(each) for each in self.deployments if each.status != deployments.INACTIVE]

    @property
    def previous(self) -> Deployment | None:
        """The newest that was completed and is not the primary one."""
        for each in self.deployments:
            if each.status != deployments.PRIMARY and each.rollout == "COMPLETED":
                return as_deployment(each)
        return None


@dataclass(frozen=True, slots=True)
class ClusterFacts:
    """All that planning looks at."""

    record: ClusterRecord
    instances: Mapping[str, Instance]
    services: Mapping[str, ServiceFacts]
    tasks: Mapping[str, Task]
    """Those that have not stopped."""
    definitions: Mapping[Revision, DefinitionRecord]

    @property
    def current(self) -> frozenset[str]:
        """The ids of all deployments that are PRIMARY or ACTIVE."""
        return frozenset(one.deployment_id for service in self.services.values() for one in service.current)


def load(key: ClusterKey) -> Work[ClusterFacts | None]:
    """The cluster as it is; None where there is no such cluster."""
    record = yield from clusters.find(key)
    if record is None:
        return None
    instances = yield from container_instances.page(key, "", PAGE)
    found: dict[str, ServiceFacts] = {}
    for each in (yield from services.page(key, "", PAGE)):
        of_service = yield from deployments.of_service(key, each.name)
        newest = yield from service_events.newest(key, each.name, 1)
        last = newest[0].message.removeprefix(f"(service {each.name}) ") if newest else ""
        found[each.name] = ServiceFacts(each, as_service(each), of_service, last)
    live = yield from tasks.live(key)
    definitions: dict[Revision, DefinitionRecord] = {}
    planned = [one for facts in found.values() for one in (*facts.current, facts.previous) if one is not None]
    for deployment in planned:
        revision = (deployment.family, deployment.revision)
        if revision not in definitions:
            definition = yield from task_definitions.find(key.account, *revision)
            if definition is not None:
                definitions[revision] = definition
    return ClusterFacts(
        record,
        {each.id: as_instance(each) for each in instances},
        found,
        {each.id: as_task(each) for each in live},
        definitions,
    )


def say(key: ClusterKey, service: str, message: str, quiet: float = 0.0) -> Work[None]:
    """Note an event of a service, in AWS's form; the same again within `quiet` seconds is not noted."""
    yield from service_events.add(key, service, f"(service {service}) {message}", quiet)


def change_task(
    key: ClusterKey, task_id: str, move: Callable[[Task], Task], lines: Lines | None = None
) -> Work[Task | None]:
    """The task after that move, which is stored; None where it is forgotten. `lines`: what it wrote last."""
    record = yield from tasks.find(key, task_id)
    if record is None:
        return None
    before = as_task(record)
    after = move(before)
    if after != before:
        yield from _store(record, after)
        yield from _count(key, before, after, lines)
    return after


def keep_lines(key: ClusterKey, task_id: str, lines: Lines) -> Work[None]:
    """Keep the last lines of a task's containers."""
    for container, written in lines.items():
        kept = [task_logs.KeptLine(line.at, line.stream, line.text) for line in written]
        yield from task_logs.put(key, task_id, container, kept)


def change_deployment(
    key: ClusterKey, service: str, identifier: str, move: Callable[[Deployment], Deployment]
) -> Work[None]:
    """Store the deployment after that move; nothing where there is no such deployment."""
    record = yield from deployments.find(key, service, identifier)
    if record is None:
        return
    after = deployment_record(key, move(as_deployment(record)), record.document)
    status = after.status if record.status != deployments.INACTIVE else deployments.INACTIVE
    yield from deployments.update(replace(after, status=status, version=record.version))


def _store(record: TaskRecord, task: Task) -> Work[None]:
    yield from tasks.update(replace(task_record(record.key, task, record.document), version=record.version))


def _count(key: ClusterKey, before: Task, after: Task, lines: Lines | None) -> Work[None]:
    """A launch that failed counts once: when the task, by itself, is no longer wanted."""
    if after.service is None or after.deployment is None or before.desired is after.desired:
        return
    if after.desired is not DesiredStatus.STOPPED or after.stop_code is StopCode.SERVICE_SCHEDULER_INITIATED:
        return
    record = yield from services.find(key, after.service)
    if record is None:
        return
    healthy = before.health.value == "HEALTHY"
    if rollout.is_failed_launch(after, as_service(record).settings.steady_seconds, was_healthy=healthy):
        yield from count_failure(key, after, lines)


def count_failure(key: ClusterKey, task: Task, lines: Lines | None = None) -> Work[None]:
    """Count one launch of the task's deployment that failed, and why."""
    now = task.stopping_at or task.created_at
    reason = f"last failure: task {task.task_id}: {summary(task, lines)}"
    yield from change_deployment(
        key,
        str(task.service),
        str(task.deployment),
        lambda deployment: replace(rollout.failed(deployment, now), reason=reason),
    )


def set_service(key: ClusterKey, facts: ServiceFacts, service: Service) -> Work[None]:
    """Store the service as it is now."""
    record = service_record(key, service, facts.record.document)
    yield from services.update(replace(record, version=facts.record.version))
