"""Requests that are odd, and what ECS says of them: nothing is silently left out."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.aws.clients import refused
from tests.aws.ecs_facts import ARN, Ecs, unique

INVALID = "InvalidParameterException"


@pytest.fixture(scope="module")
def cluster(ecs: Ecs) -> str:
    """One for the requests that change nothing."""
    return ecs.cluster()


IN_CLUSTER = {
    "describe_tasks": "tasks",
    "describe_services": "services",
    "describe_container_instances": "containerInstances",
}
EMPTY = IN_CLUSTER | {
    "delete_task_definitions": "taskDefinitions",
    "describe_service_deployments": "serviceDeploymentArns",
    "describe_service_revisions": "serviceRevisionArns",
}


@pytest.mark.parametrize("operation", sorted(EMPTY))
def test_a_list_that_is_needed_is_not_empty(ecs: Ecs, cluster: str, operation: str) -> None:
    name = EMPTY[operation]
    where = {"cluster": cluster} if operation in IN_CLUSTER else {}
    assert refused(getattr(ecs.client, operation), **where, **{name: []}) == (INVALID, f"{name} cannot be empty.")


REFUSED: dict[str, tuple[Callable[[Any, str, str], Any], str, str]] = {
    "a group of a service": (
        lambda client, cluster, family: refused(
            client.run_task, cluster=cluster, taskDefinition=family, group="service:web"
        ),
        INVALID,
        "namespace for group",
    ),
    "the tags of no service": (
        lambda client, cluster, family: refused(
            client.run_task, cluster=cluster, taskDefinition=family, propagateTags="SERVICE"
        ),
        INVALID,
        "propagateTags",
    ),
    "an expression of distinctInstance": (
        lambda client, cluster, family: refused(
            client.run_task, cluster=cluster, taskDefinition=family,
            placementConstraints=[{"type": "distinctInstance", "expression": "attribute:a == b"}],
        ),
        INVALID,
        "takes no expression",
    ),
    "a role of load balancers": (
        lambda client, cluster, family: refused(
            client.create_service, cluster=cluster, serviceName="web", taskDefinition=family, desiredCount=1,
            role="ecsServiceRole",
        ),
        "UnsupportedFeatureException",
        "role is not supported",
    ),
    "a strategy of a daemon": (
        lambda client, cluster, family: refused(
            client.create_service, cluster=cluster, serviceName="web", taskDefinition=family,
            schedulingStrategy="DAEMON", placementStrategy=[{"type": "random"}],
        ),
        INVALID,
        "placement strategy",
    ),
    "a setting of a cluster that is none": (
        lambda client, cluster, family: refused(
            client.create_cluster, clusterName="odd", settings=[{"name": "containerInsights", "value": "loud"}]
        ),
        INVALID,
        "containerInsights is one of disabled, enabled, enhanced",
    ),
    "a value of an account setting that is none": (
        lambda client, cluster, family: refused(client.put_account_setting, name="awsvpcTrunking", value="maybe"),
        INVALID,
        "awsvpcTrunking is one of disabled, enabled",
    ),
    "a tag twice": (
        lambda client, cluster, family: refused(
            client.tag_resource, resourceArn=f"{ARN}cluster/{cluster}",
            tags=[{"key": "a", "value": "1"}, {"key": "a", "value": "2"}],
        ),
        INVALID,
        "Duplicate tag keys",
    ),
    "a constraint that is not understood": (
        lambda client, cluster, family: refused(
            client.register_task_definition, family=family,
            containerDefinitions=[{"name": "app", "image": "example.org/app:1", "memory": 64}],
            placementConstraints=[{"type": "memberOf", "expression": "attribute:zone in [a, b]"}],
        ),
        "ClientException",
        "placementConstraints.expression",
    ),
    "an engine that is nowhere": (
        lambda client, cluster, family: refused(
            client.register_container_instance, cluster=cluster,
            attributes=[{"name": "engine", "value": "http://engine.example"}],
        ),
        INVALID,
        "tcp+tls://",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", sorted(REFUSED))
def test_what_can_not_be_is_refused_by_name(ecs: Ecs, cluster: str, what: str) -> None:
    ask, code, words = REFUSED[what]
    said = ask(ecs.client, cluster, ecs.definition())
    assert said[0] == code
    assert words in said[1]


def test_a_cluster_counts_its_tasks_and_services_where_it_is_asked_to(ecs: Ecs) -> None:
    client, cluster, family = ecs.client, ecs.cluster(), ecs.definition()
    client.create_service(cluster=cluster, serviceName="web", taskDefinition=family, desiredCount=1)
    client.run_task(cluster=cluster, taskDefinition=family, launchType="FARGATE")
    ecs.launch(cluster, "web", 2)
    client.update_cluster_settings(cluster=cluster, settings=[{"name": "containerInsights", "value": "enabled"}])
    [plain] = client.describe_clusters(clusters=[cluster])["clusters"]
    assert (plain["statistics"], plain["settings"]) == ([], [])
    [shown] = client.describe_clusters(clusters=[cluster], include=["STATISTICS", "SETTINGS"])["clusters"]
    counted = {one["name"]: one["value"] for one in shown["statistics"] if one["value"] != "0"}
    assert counted == {
        "runningEC2TasksCount": "2",
        "pendingFargateTasksCount": "1",
        "activeEC2ServiceCount": "1",
    }
    assert shown["settings"] == [{"name": "containerInsights", "value": "enabled"}]


def test_no_task_is_wanted_pending_and_no_service_is_of_ecs_itself(ecs: Ecs) -> None:
    client, cluster, family = ecs.client, ecs.cluster(), ecs.definition()
    client.run_task(cluster=cluster, taskDefinition=family)
    assert len(client.list_tasks(cluster=cluster, desiredStatus="RUNNING")["taskArns"]) == 1
    assert client.list_tasks(cluster=cluster, desiredStatus="PENDING")["taskArns"] == []
    made = client.create_service(cluster=cluster, serviceName="web", taskDefinition=family, desiredCount=1)["service"]
    assert made["availabilityZoneRebalancing"] == "DISABLED"
    listed = [client.list_services(cluster=cluster, resourceManagementType=kind) for kind in ("CUSTOMER", "ECS")]
    assert [one["serviceArns"] for one in listed] == [[made["serviceArn"]], []]


def test_what_is_gone_gets_no_tags(ecs: Ecs) -> None:
    client, name = ecs.client, unique("cluster")
    arn = client.create_cluster(clusterName=name)["cluster"]["clusterArn"]
    client.delete_cluster(cluster=name)
    code, text = refused(client.tag_resource, resourceArn=arn, tags=[{"key": "a", "value": "b"}])
    assert (code, text) == (INVALID, "The specified cluster is inactive. Specify an active cluster and try again.")


def test_an_engine_behind_tls_is_registered(ecs: Ecs) -> None:
    attributes = [{"name": "engine", "value": "tcp+tls://engine.example:2376"}]
    made = ecs.client.register_container_instance(cluster=ecs.cluster(instances=0), attributes=attributes)
    assert made["containerInstance"]["attributes"] == attributes


def test_what_a_definition_asks_of_its_instance_holds_for_whoever_runs_it(ecs: Ecs) -> None:
    client, cluster, family = ecs.client, ecs.cluster(), unique("family")
    north = [{"type": "memberOf", "expression": "attribute:rack == north"}]
    container = {"name": "app", "image": "example.org/app:1", "memory": 64}
    client.register_task_definition(family=family, containerDefinitions=[container], placementConstraints=north)
    failures = client.run_task(cluster=cluster, taskDefinition=family)["failures"]
    assert [one["reason"] for one in failures] == ["CONSTRAINT"]
