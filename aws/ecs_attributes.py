"""ECS operations on the attributes of container instances, which placement constraints and strategies ask for."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import groupby

from aws.call import Answer, Call
from aws.ecs_asking import active, change, database, page_of, require
from aws.ecs_instances import ENGINE
from aws.ecs_names import arns, cluster_of, identifier, invalid
from aws.errors import AwsError
from orchestrator.records import as_instance, instance_record
from storage.metadata import container_instances
from storage.metadata.clusters import ClusterKey
from storage.metadata.database import Work

Attribute = Mapping[str, str]
Change = Callable[[dict[str, str], Sequence[Attribute]], dict[str, str]]
"""What an instance's attributes become by those that are given."""
MOST_AT_ONCE = 10
MOST_OF_ONE = 64
MOST_INSTANCES = 1000
_NAME = re.compile(r"[A-Za-z0-9_./\\-]{1,128}")
_VALUE = re.compile(r"[A-Za-z0-9_./\\:@ -]{0,128}")


async def put_attributes(call: Call) -> Answer:
    """Give instances attributes, or attributes other values."""
    return await _change(call, lambda before, given: before | {one["name"]: one.get("value", "") for one in given})


async def delete_attributes(call: Call) -> Answer:
    """Take attributes from instances; those that are not there are no error."""

    def without(before: dict[str, str], given: Sequence[Attribute]) -> dict[str, str]:
        names = {one["name"] for one in given}
        return {name: value for name, value in before.items() if name not in names}

    return await _change(call, without)


async def list_attributes(call: Call) -> Answer:
    """The attributes of a cluster's instances, of one name or value where that is asked for, page by page."""
    key, asked, given = cluster_of(call), page_of(call), call.input
    name, value = given.get("attributeName"), given.get("attributeValue")

    def work() -> Work[list[tuple[str, str, str]]]:
        yield from active(key)
        records = yield from container_instances.page(key, "", MOST_INSTANCES)
        instances = [as_instance(record) for record in records if record.status != "INACTIVE"]
        return [
            (instance.instance_id, found, said)
            for instance in instances
            for found, said in sorted({**instance.attributes, ENGINE: instance.endpoint}.items())
            if name in (None, found) and value in (None, said)
        ]

    found = [one for one in await database(call).read(work()) if f"{one[0]}/{one[1]}" > asked.position]
    shown = found[: asked.size]
    more = f"{shown[-1][0]}/{shown[-1][1]}" if len(found) > asked.size else None
    listed = [_shown(call, key, *one) for one in sorted(shown)]
    return {"attributes": listed, "nextToken": call.next_token(more)}


async def _change(call: Call, become: Change) -> Answer:
    key = cluster_of(call)
    given = [_checked(one) for one in call.input["attributes"]]
    if len(given) > MOST_AT_ONCE:
        raise invalid(f"attributes can have at most {MOST_AT_ONCE} items.")
    by_target = [
        (identifier(call, target, "container-instance", key), list(several))
        for target, several in groupby(sorted(given, key=_target), key=_target)
    ]

    def work() -> Work[None]:
        yield from active(key)
        for instance_id, several in by_target:
            record = yield from container_instances.find(key, instance_id)
            if record is None:
                raise AwsError("TargetNotFoundException", f"There is no container instance {instance_id[:64]}.")
            instance = as_instance(record)
            attributes = become(dict(instance.attributes), several)
            if len(attributes) > MOST_OF_ONE:
                text = f"A container instance has at most {MOST_OF_ONE} attributes."
                raise AwsError("AttributeLimitExceededException", text)
            changed = instance_record(key, replace(instance, attributes=attributes), record.document)
            require((yield from container_instances.update(replace(changed, version=record.version))))

    await change(call, key, work)
    return {"attributes": given}


def _target(attribute: Attribute) -> str:
    return attribute["targetId"]


def _checked(attribute: Attribute) -> Attribute:
    name, value = attribute["name"], attribute.get("value", "")
    if not attribute.get("targetId"):
        raise invalid("targetId is needed: the container instance's id or ARN.")
    if _NAME.fullmatch(name) is None or _VALUE.fullmatch(value) is None:
        raise invalid("Names and values of attributes have up to 128 letters, numbers, hyphens, underscores and ./\\.")
    if name == ENGINE or name.startswith("ecs."):
        raise invalid(f"The attribute {name} is the instance's own: register it anew to change it.")
    return attribute


def _shown(call: Call, key: ClusterKey, instance_id: str, name: str, value: str) -> Attribute:
    arn = arns(call).within(key, "container-instance", instance_id)
    return {"name": name, "value": value, "targetType": "container-instance", "targetId": arn}
