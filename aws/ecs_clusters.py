"""ECS operations on clusters."""

from collections import Counter
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
    parse_tags,
    refuse_unsupported,
    require,
)
from aws.ecs_names import DEFAULT_CLUSTER, arns, cluster_named, cluster_of, invalid, name_checked
from aws.errors import AwsError
from orchestrator.acting import is_local
from storage.metadata import clusters, container_instances, services, tasks
from storage.metadata.clusters import ClusterKey, ClusterRecord
from storage.metadata.container_instances import InstanceRecord
from storage.metadata.database import Work

RUNNING = 4
_KEPT = ("settings", "configuration")
_LAUNCH_TYPES = {"EC2": "EC2", "FARGATE": "Fargate", "EXTERNAL": "External"}
_INSIGHTS = frozenset({"enabled", "disabled", "enhanced"})
_CONTAINS = {
    "ClusterContainsContainerInstancesException": "The Cluster cannot be deleted while Container Instances are active "
    "or draining.",
    "ClusterContainsServicesException": "The Cluster cannot be deleted while Services are active.",
    "ClusterContainsTasksException": "The Cluster cannot be deleted while Tasks are active.",
}


async def create_cluster(call: Call) -> Answer:
    """Make a cluster; the one of that name where there is one."""
    refuse_unsupported(call, "capacityProviders", "defaultCapacityProviderStrategy", "serviceConnectDefaults")
    name = name_checked(call.input.get("clusterName") or DEFAULT_CLUSTER, "clusterName")
    key = ClusterKey(call.account_key, name)
    document = _kept(call)
    document["tags"] = parse_tags(call.input.get("tags", ()))

    def work() -> Work[Mapping[str, Any]]:
        record = (yield from clusters.create(key, document)) or (yield from active(key))
        return (yield from described(call, record))

    return {"cluster": await change(call, key, work)}


async def describe_clusters(call: Call) -> Answer:
    """Describe the clusters of these names, without any the default one."""
    named = at_most_named(call.input.get("clusters") or [DEFAULT_CLUSTER], "clusters")
    found, failures = [], []
    for text in named:
        key = cluster_named(call, text)
        record = await database(call).read(clusters.find(key))
        if record is None:
            failures.append(missing(arns(call).cluster(key)))
        else:
            found.append(await database(call).read(described(call, record)))
    return {"clusters": found, "failures": failures}


async def list_clusters(call: Call) -> Answer:
    """The ARNs of all active clusters, page by page."""
    asked = page_of(call)
    records = await database(call).read(clusters.page(call.account_key, asked.position, asked.size + 1))
    shown = records[: asked.size]
    more = shown[-1].key.cluster if len(records) > asked.size else None
    return {"clusterArns": [arns(call).cluster(record.key) for record in shown], "nextToken": call.next_token(more)}


async def delete_cluster(call: Call) -> Answer:
    """Delete a cluster that is empty; it stays to be described as INACTIVE."""
    key = cluster_of(call)

    def work() -> Work[Mapping[str, Any]]:
        record = yield from active(key)
        holds = (
            [one for one in (yield from container_instances.page(key, "", 1000)) if _is_in_the_way(one)],
            (yield from services.page(key, "", 1)),
            (yield from tasks.live(key, 1)),
        )
        for contents, (code, text) in zip(holds, _CONTAINS.items(), strict=True):
            if contents:
                raise AwsError(code, text)
        require((yield from clusters.update(replace(record, status=clusters.INACTIVE))))
        return (yield from described(call, replace(record, status=clusters.INACTIVE)))

    return {"cluster": await change(call, key, work)}


def _is_in_the_way(instance: InstanceRecord) -> bool:
    """Whether somebody registered it: the local engine, which the cluster got by itself, waits for its next one."""
    return instance.status != "INACTIVE" and not is_local(instance)


async def update_cluster(call: Call) -> Answer:
    """Change a cluster's settings or configuration."""
    refuse_unsupported(call, "serviceConnectDefaults")
    return await _update(call)


async def update_cluster_settings(call: Call) -> Answer:
    """Change a cluster's settings."""
    return await _update(call)


async def _update(call: Call) -> Answer:
    key = cluster_of(call)
    changes = _kept(call)

    def work() -> Work[Mapping[str, Any]]:
        record = yield from active(key)
        changed = replace(record, document={**record.document, **changes})
        require((yield from clusters.update(changed)))
        return (yield from described(call, changed))

    return {"cluster": await change(call, key, work)}


def _kept(call: Call) -> dict[str, Any]:
    """What a cluster keeps of what is given. AwsError."""
    settings = call.input.get("settings", ())
    values = [one.get("value") for one in settings]
    if len(values) > 1 or not set(values) <= _INSIGHTS:
        raise invalid(f"settings: containerInsights is one of {', '.join(sorted(_INSIGHTS))}, and there once.")
    return {member: call.input[member] for member in _KEPT if member in call.input}


def _statistics(key: ClusterKey) -> Work[list[Mapping[str, str]]]:
    """Tasks and services by the launch type that was asked for; AWS gives the numbers as text."""
    counted = Counter(
        f"{'running' if task.status == RUNNING else 'pending'}{_launch_type(task.document)}TasksCount"
        for task in (yield from tasks.live(key))
        if task.status <= RUNNING
    )
    counted += Counter(
        f"{service.status.lower()}{_launch_type(service.document)}ServiceCount"
        for service in (yield from services.page(key, "", 1000))
    )
    names = [f"{state}{kind}TasksCount" for kind in _LAUNCH_TYPES.values() for state in ("running", "pending")]
    names += [f"{state}{kind}ServiceCount" for kind in _LAUNCH_TYPES.values() for state in ("active", "draining")]
    return [{"name": name, "value": str(counted[name])} for name in names]


def _launch_type(document: Mapping[str, Any]) -> str:
    return _LAUNCH_TYPES.get(document.get("launchType") or "EC2", "EC2")


def described(call: Call, record: ClusterRecord) -> Work[Mapping[str, Any]]:
    """The cluster as ECS shows it."""
    key, document = record.key, record.document
    counts = yield from tasks.counts(key)
    instances = yield from container_instances.page(key, "", 1000)
    of_cluster = yield from services.page(key, "", 1000)
    shown: dict[str, Any] = {
        "clusterArn": arns(call).cluster(key),
        "clusterName": key.cluster,
        "status": record.status,
        "registeredContainerInstancesCount": sum(one.status != "INACTIVE" for one in instances),
        "runningTasksCount": sum(number for (_, status), number in counts.items() if status == RUNNING),
        "pendingTasksCount": sum(number for (_, status), number in counts.items() if status < RUNNING),
        "activeServicesCount": sum(one.status == "ACTIVE" for one in of_cluster),
        "statistics": (yield from _statistics(key)) if included(call, "STATISTICS") else [],
        "tags": [],
        "settings": [],
        "capacityProviders": [],
        "defaultCapacityProviderStrategy": [],
    }
    creating = call.operation != "DescribeClusters"
    if creating or included(call, "TAGS"):
        shown["tags"] = document.get("tags", [])
    if creating or included(call, "SETTINGS"):
        shown["settings"] = document.get("settings", [])
    if (creating or included(call, "CONFIGURATIONS")) and "configuration" in document:
        shown["configuration"] = document["configuration"]
    return shown
