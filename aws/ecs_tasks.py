"""ECS operations on tasks that are there."""

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from aws.call import Answer, Call
from aws.ecs_asking import (
    active,
    at_most_named,
    change,
    database,
    included,
    missing,
    page_of,
    refuse_unsupported,
    require,
    require_cluster,
)
from aws.ecs_names import arns, cluster_of, identifier, invalid
from aws.ecs_task_shapes import described
from aws.errors import AwsError
from orchestrator.moves import unwanted
from orchestrator.records import as_task, task_record
from orchestrator.state import DesiredStatus, StopCode
from storage.metadata import services, tasks
from storage.metadata.database import Work
from storage.metadata.tasks import TaskRecord, Wanted

BY_USER = "Task stopped by user"
LONGEST_REASON = 255


async def stop_task(call: Call) -> Answer:
    """Want a task stopped; what its engine does follows. One that has stopped stays as it is."""
    key, reason = cluster_of(call), call.input.get("reason") or BY_USER
    task_id = identifier(call, call.input["task"], "task", key)

    def work() -> Work[TaskRecord]:
        yield from active(key)
        record = yield from tasks.find(key, task_id)
        if record is None:
            raise invalid("The referenced task was not found.")
        if record.desired == DesiredStatus.STOPPED.value:
            return record
        stopped = wanted_stopped(record, StopCode.USER_INITIATED, reason[:LONGEST_REASON])
        require((yield from tasks.update(stopped)))
        return replace(stopped, version=record.version + 1)

    return {"task": described(call, await change(call, key, work))}


def wanted_stopped(record: TaskRecord, code: StopCode, reason: str) -> TaskRecord:
    """The task, no longer wanted."""
    return task_record(record.key, unwanted(as_task(record), code, reason, time.time()), record.document)


async def describe_tasks(call: Call) -> Answer:
    """Describe the tasks of these ids or ARNs, stopped ones too as long as they are kept."""
    key = await require_cluster(call)
    shown: list[Mapping[str, Any]] = []
    failures = []
    for text in at_most_named(call.input["tasks"], "tasks"):
        task_id = identifier(call, text, "task", key)
        record = await database(call).read(tasks.find(key, task_id))
        if record is None:
            failures.append(missing(arns(call).task(key, task_id)))
        else:
            shown.append(described(call, record, tags=included(call, "TAGS")))
    return {"tasks": shown, "failures": failures}


async def list_tasks(call: Call) -> Answer:
    """The ARNs of tasks by what they are, page by page; by default of those that are wanted running."""
    refuse_unsupported(call, "daemonName")
    key = await require_cluster(call)
    given, asked = call.input, page_of(call)
    if given.get("desiredStatus") == "PENDING":
        return {"taskArns": []}  # no task is ever wanted to be pending
    service, instance = given.get("serviceName"), given.get("containerInstance")
    if service is not None:
        service = identifier(call, service, "service", key)
        if await database(call).read(services.find(key, service)) is None:
            raise AwsError("ServiceNotFoundException", "Service not found.")
    wanted = Wanted(
        "STOPPED" if given.get("desiredStatus") == "STOPPED" else "RUNNING",
        given.get("family"),
        service,
        None if instance is None else identifier(call, instance, "container-instance", key),
        given.get("startedBy"),
    )
    records = await database(call).read(tasks.page(key, wanted, asked.position, asked.size + 1))
    shown = records[: asked.size]
    launch = given.get("launchType")
    return {
        "taskArns": [
            arns(call).task(key, one.id) for one in shown if launch in (None, one.document.get("launchType") or "EC2")
        ],
        "nextToken": call.next_token(shown[-1].id if len(records) > asked.size else None),
    }
