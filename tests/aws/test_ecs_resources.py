"""The resources of ECS's actions, and the cluster that conditions may ask for: both from the request alone."""

from types import SimpleNamespace
from typing import Any

import pytest

from aws.ecs_operations import ECS
from aws.models import load_service

OWN = "arn:aws:ecs:us-east-1:000000000000:"
OPERATIONS = load_service("ecs").operations
IN_NONE = {
    *("DeleteAccountSetting", "ListAccountSettings", "PutAccountSetting", "PutAccountSettingDefault"),
    *("DeleteTaskDefinitions", "DeregisterTaskDefinition", "DescribeTaskDefinition", "RegisterTaskDefinition"),
    *("ListTaskDefinitionFamilies", "ListTaskDefinitions", "ListClusters"),
}
"""Operations on nothing that is in a cluster."""
GIVEN: dict[str, Any] = {
    "cluster": "blue",
    "clusterName": "blue",
    "clusters": [f"{OWN}cluster/blue"],
    "containerInstances": ["one"],
    "containerInstance": "one",
    "resourceArn": "arn:aws:ecs:eu-west-1:000000000000:service/blue/web",
    "service": "web",
    "serviceDeploymentArn": f"{OWN}service-deployment/blue/web/1",
    "serviceDeploymentArns": [f"{OWN}service-deployment/blue/web/1"],
    "serviceName": "web",
    "serviceRevisionArns": [f"{OWN}service-revision/blue/web/1"],
    "services": [f"{OWN}service/blue/web"],
    "task": f"{OWN}task/blue/{32 * 'a'}",
    "tasks": [32 * "a"],
    "taskDefinition": "web:1",
}


def contexts(operation: str, **given: Any) -> list[str | None]:
    """The cluster that policies are told of, for each resource of a request."""
    members = OPERATIONS[operation].input_shape.members
    asked = {name: value for name, value in GIVEN.items() if name in members} | given
    parts = SimpleNamespace(region="us-east-1", account="000000000000")
    call: Any = SimpleNamespace(input=asked, parts=parts, account="000000000000", account_key="")
    return [ECS[operation].context(call, one).get("ecs:cluster") for one in ECS[operation].resources(call)]


@pytest.mark.parametrize("operation", sorted(set(ECS) - IN_NONE))
def test_every_operation_on_a_cluster_or_in_one_says_which_it_is(operation: str) -> None:
    assert contexts(operation) == [f"{OWN}cluster/blue"]


def test_resources_of_several_clusters_have_each_its_own() -> None:
    arns = [f"{OWN}service-deployment/{cluster}/web/1" for cluster in ("blue", "green")]
    assert contexts("DescribeServiceDeployments", serviceDeploymentArns=arns) == [
        f"{OWN}cluster/blue",
        f"{OWN}cluster/green",
    ]


def test_what_is_in_no_cluster_says_none() -> None:
    assert contexts("TagResource", resourceArn=f"{OWN}task-definition/web:1") == [None]
    assert contexts("TagResource", resourceArn="nonsense") == [None]
    assert contexts("TagResource", resourceArn=f"{OWN}cluster/blue") == [f"{OWN}cluster/blue"]
