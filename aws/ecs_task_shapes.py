"""Tasks as ECS shows them."""

from collections.abc import Mapping
from typing import Any

from aws.call import Call
from aws.ecs_names import arns
from orchestrator.engines import ContainerStatus, ContainerView
from orchestrator.records import as_task
from orchestrator.state import Task, TaskStatus
from storage.metadata.clusters import ClusterKey
from storage.metadata.tasks import TaskRecord

_STATUS = {
    ContainerStatus.PENDING: "PENDING",
    ContainerStatus.CREATED: "PENDING",
    ContainerStatus.RUNNING: "RUNNING",
    ContainerStatus.STOPPED: "STOPPED",
}


def described(call: Call, record: TaskRecord, *, tags: bool = True) -> Mapping[str, Any]:
    """The task; its states are what the engine reported last."""
    task, key, document = as_task(record), record.key, record.document
    arn = arns(call).task(key, task.task_id)
    views = {view.name: view for view in task.containers}
    launch = document.get("launchType") or "EC2"
    placed = task.instance_id is not None
    return {
        "taskArn": arn,
        "clusterArn": arns(call).cluster(key),
        "taskDefinitionArn": arns(call).definition(key.account, task.family, task.revision),
        "containerInstanceArn": _instance(call, key, task) if placed else None,
        "lastStatus": task.status.name,
        "desiredStatus": task.desired.value,
        "containers": [
            _container(call, task, one, views.get(one["name"]), arn) for one in document.get("containers", ())
        ],
        "overrides": {"containerOverrides": [], "inferenceAcceleratorOverrides": []} | document.get("overrides", {}),
        "attachments": [],
        "attributes": [],
        "cpu": str(task.needs.cpu),
        "memory": str(task.needs.memory),
        "group": task.group or None,
        "startedBy": task.started_by,
        "launchType": launch,
        "healthStatus": task.health.value,
        "connectivity": "CONNECTED" if task.connected else "DISCONNECTED",
        "enableExecuteCommand": document.get("enableExecuteCommand", False),
        "version": task.version,
        "createdAt": task.created_at,
        "pullStartedAt": task.pull_started_at,
        "pullStoppedAt": task.pull_stopped_at,
        "startedAt": task.started_at,
        "stoppingAt": task.stopping_at,
        "executionStoppedAt": _ended(task),
        "stoppedAt": task.stopped_at,
        "stopCode": None if task.stop_code is None else task.stop_code.value,
        "stoppedReason": task.stopped_reason,
        "tags": document.get("tags", []) if tags else [],
    }


def _instance(call: Call, key: ClusterKey, task: Task) -> str:
    return arns(call).within(key, "container-instance", str(task.instance_id))


def _ended(task: Task) -> float | None:
    if task.status is not TaskStatus.STOPPED:
        return None
    return max((view.finished_at for view in task.containers if view.finished_at is not None), default=None)


def _container(
    call: Call, task: Task, given: Mapping[str, Any], view: ContainerView | None, arn: str
) -> Mapping[str, Any]:
    digest = task.images.get(given["name"]) or (view.digest if view is not None else None)
    shown = {
        **given,
        "containerArn": arn.replace(":task/", ":container/", 1) + f"/{given['name']}",
        "taskArn": arn,
        "imageDigest": None if digest is None else str(digest),
        "lastStatus": "STOPPED" if task.status is TaskStatus.STOPPED else "PENDING",
        "healthStatus": "UNKNOWN",
        "networkBindings": [],
        "networkInterfaces": [],
    }
    if view is None:
        return shown
    address = [{"privateIpv4Address": view.address}] if view.address else []
    return {
        **shown,
        "lastStatus": _STATUS[view.status],
        "healthStatus": view.health.value,
        "runtimeId": view.runtime_id,
        "exitCode": view.exit_code,
        "reason": view.reason,
        "networkBindings": [
            {
                "bindIP": one.bind_ip,
                "containerPort": one.container_port,
                "hostPort": one.host_port,
                "protocol": one.protocol,
            }
            for one in view.bindings
        ],
        "networkInterfaces": address,
    }
