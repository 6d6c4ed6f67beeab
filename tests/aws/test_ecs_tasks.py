"""Tasks over boto3: entered with the room they take, pinned, waited for, stopped, listed."""

import pytest
from botocore.exceptions import WaiterError

from orchestrator.state import Resources
from tests.aws.clients import digest_of, image_of, new_name, put, refused, upload
from tests.aws.ecs_facts import ARN, Ecs, runs, stopped, unique

QUICK = {"Delay": 1, "MaxAttempts": 3}


def test_a_task_is_entered_as_provisioning_and_seen_until_long_after_it_stopped(ecs: Ecs) -> None:
    cluster, family, client = ecs.cluster(), ecs.definition(portMappings=[{"containerPort": 80}]), ecs.client
    answer = client.run_task(
        cluster=cluster,
        taskDefinition=family,
        startedBy="me",
        tags=[{"key": "a", "value": "b"}],
        overrides={"containerOverrides": [{"name": "app", "command": ["x"]}]},
    )
    [task], failures = answer["tasks"], answer["failures"]
    arn = task["taskArn"]
    assert (failures, task["lastStatus"], task["desiredStatus"]) == ([], "PROVISIONING", "RUNNING")
    assert arn.startswith(f"{ARN}task/{cluster}/")
    assert task["taskDefinitionArn"] == f"{ARN}task-definition/{family}:1"
    assert task["containers"][0]["lastStatus"] == "PENDING"
    assert task["overrides"]["containerOverrides"] == [{"name": "app", "command": ["x"]}]
    ecs.report(cluster, arn, runs)
    client.get_waiter("tasks_running").wait(cluster=cluster, tasks=[arn], WaiterConfig=QUICK)
    [shown] = client.describe_tasks(cluster=cluster, tasks=[arn.rpartition("/")[2]], include=["TAGS"])["tasks"]
    assert shown["containers"][0]["networkBindings"][0]["hostPort"] == 32768
    assert (shown["tags"], shown["startedBy"], shown["group"]) == (
        [{"key": "a", "value": "b"}],
        "me",
        f"family:{family}",
    )
    assert client.list_tasks(cluster=cluster, startedBy="me")["taskArns"] == [arn]
    stopping = client.stop_task(cluster=cluster, task=arn, reason="enough")["task"]
    assert (stopping["lastStatus"], stopping["desiredStatus"]) == ("RUNNING", "STOPPED")
    assert (stopping["stopCode"], stopping["stoppedReason"]) == ("UserInitiated", "enough")
    assert client.list_tasks(cluster=cluster)["taskArns"] == []
    ecs.report(cluster, arn, stopped)
    client.get_waiter("tasks_stopped").wait(cluster=cluster, tasks=[arn], WaiterConfig=QUICK)
    [shown] = client.describe_tasks(cluster=cluster, tasks=[arn])["tasks"]
    assert (shown["containers"][0]["exitCode"], shown["containers"][0]["reason"]) == (3, "why")
    assert client.list_tasks(cluster=cluster, desiredStatus="STOPPED")["taskArns"] == [arn]


def test_waiting_for_a_task_that_stopped_or_never_was_to_run_fails(ecs: Ecs) -> None:
    cluster, client = ecs.cluster(), ecs.client
    arn = client.run_task(cluster=cluster, taskDefinition=ecs.definition())["tasks"][0]["taskArn"]
    ecs.report(cluster, arn, stopped)
    for wanted in (arn, f"{ARN}task/{cluster}/{'0' * 32}"):
        with pytest.raises(WaiterError):
            client.get_waiter("tasks_running").wait(cluster=cluster, tasks=[wanted], WaiterConfig=QUICK)
    answer = client.describe_tasks(cluster=cluster, tasks=["0" * 32])
    assert answer["failures"] == [{"arn": f"{ARN}task/{cluster}/{'0' * 32}", "reason": "MISSING"}]


def test_what_has_no_room_fails_with_the_resource_that_is_lacking(ecs: Ecs) -> None:
    cluster, client = ecs.cluster(memory=128, cpu=1024), ecs.client
    small, large, busy = ecs.definition(), ecs.definition(memory=256), ecs.definition(cpu=2048)
    port = ecs.definition(memory=8, portMappings=[{"containerPort": 80, "hostPort": 8080}])
    answer = client.run_task(cluster=cluster, taskDefinition=small, count=3)
    assert (len(answer["tasks"]), [one["reason"] for one in answer["failures"]]) == (2, ["RESOURCE:MEMORY"])
    for family, reason in ((large, "RESOURCE:MEMORY"), (busy, "RESOURCE:CPU")):
        assert client.run_task(cluster=cluster, taskDefinition=family)["failures"][0]["reason"] == reason
    ecs.report(cluster, answer["tasks"][0]["taskArn"], stopped)
    assert client.run_task(cluster=cluster, taskDefinition=port)["failures"] == []
    assert client.run_task(cluster=cluster, taskDefinition=port)["failures"][0]["reason"] == "RESOURCE:PORTS"
    empty = unique("cluster")
    client.create_cluster(clusterName=empty)
    assert refused(client.run_task, cluster=empty, taskDefinition=small) == (
        "InvalidParameterException",
        "No Container Instances were found in your cluster.",
    )


def test_the_same_token_is_answered_with_the_same_tasks(ecs: Ecs) -> None:
    cluster, family, client = ecs.cluster(), ecs.definition(), ecs.client
    asked = {"cluster": cluster, "taskDefinition": family, "clientToken": "token", "count": 2}
    first, second = client.run_task(**asked), client.run_task(**asked)
    assert [one["taskArn"] for one in first["tasks"]] == [one["taskArn"] for one in second["tasks"]]
    assert len(client.list_tasks(cluster=cluster)["taskArns"]) == 2
    assert refused(client.run_task, **{**asked, "count": 1})[0] == "ConflictException"


def test_a_task_runs_the_digest_that_its_tag_had_when_it_was_registered(ecs: Ecs) -> None:
    ecr, client, cluster, name = ecs.front.client(), ecs.client, ecs.cluster(), new_name()
    ecr.create_repository(repositoryName=name)
    first = put(ecr, name, "1", "first")
    family = ecs.definition(image=f"{ecs.front.host}/{name}:1")
    second = put(ecr, name, "1", "second")
    [task] = client.run_task(cluster=cluster, taskDefinition=family)["tasks"]
    assert task["containers"][0]["imageDigest"] == first != second
    assert task["containers"][0]["image"].endswith(f"/{name}:1")
    failures = ecr.batch_delete_image(repositoryName=name, imageIds=[{"imageDigest": first}])["failures"]
    task_id = task["taskArn"].rpartition("/")[2]
    assert failures[0]["failureReason"] == f"Requested image is in use by task {cluster}/{task_id}"
    ecs.report(cluster, task["taskArn"], stopped)
    assert ecr.batch_delete_image(repositoryName=name, imageIds=[{"imageDigest": first}])["failures"] == []
    moving = ecs.definition(image=f"{ecs.front.host}/{name}:1", versionConsistency="disabled")
    third = put(ecr, name, "1", "third")
    [task] = client.run_task(cluster=cluster, taskDefinition=moving)["tasks"]
    assert task["containers"][0]["imageDigest"] == third
    assert digest_of(b"") not in (first, second, third)


def test_a_task_is_started_where_it_is_told_to(ecs: Ecs) -> None:
    cluster, family, client = ecs.cluster(instances=0), ecs.definition(), ecs.client
    first, second = (ecs.instance(cluster, Resources(1024, 128)) for _ in range(2))
    answer = client.start_task(cluster=cluster, taskDefinition=family, containerInstances=[second, "absent"])
    assert [one["containerInstanceArn"] for one in answer["tasks"]] == [second]
    assert [one["reason"] for one in answer["failures"]] == ["MISSING"]
    assert client.list_tasks(cluster=cluster, containerInstance=first)["taskArns"] == []
    assert len(client.list_tasks(cluster=cluster, containerInstance=second)["taskArns"]) == 1


def test_tasks_are_listed_page_by_page(ecs: Ecs) -> None:
    cluster, family, client = ecs.cluster(), ecs.definition(), ecs.client
    made = {one["taskArn"] for one in client.run_task(cluster=cluster, taskDefinition=family, count=5)["tasks"]}
    pages = client.get_paginator("list_tasks").paginate(
        cluster=cluster, family=family, PaginationConfig={"PageSize": 2}
    )
    listed = [page["taskArns"] for page in pages]
    assert [len(page) for page in listed] == [2, 2, 1]
    assert {arn for page in listed for arn in page} == made
    assert client.list_tasks(cluster=cluster, family="other")["taskArns"] == []


def test_requests_that_can_not_be_are_refused_as_ecs_refuses_them(ecs: Ecs) -> None:
    cluster, family, client = ecs.cluster(), ecs.definition(), ecs.client
    run = client.run_task
    assert refused(run, cluster="absent", taskDefinition=family) == ("ClusterNotFoundException", "Cluster not found.")
    assert refused(run, cluster=cluster, taskDefinition="absent") == ("ClientException", "TaskDefinition not found.")
    assert refused(run, cluster=cluster, taskDefinition=family, count=11)[0] == "InvalidParameterException"
    assert refused(client.stop_task, cluster=cluster, task="absent") == (
        "InvalidParameterException",
        "The referenced task was not found.",
    )
    strategy = [{"capacityProvider": "FARGATE"}]
    code, text = refused(run, cluster=cluster, taskDefinition=family, capacityProviderStrategy=strategy)
    assert (code, "capacityProviderStrategy" in text) == ("UnsupportedFeatureException", True)
    override = {"containerOverrides": [{"name": "other"}]}
    code, text = refused(run, cluster=cluster, taskDefinition=family, overrides=override)
    assert (code, text) == (
        "ClientException",
        "Override for container named other is not a container in the TaskDefinition.",
    )
    assert refused(client.list_tasks, cluster=cluster, serviceName="absent")[0] == "ServiceNotFoundException"
    code, text = refused(client.execute_command, task="a", interactive=True, command="sh")
    assert (code, "ExecuteCommand" in text, "docs/ecs.md" in text) == ("NotImplementedException", True, True)


def test_an_image_for_another_processor_is_placed_nowhere_and_the_failure_names_both(ecs: Ecs) -> None:
    ecr, cluster, name = ecs.front.client(), ecs.cluster(), new_name()
    ecr.create_repository(repositoryName=name)
    config = b'{"architecture":"arm64","os":"linux"}'
    upload(ecr, name, config)
    ecr.put_image(repositoryName=name, imageManifest=image_of(config), imageTag="1")
    family = ecs.definition(image=f"{ecs.front.host}/{name}:1")
    answer = ecs.client.run_task(cluster=cluster, taskDefinition=family)
    assert answer["tasks"] == []
    [failure] = answer["failures"]
    assert failure["reason"] == "ATTRIBUTE"
    assert failure["detail"] == "its processor is amd64, the task is for arm64."
    [started] = ecs.client.start_task(cluster=cluster, taskDefinition=family, containerInstances=[failure["arn"]])[
        "failures"
    ]
    assert started == failure
