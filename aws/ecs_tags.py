"""ECS operations on the tags of clusters, services, tasks, task definitions and container instances."""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from aws.call import Answer, Call
from aws.ecs_asking import Tags, change, database, merged, parse_tags, require
from aws.ecs_names import invalid
from aws.ecs_service_settings import checked_tags, deploys_on_push
from aws.errors import AwsError
from orchestrator.records import as_service, service_record
from storage.metadata import clusters, container_instances, services, task_definitions, tasks
from storage.metadata.clusters import ClusterKey
from storage.metadata.database import Work
from storage.metadata.services import ServiceRecord

Change = Callable[[Tags], Tags]
KINDS = ("cluster", "service", "task", "task-definition", "container-instance")


async def tag_resource(call: Call) -> Answer:
    """Set tags of a resource."""
    given = parse_tags(call.input["tags"])
    _, kind, _ = parse_resource(call)

    def move(before: Tags) -> Tags:
        after = merged(before, given)
        return checked_tags(call, after) if kind == "service" else after

    await _change(call, move)
    return {}


async def untag_resource(call: Call) -> Answer:
    """Remove tags of a resource."""
    keys = set(call.input["tagKeys"])
    await _change(call, lambda before: [tag for tag in before if tag["key"] not in keys])
    return {}


async def list_tags_for_resource(call: Call) -> Answer:
    """List the tags of a resource."""
    tags = await database(call).read(_tagged(*parse_resource(call), lambda before: before))
    return {"tags": tags}


def parse_resource(call: Call) -> tuple[str, str, list[str]]:
    """The account (as facts have it), the kind and the path of `resourceArn`. AwsError."""
    arn = call.input["resourceArn"]
    parts = arn.split(":", 5)
    kind, _, path = (parts[5] if len(parts) == 6 else "").partition("/")
    if parts[:1] != ["arn"] or parts[2] != "ecs" or kind not in KINDS or not path:
        raise invalid(f"Invalid identifier: the ARN is of none of {', '.join(KINDS)}.")
    if parts[4] != call.account:
        raise AwsError("AccessDeniedException", "The resource is of another account.")
    return call.account_key, kind, path.split("/")


async def _change(call: Call, move: Change) -> None:
    account, kind, path = parse_resource(call)
    await change(call, ClusterKey(account, path[0]), lambda: _tagged(account, kind, path, move))


def _tagged(account: str, kind: str, path: Sequence[str], move: Change) -> Work[Tags]:
    """The tags of a resource after that move; where it changes them, they are stored. AwsError."""
    if kind == "task-definition":
        return (yield from _of_definition(account, "/".join(path), move))
    record: Any = yield from _find(ClusterKey(account, path[0]), kind, path[-1])
    if record is None or len(path) != (1 if kind == "cluster" else 2):
        raise _not_found()
    before: Tags = record.document.get("tags", [])
    after = move(before)
    if after != before:
        _require_active(kind, record)
        changed = replace(record, document={**record.document, "tags": after})
        require((yield from _store(changed, after)))
    return after


def _require_active(kind: str, record: Any) -> None:
    if kind in ("cluster", "service") and record.status == clusters.INACTIVE:
        raise invalid(f"The specified {kind} is inactive. Specify an active {kind} and try again.")


def _find(key: ClusterKey, kind: str, identifier: str) -> Work[Any]:
    if kind == "cluster":
        return (yield from clusters.find(key))
    finds = {"service": services.find, "task": tasks.find, "container-instance": container_instances.find}
    return (yield from finds[kind](key, identifier))


def _store(record: Any, after: Tags) -> Work[bool]:
    if isinstance(record, clusters.ClusterRecord):
        return (yield from clusters.update(record))
    if isinstance(record, ServiceRecord):
        service = replace(as_service(record), deploy_on_push=deploys_on_push(after))
        return (yield from services.update(service_record(record.key, service, record.document)))
    if isinstance(record, tasks.TaskRecord):
        return (yield from tasks.update(record))
    return (yield from container_instances.update(record))


def _of_definition(account: str, named: str, move: Change) -> Work[Tags]:
    family, _, revision = named.partition(":")
    if not re.fullmatch("[1-9][0-9]{0,8}", revision):
        raise invalid("The ARN of a task definition ends in its revision.")
    record = yield from task_definitions.find(account, family, int(revision))
    if record is None:
        raise _not_found()
    after = move(record.tags)
    if after != record.tags:
        yield from task_definitions.set_tags(record, after)
    return after


def _not_found() -> AwsError:
    return AwsError("ResourceNotFoundException", "The specified resource was not found.")
