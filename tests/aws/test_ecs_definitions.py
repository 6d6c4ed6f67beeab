"""Clusters, task definitions, instances, tags, settings and rights over boto3."""

from typing import Any

import pytest

from orchestrator.acting import LocalEngine, furnish
from orchestrator.state import Resources
from storage.metadata.clusters import ClusterKey
from tests.aws.clients import refused
from tests.aws.ecs_facts import ARN, Ecs, unique
from tests.orchestrator.test_parsing import FULL
from tests.security.secured import statement


def test_a_cluster_is_made_described_changed_and_deleted(ecs: Ecs) -> None:
    client, name = ecs.client, unique("cluster")
    tags = [{"key": "team", "value": "a"}]
    made = client.create_cluster(clusterName=name, tags=tags)["cluster"]
    assert (made["clusterArn"], made["status"], made["tags"]) == (f"{ARN}cluster/{name}", "ACTIVE", tags)
    assert client.create_cluster(clusterName=name)["cluster"]["tags"] == tags
    settings = [{"name": "containerInsights", "value": "enabled"}]
    client.update_cluster_settings(cluster=name, settings=settings)
    client.update_cluster(cluster=name, configuration={"executeCommandConfiguration": {"logging": "NONE"}})
    answer = client.describe_clusters(clusters=[name, "absent"], include=["TAGS", "SETTINGS", "CONFIGURATIONS"])
    [shown], [failure] = answer["clusters"], answer["failures"]
    assert (shown["settings"], shown["tags"]) == (settings, tags)
    assert shown["configuration"] == {"executeCommandConfiguration": {"logging": "NONE"}}
    assert failure == {"arn": f"{ARN}cluster/absent", "reason": "MISSING"}
    assert made["clusterArn"] in {
        arn for page in client.get_paginator("list_clusters").paginate() for arn in page["clusterArns"]
    }
    assert client.delete_cluster(cluster=made["clusterArn"])["cluster"]["status"] == "INACTIVE"
    assert client.describe_clusters(clusters=[name])["clusters"][0]["status"] == "INACTIVE"
    assert refused(client.delete_cluster, cluster=name) == ("ClusterNotFoundException", "Cluster not found.")
    assert client.create_cluster(clusterName=name)["cluster"]["tags"] == []


def test_a_cluster_with_anything_in_it_is_not_deleted(ecs: Ecs) -> None:
    client, cluster, family = ecs.client, ecs.cluster(), ecs.definition()
    assert refused(client.delete_cluster, cluster=cluster)[0] == "ClusterContainsContainerInstancesException"
    task = client.run_task(cluster=cluster, taskDefinition=family)["tasks"][0]
    client.deregister_container_instance(cluster=cluster, containerInstance=task["containerInstanceArn"], force=True)
    [shown] = client.describe_clusters(clusters=[cluster])["clusters"]
    assert (shown["registeredContainerInstancesCount"], shown["pendingTasksCount"]) == (0, 1)


def test_the_engine_that_a_cluster_got_by_itself_does_not_hold_it_back(ecs: Ecs) -> None:
    client, cluster = ecs.client, ecs.cluster(instances=0)
    assert ecs.write(lambda: furnish(ClusterKey("", cluster), LocalEngine("unix:///nowhere")))
    assert len(client.list_container_instances(cluster=cluster)["containerInstanceArns"]) == 1
    assert client.delete_cluster(cluster=cluster)["cluster"]["status"] == "INACTIVE"


def test_a_task_definition_comes_back_whole(ecs: Ecs) -> None:
    client, family = ecs.client, unique("family")
    given = FULL | {"family": family, "ephemeralStorage": {"sizeInGiB": 30}, "taskRoleArn": "arn:aws:iam::1:role/a"}
    tags = [{"key": "a", "value": "b"}]
    made = client.register_task_definition(**given, tags=tags)
    shown = client.describe_task_definition(taskDefinition=family, include=["TAGS"])
    assert shown["taskDefinition"] == made["taskDefinition"]
    assert shown["tags"] == made["tags"] == tags
    definition = shown["taskDefinition"]
    assert (definition["taskDefinitionArn"], definition["status"]) == (f"{ARN}task-definition/{family}:1", "ACTIVE")
    for name, value in given.items():
        if name != "containerDefinitions":
            assert definition[name] == value, name
    for before, after in zip(given["containerDefinitions"], definition["containerDefinitions"], strict=True):
        assert {name: value for name, value in after.items() if name in before and name != "portMappings"} == {
            name: value for name, value in before.items() if name != "portMappings"
        }
    again = client.register_task_definition(**{name: value for name, value in definition.items() if name in given})[
        "taskDefinition"
    ]
    assert again["revision"] == 2
    assert again["containerDefinitions"] == definition["containerDefinitions"]


def test_a_revision_is_deregistered_and_deleted(ecs: Ecs) -> None:
    client, family = ecs.client, ecs.definition()
    [refusal] = client.delete_task_definitions(taskDefinitions=[f"{family}:1"])["failures"]
    assert "ACTIVE" in refusal["reason"]
    gone = client.deregister_task_definition(taskDefinition=f"{family}:1")["taskDefinition"]
    assert (gone["status"], "deregisteredAt" in gone) == ("INACTIVE", True)
    assert refused(client.describe_task_definition, taskDefinition=family) == (
        "ClientException",
        "Unable to describe task definition.",
    )
    assert client.describe_task_definition(taskDefinition=f"{family}:1")["taskDefinition"]["status"] == "INACTIVE"
    [deleted] = client.delete_task_definitions(taskDefinitions=[f"{family}:1"])["taskDefinitions"]
    assert deleted["status"] == "DELETE_IN_PROGRESS"
    assert refused(client.describe_task_definition, taskDefinition=f"{family}:1")[0] == "ClientException"
    container = {"name": "app", "image": "example.org/app:1", "memory": 64}
    made = client.register_task_definition(family=family, containerDefinitions=[container])
    assert made["taskDefinition"]["revision"] == 2


def test_revisions_and_families_are_listed_by_pages_prefix_and_status(ecs: Ecs) -> None:
    client, prefix = ecs.client, unique("listed")
    container = {"name": "app", "image": "example.org/app:1", "memory": 64}
    for family in ("a", "b", "a"):
        client.register_task_definition(family=f"{prefix}{family}", containerDefinitions=[container])

    def listed(operation: str, key: str, **more: Any) -> list[str]:
        paging = {"PageSize": 2}
        pages = client.get_paginator(operation).paginate(familyPrefix=prefix, PaginationConfig=paging, **more)
        return [entry.rpartition("/")[2].removeprefix(prefix) for page in pages for entry in page[key]]

    assert listed("list_task_definitions", "taskDefinitionArns") == ["a:1", "a:2", "b:1"]
    assert listed("list_task_definitions", "taskDefinitionArns", sort="DESC") == ["b:1", "a:2", "a:1"]
    client.deregister_task_definition(taskDefinition=f"{prefix}b:1")
    assert listed("list_task_definitions", "taskDefinitionArns", status="INACTIVE") == ["b:1"]
    assert listed("list_task_definition_families", "families", status="ACTIVE") == ["a"]
    assert listed("list_task_definition_families", "families") == ["a", "b"]


def test_a_definition_that_can_not_run_is_refused_in_words(ecs: Ecs) -> None:
    register = ecs.client.register_task_definition
    bare = [{"name": "app", "image": "example.org/app:1"}]
    assert refused(register, family="bad", containerDefinitions=bare) == (
        "ClientException",
        "Invalid setting for container 'app'. At least one of 'memory' or 'memoryReservation' must be specified.",
    )
    code, text = refused(
        register, family="bad", containerDefinitions=[bare[0] | {"memory": 64, "credentialSpecs": ["a"]}]
    )
    assert (code, "containerDefinitions.credentialSpecs is not supported" in text) == ("ClientException", True)


def test_an_instance_is_registered_drained_and_taken_out(ecs: Ecs) -> None:
    client, cluster = ecs.client, ecs.cluster(instances=0)
    code, text = refused(client.register_container_instance, cluster=cluster)
    assert (code, "engine" in text) == ("InvalidParameterException", True)
    arn = ecs.instance(cluster, Resources(1024, 512), zone="a")
    client.run_task(cluster=cluster, taskDefinition=ecs.definition())
    [shown] = client.describe_container_instances(cluster=cluster, containerInstances=[arn])["containerInstances"]
    remaining = {one["name"]: one.get("integerValue") for one in shown["remainingResources"]}
    assert (remaining["MEMORY"], shown["agentConnected"], shown["pendingTasksCount"]) == (448, True, 1)
    listed = client.list_container_instances(cluster=cluster, filter="attribute:zone == a")
    assert listed["containerInstanceArns"] == [arn]
    other = client.list_container_instances(cluster=cluster, filter="attribute:zone == b")
    assert other["containerInstanceArns"] == []
    client.update_container_instances_state(cluster=cluster, containerInstances=[arn], status="DRAINING")
    failures = client.run_task(cluster=cluster, taskDefinition=ecs.definition())["failures"]
    assert [one["reason"] for one in failures] == ["STATUS"]
    assert refused(client.deregister_container_instance, cluster=cluster, containerInstance=arn) == (
        "InvalidParameterException",
        "Found running tasks on the instance.",
    )
    gone = client.deregister_container_instance(cluster=cluster, containerInstance=arn, force=True)
    assert gone["containerInstance"]["status"] == "INACTIVE"


def test_attributes_are_given_listed_and_taken_and_placement_goes_by_them(ecs: Ecs) -> None:
    client, cluster = ecs.client, ecs.cluster(instances=0)
    first, second = (ecs.instance(cluster, Resources(1024, 512)) for _ in range(2))
    rack = {"name": "rack", "value": "north", "targetId": first}
    assert client.put_attributes(cluster=cluster, attributes=[rack])["attributes"] == [rack]
    listed = client.list_attributes(cluster=cluster, targetType="container-instance", attributeName="rack")
    assert listed["attributes"] == [{**rack, "targetType": "container-instance"}]
    pages = client.get_paginator("list_attributes").paginate(
        cluster=cluster, targetType="container-instance", PaginationConfig={"PageSize": 1}
    )
    found = [(one["name"], one["targetId"]) for page in pages for one in page["attributes"]]
    assert sorted(found) == sorted([("engine", first), ("rack", first), ("engine", second)])
    north = [{"type": "memberOf", "expression": "attribute:rack == north"}]
    [task] = client.run_task(cluster=cluster, taskDefinition=ecs.definition(), placementConstraints=north)["tasks"]
    assert task["containerInstanceArn"] == first
    client.delete_attributes(cluster=cluster, attributes=[{"name": "rack", "targetId": first}])
    failed = client.run_task(cluster=cluster, taskDefinition=ecs.definition(), placementConstraints=north)
    assert {one["reason"] for one in failed["failures"]} == {"CONSTRAINT"}
    for wrong, code in (
        ({"name": "rack"}, "InvalidParameterException"),
        ({"name": "engine", "value": "unix:///x", "targetId": first}, "InvalidParameterException"),
        ({"name": "rack", "targetId": "absent"}, "TargetNotFoundException"),
    ):
        assert refused(client.put_attributes, cluster=cluster, attributes=[wrong])[0] == code


def test_tags_of_every_kind_of_resource_are_set_listed_and_removed(ecs: Ecs) -> None:
    client, cluster, family = ecs.client, ecs.cluster(instances=0), ecs.definition()
    instance = ecs.instance(cluster, Resources(1024, 512))
    task = client.run_task(cluster=cluster, taskDefinition=family)["tasks"][0]["taskArn"]
    service = client.create_service(cluster=cluster, serviceName="web", taskDefinition=family, desiredCount=0)
    arns = [f"{ARN}cluster/{cluster}", f"{ARN}task-definition/{family}:1", instance, task]
    for arn in [*arns, service["service"]["serviceArn"]]:
        client.tag_resource(resourceArn=arn, tags=[{"key": "a", "value": "1"}, {"key": "b", "value": "2"}])
        client.untag_resource(resourceArn=arn, tagKeys=["a"])
        assert client.list_tags_for_resource(resourceArn=arn)["tags"] == [{"key": "b", "value": "2"}]
    assert refused(client.list_tags_for_resource, resourceArn=f"{ARN}task/{cluster}/absent")[0] == (
        "ResourceNotFoundException"
    )
    assert refused(client.tag_resource, resourceArn="nonsense", tags=[])[0] == "InvalidParameterException"


def test_account_settings_hold_for_a_principal_or_for_all(ecs: Ecs) -> None:
    client = ecs.client
    client.put_account_setting_default(name="containerInsights", value="enabled")
    effective = client.list_account_settings(name="containerInsights", effectiveSettings=True)["settings"]
    assert [one["value"] for one in effective] == ["enabled"]
    client.put_account_setting(name="containerInsights", value="enhanced")
    assert [one["value"] for one in client.list_account_settings(name="containerInsights")["settings"]] == ["enhanced"]
    client.delete_account_setting(name="containerInsights")
    assert client.list_account_settings(name="containerInsights")["settings"] == []
    assert refused(client.put_account_setting, name="taskLongArnFormat", value="disabled")[0] == (
        "InvalidParameterException"
    )


def test_policies_decide_by_action_resource_and_cluster(ecs: Ecs) -> None:
    cluster, other, family = ecs.cluster(), ecs.cluster(), ecs.definition()
    here = {"ArnEquals": {"ecs:cluster": f"{ARN}cluster/{cluster}"}}
    ecs.front.served.done("PUT", f"/policies/{cluster}", statement(["ecs:RunTask"], "*", Condition=here))
    client = ecs.user(cluster)
    assert client.run_task(cluster=cluster, taskDefinition=family)["failures"] == []
    code, text = refused(client.run_task, cluster=other, taskDefinition=family)
    assert (code, f"ecs:RunTask on resource: {ARN}task-definition/{family}:*" in text) == (
        "AccessDeniedException",
        True,
    )
    assert refused(client.describe_clusters, clusters=[cluster])[0] == "AccessDeniedException"
    full = ecs.user("AmazonECS_FullAccess")
    assert len(full.describe_clusters(clusters=[cluster, other])["clusters"]) == 2


def test_accounts_have_clusters_of_their_own(ecs: Ecs) -> None:
    cluster = ecs.cluster()
    other = ecs.front.client("000000000042", "test", service="ecs")
    assert other.describe_clusters(clusters=[cluster])["clusters"] == []
    made = other.create_cluster(clusterName=cluster)["cluster"]
    assert made["clusterArn"] == f"arn:aws:ecs:us-east-1:000000000042:cluster/{cluster}"
    assert refused(other.describe_clusters, clusters=[f"{ARN}cluster/{cluster}"])[0] == "AccessDeniedException"
    assert other.delete_cluster(cluster=cluster)["cluster"]["status"] == "INACTIVE"
    assert ecs.client.describe_clusters(clusters=[cluster])["clusters"][0]["status"] == "ACTIVE"


@pytest.mark.parametrize("operation", ["create_capacity_provider", "discover_poll_endpoint"])
def test_operations_that_are_not_served_say_so_by_name(ecs: Ecs, operation: str) -> None:
    given = {"name": "a"} if operation == "create_capacity_provider" else {}
    code, text = refused(getattr(ecs.client, operation), **given)
    assert code == "NotImplementedException"
    assert operation.replace("_", "") in text.lower()
