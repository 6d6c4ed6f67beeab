"""A server that speaks ECS and has no engine: tests say themselves what an engine would report."""

import asyncio
import itertools
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from orchestrator import records
from orchestrator.engines import ContainerStatus, ContainerView, HealthStatus, NetworkBinding
from orchestrator.state import DesiredStatus, Resources, RolloutState, StopCode, Task, TaskStatus
from storage.metadata import container_instances, deployments, services, tasks
from storage.metadata.clusters import ClusterKey
from storage.metadata.database import Work
from storage.metadata.opening import open_database
from tests.aws.clients import OWN, Front

T = TypeVar("T")
Client = Any
"""boto3 makes its clients' methods at run time."""
_names = itertools.count(1)
ARN = f"arn:aws:ecs:us-east-1:{OWN}:"


def unique(prefix: str) -> str:
    """A name that no other test has."""
    return f"{prefix}-{next(_names)}"


@dataclass(frozen=True)
class Ecs:
    """The server, its administrator's client, and its facts."""

    front: Front
    url: str

    @property
    def client(self) -> Client:
        return self.front.client(service="ecs")

    def user(self, *policies: str) -> Client:
        """The client of a new user with these policies."""
        name = unique("user")
        self.front.served.user(name, *policies)
        made = json.loads(self.front.served.done("POST", f"/users/{name}/keys").body)
        return self.front.client(made["id"], made["secret"], service="ecs")

    def write(self, work: Callable[[], Work[T]]) -> T:
        """The result of work on the server's own database."""

        async def run() -> T:
            database = open_database(self.url, 1)
            try:
                return await database.write(work)
            finally:
                await database.close()

        return asyncio.run(run())

    def cluster(self, *, cpu: int = 4096, memory: int = 4096, instances: int = 1) -> str:
        """A new cluster whose instances answer and have that much."""
        name = unique("cluster")
        self.client.create_cluster(clusterName=name)
        for _ in range(instances):
            self.instance(name, Resources(cpu, memory))
        return name

    def instance(self, cluster: str, resources: Resources, **attributes: str) -> str:
        """An instance that answers and has that much: its ARN."""
        given = [{"name": name, "value": value} for name, value in {"engine": "unix:///nowhere", **attributes}.items()]
        made = self.client.register_container_instance(cluster=cluster, attributes=given)["containerInstance"]
        arn: str = made["containerInstanceArn"]
        self.write(lambda: _answers(ClusterKey("", cluster), arn.rpartition("/")[2], resources))
        return arn

    def definition(self, **members: Any) -> str:
        """A new family with one revision: its name."""
        container = {"name": "app", "image": "example.org/app:1", "memory": 64} | members
        family = unique("family")
        self.client.register_task_definition(family=family, containerDefinitions=[container])
        return family

    def report(self, cluster: str, arn: str, move: Callable[[Task], Task]) -> None:
        """What an engine reports of a task."""
        self.write(lambda: _moved(ClusterKey("", cluster), arn.rpartition("/")[2], move))

    def launch(self, cluster: str, service: str, count: int) -> list[str]:
        """So many tasks of a service's primary deployment that run and are healthy: their ids."""
        return self.write(lambda: _launched(ClusterKey("", cluster), service, count))

    def complete(self, cluster: str, service: str) -> None:
        """The primary deployment is all that is left, and has come to its end."""
        self.write(lambda: _completed(ClusterKey("", cluster), service))


def runs(task: Task) -> Task:
    """It runs."""
    view = ContainerView(
        "app", ContainerStatus.RUNNING, "runtime", health=HealthStatus.HEALTHY, bindings=(NetworkBinding(80, 32768),)
    )
    return replace(task, status=TaskStatus.RUNNING, started_at=1.0, containers=(view,), health=HealthStatus.HEALTHY)


def stopped(task: Task) -> Task:
    """It stopped with code 3."""
    view = ContainerView("app", ContainerStatus.STOPPED, exit_code=3, reason="why", finished_at=2.0)
    code = task.stop_code or StopCode.ESSENTIAL_CONTAINER_EXITED
    reason = task.stopped_reason or "Essential container in task exited"
    return replace(
        task, status=TaskStatus.STOPPED, stopped_at=3.0, stop_code=code, stopped_reason=reason, containers=(view,)
    )


def _answers(key: ClusterKey, identifier: str, resources: Resources) -> Work[None]:
    record = yield from container_instances.find(key, identifier)
    assert record is not None
    instance = replace(records.as_instance(record), connected=True, registered=resources)
    assert (yield from container_instances.update(records.instance_record(key, instance, record.document)))


def _moved(key: ClusterKey, identifier: str, move: Callable[[Task], Task]) -> Work[None]:
    record = yield from tasks.find(key, identifier)
    assert record is not None
    assert (yield from tasks.update(records.task_record(key, move(records.as_task(record)), record.document)))


def _launched(key: ClusterKey, service: str, count: int) -> Work[list[str]]:
    primary = (yield from deployments.of_service(key, service))[0]
    made = []
    for _ in range(count):
        task = Task(
            unique("task"),
            key.cluster,
            primary.family,
            primary.revision,
            desired=DesiredStatus.RUNNING,
            status=TaskStatus.RUNNING,
            created_at=1.0,
            group=f"service:{service}",
            service=service,
            deployment=primary.id,
        )
        document: Mapping[str, Any] = {"containers": [{"name": "app", "image": "example.org/app:1"}]}
        yield from tasks.create(records.task_record(key, runs(task), document), [])
        made.append(task.task_id)
    return made


def _completed(key: ClusterKey, service: str) -> Work[None]:
    primary, *others = yield from deployments.of_service(key, service)
    assert (yield from deployments.update(replace(primary, rollout=RolloutState.COMPLETED.value)))
    for other in others:
        assert (yield from deployments.update(records.inactive(other)))
    record = yield from services.find(key, service)
    assert record is not None
