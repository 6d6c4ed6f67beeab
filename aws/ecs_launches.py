"""RunTask and StartTask: tasks are entered with the room that they take, or it is said what is lacking."""

import hashlib
import json
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aws.call import Answer, Call
from aws.ecs_asking import active, at_most_named, change, parse_tags, refuse_unsupported, require_engine
from aws.ecs_definitions import pulled_by, usable
from aws.ecs_names import arns, client_error, cluster_of, identifier, invalid
from aws.ecs_parts import Found
from aws.ecs_placing import parse_placement
from aws.ecs_task_shapes import described
from aws.errors import AwsError
from estiva.digest import Digest
from orchestrator.definition import TaskDefinition
from orchestrator.overrides import overridden, read
from orchestrator.placing import ARCHITECTURE, Chooser, Demand, NoRoom, Room, demand_of, processors
from orchestrator.records import as_instance, as_task, task_document, task_record
from orchestrator.rules import DefinitionInvalid
from orchestrator.state import DesiredStatus, Instance, Placement, Task, TaskStatus
from storage.metadata import client_tokens, container_instances, image_uses, tasks
from storage.metadata.client_tokens import TokenRecord
from storage.metadata.clusters import ClusterKey
from storage.metadata.database import Work
from storage.metadata.task_definitions import DefinitionRecord
from storage.metadata.tasks import TaskRecord

MOST_TASKS = 10
MOST_INSTANCES = 1000
_UNSUPPORTED = ("capacityProviderStrategy", "volumeConfigurations")
_KEPT = ("enableExecuteCommand", "launchType", "networkConfiguration", "platformVersion", "overrides", "propagateTags")
Entered = tuple[Sequence[Mapping[str, Any]], Sequence[Mapping[str, str]]]
"""Tasks as they are shown, and failures."""


@dataclass(frozen=True, slots=True)
class Launch:
    """What every task of one request has in common."""

    record: DefinitionRecord
    definition: TaskDefinition
    images: Found
    group: str
    started_by: str | None
    placement: Placement
    document: Mapping[str, Any]
    demand: Demand


async def run_task(call: Call) -> Answer:
    """Enter so many tasks, each where it has room; the same token is answered with the same tasks."""
    require_engine(call)
    refuse_unsupported(call, *_UNSUPPORTED)
    count = call.input.get("count", 1)
    if not 1 <= count <= MOST_TASKS:
        raise invalid(f"Count must be between 1 and {MOST_TASKS}.")
    key, launch = cluster_of(call), await _launch(call)
    await call.parts.ecs.prepare(key)

    def work() -> Work[Entered]:
        token = call.input.get("clientToken")
        before = (yield from _answered_before(call, key, token)) if token else None
        if before is not None:
            return before, []
        yield from active(key)
        room, instances, live = yield from _room(key)
        if not instances:
            raise invalid("No Container Instances were found in your cluster.")
        siblings = _siblings(live, launch.group)
        chooser = Chooser(room, launch.demand, launch.placement, siblings, seed=uuid.uuid4().hex)
        shown: list[Mapping[str, Any]] = []
        failures: list[Mapping[str, str]] = []
        for _ in range(count):
            chosen = chooser.next()
            if isinstance(chosen, NoRoom):
                failures += _reasons(call, key, chosen, instances, launch.demand)
                break
            shown.append((yield from _enter(call, key, launch, chosen.instance_id)))
        if token and shown:
            ids = json.dumps([one["taskArn"].rpartition("/")[2] for one in shown])
            record = TokenRecord(request_of(call), ids)
            yield from client_tokens.enter(call.account_key, call.operation, f"{key.cluster}/{token}", record)
        return shown, failures

    shown, failures = await change(call, key, work, _launched)
    return {"tasks": shown, "failures": failures}


async def start_task(call: Call) -> Answer:
    """Enter a task on each of these instances, wherever the scheduler would put it."""
    require_engine(call)
    refuse_unsupported(call, "volumeConfigurations")
    key, launch = cluster_of(call), await _launch(call)
    named = at_most_named(call.input["containerInstances"], "containerInstances", MOST_TASKS)

    def work() -> Work[Entered]:
        yield from active(key)
        room, instances, _ = yield from _room(key)
        demand = launch.demand
        shown: list[Mapping[str, Any]] = []
        failures: list[Mapping[str, str]] = []
        for text in named:
            instance = instances.get(identifier(call, text, "container-instance", key))
            lacking = "MISSING" if instance is None else room.lacks(instance, demand)
            if instance is None or lacking is not None:
                arn = text if text.startswith("arn:") else arns(call).within(key, "container-instance", text)
                failures.append({"arn": arn, "reason": lacking or "MISSING", **_detail(lacking, instance, demand)})
            else:
                room.take(instance.instance_id, demand.needs)
                shown.append((yield from _enter(call, key, launch, instance.instance_id)))
        return shown, failures

    shown, failures = await change(call, key, work, _launched)
    return {"tasks": shown, "failures": failures}


def _launched(entered: Entered) -> Mapping[str, Any]:
    return {"tasks": [one["taskArn"].rpartition(":")[2] for one in entered[0]]}


async def _launch(call: Call) -> Launch:
    given = call.input
    record = await usable(call, given["taskDefinition"])
    started_by = given.get("startedBy")
    if started_by is not None and len(started_by) > 128:
        raise invalid("startedBy can have at most 128 characters.")
    if given.get("group", "").startswith("service:"):
        raise invalid("Invalid namespace for group.")
    if given.get("propagateTags") == "SERVICE":
        raise invalid("Invalid value for propagateTags: a task that no service keeps has no tags of one.")
    document = {name: given[name] for name in _KEPT if name in given}
    try:
        definition = overridden(read(record), document)
    except DefinitionInvalid as error:
        raise client_error(str(error)) from None
    inherited = record.tags if given.get("propagateTags") == "TASK_DEFINITION" else ()
    tags = {tag["key"]: tag["value"] for tag in (*inherited, *parse_tags(given.get("tags", ())))}
    document["tags"] = [{"key": name, "value": value} for name, value in sorted(tags.items())]
    document |= task_document(definition)
    found = await pulled_by(call, definition)
    architectures = await call.parts.ecs.architectures(definition, pinned(record, definition, found))
    return Launch(
        record,
        definition,
        found,
        given.get("group") or f"family:{record.family}",
        started_by,
        parse_placement(call),
        document,
        demand_of(definition, architectures),
    )


def _enter(call: Call, key: ClusterKey, launch: Launch, instance: str) -> Work[Mapping[str, Any]]:
    """One task: it is wanted from here on."""
    task = Task(
        uuid.uuid4().hex,
        key.cluster,
        launch.record.family,
        launch.record.revision,
        DesiredStatus.RUNNING,
        TaskStatus.PROVISIONING,
        time.time(),
        group=launch.group,
        instance_id=instance,
        started_by=launch.started_by,
        needs=demand_of(launch.definition).needs,
        images=pinned(launch.record, launch.definition, launch.images),
    )
    record = task_record(key, task, launch.document)
    yield from tasks.create(record, (yield from used(launch.images, task.images)))
    return described(call, record)


def pinned(record: DefinitionRecord, definition: TaskDefinition, found: Found) -> Mapping[str, Digest]:
    """Container → digest: what the tag was when the revision was registered, unless it is to be looked up each time."""
    digests = {container: Digest.parse(text) for container, text in record.images.items()}
    for container in definition.containers:
        now = found[container.name].digest
        if now is not None and (container.resolves_at_launch or container.name not in digests):
            digests[container.name] = now
    return digests


def used(found: Found, digests: Mapping[str, Digest]) -> Work[image_uses.Images]:
    """Those of the images that are ours, and still here: from the end of this work on they stay."""
    ours = [
        (image.name, digests[container])
        for container, image in found.items()
        if image.name is not None and container in digests
    ]
    gone = yield from image_uses.absent(ours)
    return [image for image in ours if image not in gone]


def _room(key: ClusterKey) -> Work[tuple[Room, Mapping[str, Instance], Sequence[Task]]]:
    records = yield from container_instances.page(key, "", MOST_INSTANCES)
    instances = {record.id: as_instance(record) for record in records if record.status != "INACTIVE"}
    live = [as_task(record) for record in (yield from tasks.live(key))]
    return Room.of(instances.values(), live), instances, live


def _siblings(live: Sequence[Task], group: str) -> Mapping[str, int]:
    counts: dict[str, int] = {}
    for task in live:
        if task.group == group and task.instance_id is not None:
            counts[task.instance_id] = counts.get(task.instance_id, 0) + 1
    return counts


def _reasons(
    call: Call, key: ClusterKey, no_room: NoRoom, instances: Mapping[str, Instance], demand: Demand
) -> Sequence[Mapping[str, str]]:
    return [
        {
            "arn": arns(call).within(key, "container-instance", identifier_),
            "reason": reason,
            **_detail(reason, instances.get(identifier_), demand),
        }
        for identifier_, reason in sorted(no_room.reasons.items())
    ]


def _detail(reason: str | None, instance: Instance | None, demand: Demand) -> Mapping[str, str]:
    if reason != ARCHITECTURE or instance is None:
        return {}
    return {"detail": f"{processors(instance, demand)}."}


def request_of(call: Call) -> str:
    """What tells whether a request is the same as another one."""
    return hashlib.sha256(json.dumps(call.input, sort_keys=True).encode()).hexdigest()


def _answered_before(call: Call, key: ClusterKey, token: str) -> Work[Sequence[Mapping[str, Any]] | None]:
    if len(token) > 64:
        raise invalid("clientToken can have at most 64 characters.")
    found = yield from client_tokens.find(call.account_key, call.operation, f"{key.cluster}/{token}")
    if found is None:
        return None
    if found.request != request_of(call):
        raise AwsError("ConflictException", "The clientToken was used with other parameters before.")
    shown = []
    for task_id in json.loads(found.answer):
        record: TaskRecord | None = yield from tasks.find(key, task_id)
        if record is not None:
            shown.append(described(call, record))
    return shown
