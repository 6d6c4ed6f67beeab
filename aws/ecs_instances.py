"""ECS operations on container instances: the engines of a cluster."""

import re
import uuid
from collections.abc import Mapping, Sequence
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
    parse_tags,
    refuse_unsupported,
    require,
    require_cluster,
    require_engine,
    unsupported,
)
from aws.ecs_names import arns, client_error, cluster_of, identifier, invalid
from orchestrator.placing import MEMBER_OF, Room, satisfies
from orchestrator.records import as_instance, as_task, instance_record
from orchestrator.state import Instance, InstanceStatus, Placement, Resources, Task, TaskStatus
from storage.metadata import container_instances, tasks
from storage.metadata.clusters import ClusterKey
from storage.metadata.container_instances import InstanceRecord
from storage.metadata.database import Work

ENGINE = "engine"
"""The attribute that says where the engine is."""
_ENDPOINT = re.compile(r"unix:///[\x21-\x7e]{1,200}|tcp(?:\+tls)?://[A-Za-z0-9.:\[\]-]{1,250}")
_ARCHITECTURES = {"x86_64": "amd64", "arm64": "arm64"}


async def register_container_instance(call: Call) -> Answer:
    """Enter an engine, or enter it anew; what it has is what it reports itself, as soon as it answers."""
    require_engine(call)
    refuse_unsupported(call, "platformDevices")
    key, given = cluster_of(call), call.input
    attributes = {one["name"]: one.get("value", "") for one in given.get("attributes", ())}
    endpoint = attributes.pop(ENGINE, "")
    if _ENDPOINT.fullmatch(endpoint) is None:
        raise invalid("The attribute engine says where the engine is: unix:///PATH, tcp://HOST:PORT or tcp+tls://…")
    named = given.get("containerInstanceArn")
    instance = Instance(
        uuid.uuid4().hex if named is None else identifier(call, named, "container-instance", key),
        key.cluster,
        endpoint,
        InstanceStatus.ACTIVE,
        False,
        _resources(given.get("totalResources", ())),
        _ARCHITECTURES.get(attributes.get("ecs.cpu-architecture", "x86_64"), ""),
        attributes,
    )
    document = {"tags": parse_tags(given.get("tags", ())), "versionInfo": given.get("versionInfo", {})}

    def work() -> Work[Mapping[str, Any]]:
        yield from active(key)
        record = instance_record(key, instance, document)
        before = yield from container_instances.find(key, instance.instance_id)
        if before is None and named is not None:
            raise client_error("The referenced container instance was not found.")
        if before is None:
            require((yield from container_instances.create(record)))
        else:
            require((yield from container_instances.update(replace(record, version=before.version))))
        entered = yield from container_instances.find(key, instance.instance_id)
        assert entered is not None
        return (yield from _described(call, entered))

    return {"containerInstance": await change(call, key, work)}


async def deregister_container_instance(call: Call) -> Answer:
    """Take an engine out; with `force` also one that runs tasks, which are lost to the cluster."""
    key, force = cluster_of(call), call.input.get("force", False)
    named = identifier(call, call.input["containerInstance"], "container-instance", key)

    def work() -> Work[Mapping[str, Any]]:
        yield from active(key)
        record = yield from _find(key, named)
        live = [task for task in (yield from tasks.live(key)) if task.instance == named]
        if live and not force:
            raise invalid("Found running tasks on the instance.")
        gone = _with_status(record, InstanceStatus.INACTIVE)
        shown = yield from _described(call, gone)
        if live:
            require((yield from container_instances.update(gone)))
        else:
            yield from container_instances.delete(key, named)
        return shown

    return {"containerInstance": await change(call, key, work)}


async def update_container_instances_state(call: Call) -> Answer:
    """Place on these instances (ACTIVE), or empty them, replacements first (DRAINING)."""
    key, status = cluster_of(call), call.input["status"]
    if status not in (InstanceStatus.ACTIVE, InstanceStatus.DRAINING):
        raise invalid("Container instance status should be one of [DRAINING, ACTIVE].")
    named = at_most_named(call.input["containerInstances"], "containerInstances", 10)

    def work() -> Work[Answer]:
        yield from active(key)
        shown, failures = [], []
        for text in named:
            instance_id = identifier(call, text, "container-instance", key)
            record = yield from container_instances.find(key, instance_id)
            if record is None:
                failures.append(missing(arns(call).within(key, "container-instance", instance_id)))
                continue
            changed = _with_status(record, InstanceStatus(status))
            require((yield from container_instances.update(changed)))
            shown.append((yield from _described(call, changed)))
        return {"containerInstances": shown, "failures": failures}

    return await change(call, key, work)


async def describe_container_instances(call: Call) -> Answer:
    """Describe the instances of these ids or ARNs."""
    key = await require_cluster(call)
    shown, failures = [], []
    for text in at_most_named(call.input["containerInstances"], "containerInstances"):
        instance_id = identifier(call, text, "container-instance", key)
        record = await database(call).read(container_instances.find(key, instance_id))
        if record is None:
            failures.append(missing(arns(call).within(key, "container-instance", instance_id)))
        else:
            shown.append(await database(call).read(_described(call, record)))
    return {"containerInstances": shown, "failures": failures}


async def list_container_instances(call: Call) -> Answer:
    """The ARNs of instances by status and one attribute, page by page."""
    key, asked = await require_cluster(call), page_of(call)
    wanted = call.input.get("filter")
    if wanted and MEMBER_OF.match(wanted) is None:
        raise unsupported("filter other than one comparison with == or !=")
    placement = Placement(constraints=(("memberOf", wanted),) if wanted else ())
    records = await database(call).read(container_instances.page(key, asked.position, asked.size + 1))
    status = call.input.get("status")
    shown = [
        record
        for record in records[: asked.size]
        if record.status == (status or record.status) and satisfies(as_instance(record), placement, {})
    ]
    return {
        "containerInstanceArns": [arns(call).within(key, "container-instance", record.id) for record in shown],
        "nextToken": call.next_token(records[asked.size - 1].id if len(records) > asked.size else None),
    }


def _find(key: ClusterKey, instance_id: str) -> Work[InstanceRecord]:
    record = yield from container_instances.find(key, instance_id)
    if record is None:
        raise invalid("The referenced container instance was not found.")
    return record


def _with_status(record: InstanceRecord, status: InstanceStatus) -> InstanceRecord:
    return instance_record(record.key, replace(as_instance(record), status=status), record.document)


def _resources(given: Sequence[Mapping[str, Any]]) -> Resources:
    values = {one.get("name", ""): one for one in given}
    ports = {(port, "tcp") for port in _ports(values.get("PORTS", {}))}
    udp = {(port, "udp") for port in _ports(values.get("PORTS_UDP", {}))}
    cpu, memory = (values.get(name, {}).get("integerValue", 0) for name in ("CPU", "MEMORY"))
    return Resources(cpu, memory, frozenset(ports | udp))


def _ports(given: Mapping[str, Any]) -> Sequence[int]:
    texts = given.get("stringSetValue", ())
    if not all(text.isascii() and text.isdigit() and len(text) <= 5 for text in texts):
        raise invalid("Ports are numbers.")
    return [int(text) for text in texts]


def _described(call: Call, record: InstanceRecord) -> Work[Mapping[str, Any]]:
    live = [as_task(task) for task in (yield from tasks.live(record.key)) if task.instance == record.id]
    return _shape(call, record, live)


def _shape(call: Call, record: InstanceRecord, live: Sequence[Task]) -> Mapping[str, Any]:
    instance = as_instance(record)
    remaining = Room.of([instance], live).remaining(instance.instance_id)
    attributes = {**instance.attributes, ENGINE: instance.endpoint}
    with_tags = call.operation == "RegisterContainerInstance" or included(call, "TAGS")
    return {
        "containerInstanceArn": arns(call).within(record.key, "container-instance", record.id),
        "version": record.version,
        "versionInfo": record.document.get("versionInfo", {}),
        "status": instance.status.value,
        "agentConnected": instance.connected,
        "registeredResources": _shown(instance.registered),
        "remainingResources": _shown(remaining),
        "runningTasksCount": sum(task.status is TaskStatus.RUNNING for task in live),
        "pendingTasksCount": sum(task.status < TaskStatus.RUNNING for task in live),
        "attributes": [{"name": name, "value": value} for name, value in sorted(attributes.items())],
        "attachments": [],
        "registeredAt": record.created_at,
        "tags": record.document.get("tags", []) if with_tags else [],
    }


def _shown(resources: Resources) -> Sequence[Mapping[str, Any]]:
    def ports(protocol: str) -> Sequence[str]:
        return [str(port) for port, of in sorted(resources.ports) if of == protocol]

    return [
        {"name": "CPU", "type": "INTEGER", "integerValue": resources.cpu},
        {"name": "MEMORY", "type": "INTEGER", "integerValue": resources.memory},
        {"name": "PORTS", "type": "STRINGSET", "stringSetValue": ports("tcp")},
        {"name": "PORTS_UDP", "type": "STRINGSET", "stringSetValue": ports("udp")},
    ]
