"""What holds for every ECS operation: it succeeds, what it changes is in the audit trail, and it knows its cluster."""

import json
import urllib.parse
from typing import Any

import pytest
from botocore import xform_name

from aws.ecs_operations import ECS
from tests.aws.clients import refused
from tests.aws.ecs_calls import ELSEWHERE, IN_CLUSTER, request
from tests.aws.ecs_facts import Ecs

READS = ("Describe", "List")


def trail(ecs: Ecs, action: str) -> list[dict[str, Any]]:
    """The latest records of an action, the very latest first."""
    query = urllib.parse.urlencode({"action": action, "n": 20})
    records: list[dict[str, Any]] = json.loads(ecs.front.served.done("GET", f"/audit?{query}").body)["records"]
    return records


def target(operation: str, cluster: str, given: Any) -> str:
    """Whom the audit trail has an operation done to."""
    arns = [
        given.get(name) for name in ("resourceArn", "serviceDeploymentArn", "service", "task") if name in given
    ] or (given["containerInstances"] if operation == "UpdateContainerInstancesState" else [])
    if arns:
        return str(arns[0]).split(":", 5)[-1]
    if "serviceName" in given:
        return f"service/{cluster}/{given['serviceName']}"
    if "AccountSetting" in operation:
        return f"account-setting/{given['name']}"
    definition: str = given.get("family") or given.get("taskDefinition") or (given.get("taskDefinitions") or [""])[0]
    if definition:
        return f"task-definition/{definition if ':' in definition else f'{definition}:*'}"
    return f"cluster/{cluster}"


def test_every_operation_has_a_request() -> None:
    assert sorted([*IN_CLUSTER, *ELSEWHERE]) == sorted(ECS)


@pytest.mark.parametrize("operation", sorted(ECS))
def test_what_changes_anything_and_nothing_else_leaves_a_line_in_the_audit_trail(ecs: Ecs, operation: str) -> None:
    cluster = ecs.cluster(instances=0)
    given = request(ecs, operation, cluster)
    before = {one["id"] for one in trail(ecs, operation)}
    answer = getattr(ecs.client, xform_name(operation))(**given)
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 200
    records = trail(ecs, operation)
    if operation.startswith(READS):
        assert records == []
        return
    [record, *_] = added = [one for one in records if one["id"] > max(before, default=0)]
    assert len(added) == 1
    assert (record["actor"], record["target"]) == ("user/admin", target(operation, cluster, given))
    tasks = [task["taskArn"].split(":", 5)[-1] for task in answer.get("tasks", ())]
    assert record["detail"].get("tasks", []) == tasks


def test_what_is_refused_leaves_none(ecs: Ecs) -> None:
    cluster = ecs.cluster()
    before = trail(ecs, "DeleteCluster")
    assert refused(ecs.client.delete_cluster, cluster=cluster)[0] == "ClusterContainsContainerInstancesException"
    assert trail(ecs, "DeleteCluster") == before
