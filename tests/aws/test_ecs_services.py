"""Services over boto3: what is wanted is written down, rolled, gone back from, waited for, deleted."""

from typing import Any

import pytest
from botocore.exceptions import WaiterError

from tests.aws.clients import new_name, put, refused
from tests.aws.ecs_facts import ARN, Client, Ecs, stopped
from tests.security.secured import statement

QUICK = {"Delay": 1, "MaxAttempts": 3}


def create(ecs: Ecs, cluster: str, family: str, **more: Any) -> dict[str, Any]:
    given = {"desiredCount": 2} | more
    made: dict[str, Any] = ecs.client.create_service(
        cluster=cluster, serviceName="web", taskDefinition=family, **given
    )["service"]
    return made


def described(client: Client, cluster: str) -> dict[str, Any]:
    [shown] = client.describe_services(cluster=cluster, services=["web"], include=["TAGS"])["services"]
    found: dict[str, Any] = shown
    return found


def test_a_service_is_stable_when_its_deployment_is_all_there_is_and_healthy(ecs: Ecs) -> None:
    cluster, family, client = ecs.cluster(), ecs.definition(), ecs.client
    made = create(ecs, cluster, family, tags=[{"key": "deploy-on-push", "value": "true"}])
    assert (made["status"], made["desiredCount"], made["runningCount"]) == ("ACTIVE", 2, 0)
    assert made["deploymentConfiguration"]["deploymentCircuitBreaker"] == {"enable": True, "rollback": True}
    [deployment] = made["deployments"]
    assert (deployment["status"], deployment["rolloutState"]) == ("PRIMARY", "IN_PROGRESS")
    with pytest.raises(WaiterError):
        client.get_waiter("services_stable").wait(
            cluster=cluster, services=["web"], WaiterConfig={"Delay": 1, "MaxAttempts": 1}
        )
    ids = ecs.launch(cluster, "web", 2)
    ecs.complete(cluster, "web")
    client.get_waiter("services_stable").wait(cluster=cluster, services=["web"], WaiterConfig=QUICK)
    listed = client.list_tasks(cluster=cluster, serviceName="web")["taskArns"]
    assert sorted(arn.rpartition("/")[2] for arn in listed) == sorted(ids)
    shown = described(client, cluster)
    assert (shown["runningCount"], shown["pendingCount"], shown["tags"][0]["key"]) == (2, 0, "deploy-on-push")


def test_a_service_that_is_asked_for_again_with_the_same_token_is_the_same(ecs: Ecs) -> None:
    cluster, family, client = ecs.cluster(), ecs.definition(), ecs.client
    first = create(ecs, cluster, family, clientToken="token")
    again = create(ecs, cluster, family, clientToken="token")
    assert (again["serviceArn"], again["deployments"][0]["id"]) == (first["serviceArn"], first["deployments"][0]["id"])
    said = ("InvalidParameterException", "Creation of service was not idempotent.")
    asked = {"cluster": cluster, "serviceName": "web", "taskDefinition": family, "desiredCount": 2}
    assert refused(client.create_service, **asked) == said
    assert refused(client.create_service, **{**asked, "clientToken": "token", "desiredCount": 3}) == said
    client.delete_service(cluster=cluster, service="web", force=True)
    assert refused(client.create_service, **asked, clientToken="token") == said


def test_who_may_not_pull_an_image_launches_nothing_of_it(ecs: Ecs) -> None:
    ecr, cluster, name = ecs.front.client(), ecs.cluster(), new_name()
    ecr.create_repository(repositoryName=name)
    put(ecr, name, "1", "first")
    family, foreign = ecs.definition(image=f"{ecs.front.host}/{name}:1"), ecs.definition()
    arn = f"arn:aws:ecr:us-east-1:{ARN.split(':')[4]}:repository/{name}"
    runner = ecs.user("AmazonECS_FullAccess")
    asked = {"cluster": cluster, "taskDefinition": family}
    service = {**asked, "serviceName": "web", "desiredCount": 1}

    for code, text in (refused(runner.run_task, **asked), refused(runner.create_service, **service)):
        assert code == "AccessDeniedException"
        assert text.endswith(f"is not authorized to perform: ecr:BatchGetImage on resource: {arn}")
    assert ecs.client.list_tasks(cluster=cluster)["taskArns"] == []
    assert runner.run_task(cluster=cluster, taskDefinition=foreign)["failures"] == []

    puller = ecs.user("AmazonECS_FullAccess", statement("ecr:BatchGetImage", arn))
    assert puller.run_task(**asked)["failures"] == []
    puller.create_service(**service)
    code, _ = refused(runner.update_service, cluster=cluster, service="web", forceNewDeployment=True)
    assert code == "AccessDeniedException"
    runner.update_service(cluster=cluster, service="web", desiredCount=2)


def test_a_new_revision_begins_a_deployment_and_a_count_alone_does_not(ecs: Ecs) -> None:
    cluster, family, client = ecs.cluster(), ecs.definition(), ecs.client
    first = create(ecs, cluster, family)["deployments"][0]["id"]
    ecs.launch(cluster, "web", 2)
    ecs.complete(cluster, "web")
    scaled = client.update_service(cluster=cluster, service="web", desiredCount=3)["service"]
    assert [(one["id"], one["desiredCount"]) for one in scaled["deployments"]] == [(first, 3)]
    same = client.update_service(cluster=cluster, service="web", taskDefinition=f"{family}:1")["service"]
    assert [one["id"] for one in same["deployments"]] == [first]
    container = {"name": "app", "image": "example.org/app:2", "memory": 64}
    client.register_task_definition(family=family, containerDefinitions=[container])
    rolled = client.update_service(cluster=cluster, service="web", taskDefinition=family)["service"]
    assert [(one["status"], one["taskDefinition"].rpartition(":")[2]) for one in rolled["deployments"]] == [
        ("PRIMARY", "2"),
        ("ACTIVE", "1"),
    ]
    assert rolled["taskDefinition"] == f"{ARN}task-definition/{family}:2"
    forced = client.update_service(cluster=cluster, service="web", forceNewDeployment=True)["service"]
    assert len(forced["deployments"]) == 3


def test_a_deployment_is_stopped_and_goes_back_to_the_digests_before(ecs: Ecs) -> None:
    ecr, client, cluster, name = ecs.front.client(), ecs.client, ecs.cluster(), new_name()
    ecr.create_repository(repositoryName=name)
    first = put(ecr, name, "1", "first")
    family = ecs.definition(image=f"{ecs.front.host}/{name}:1")
    create(ecs, cluster, family)
    ecs.complete(cluster, "web")
    second = put(ecr, name, "1", "second")
    client.update_service(cluster=cluster, service="web", forceNewDeployment=True)
    newest, oldest = client.list_service_deployments(cluster=cluster, service="web")["serviceDeployments"]
    assert (newest["status"], oldest["status"]) == ("IN_PROGRESS", "SUCCESSFUL")
    assert digest_of_revision(client, newest["targetServiceRevisionArn"]) == second
    assert digest_of_revision(client, oldest["targetServiceRevisionArn"]) == first
    for digest in (first, second):
        failures = ecr.batch_delete_image(repositoryName=name, imageIds=[{"imageDigest": digest}])["failures"]
        assert failures[0]["failureReason"] == f"Requested image is in use by service {cluster}/web"
    arn = newest["serviceDeploymentArn"]
    assert client.stop_service_deployment(serviceDeploymentArn=arn, stopType="ROLLBACK")["serviceDeploymentArn"] == arn
    [stopped_one] = client.describe_service_deployments(serviceDeploymentArns=[arn])["serviceDeployments"]
    assert stopped_one["status"] == "ROLLBACK_IN_PROGRESS"
    back = stopped_one["rollback"]["serviceRevisionArn"]
    assert digest_of_revision(client, back) == first
    ecs.complete(cluster, "web")
    [ended] = client.describe_service_deployments(serviceDeploymentArns=[arn])["serviceDeployments"]
    assert ended["status"] == "ROLLBACK_SUCCESSFUL"
    assert refused(client.stop_service_deployment, serviceDeploymentArn=arn)[0] == "ConflictException"
    absent = f"{ARN}service-deployment/{cluster}/web/1"
    assert client.describe_service_deployments(serviceDeploymentArns=[absent])["failures"][0]["reason"] == "MISSING"
    client.delete_service(cluster=cluster, service="web", force=True)
    assert ecr.batch_delete_image(repositoryName=name, imageIds=[{"imageDigest": first}])["failures"] == []


def digest_of_revision(client: Client, arn: str) -> str:
    [revision] = client.describe_service_revisions(serviceRevisionArns=[arn])["serviceRevisions"]
    digest: str = revision["containerImages"][0]["imageDigest"]
    return digest


def test_a_service_is_deleted_once_it_is_scaled_down_or_by_force(ecs: Ecs) -> None:
    cluster, family, client = ecs.cluster(), ecs.definition(), ecs.client
    create(ecs, cluster, family)
    [task] = ecs.launch(cluster, "web", 1)
    assert refused(client.delete_service, cluster=cluster, service="web") == (
        "InvalidParameterException",
        "The service cannot be stopped while it is scaled above 0.",
    )
    assert client.delete_service(cluster=cluster, service="web", force=True)["service"]["status"] == "DRAINING"
    [shown] = client.describe_tasks(cluster=cluster, tasks=[task])["tasks"]
    assert (shown["desiredStatus"], shown["stopCode"]) == ("STOPPED", "ServiceSchedulerInitiated")
    assert refused(client.update_service, cluster=cluster, service="web", desiredCount=1)[0] == (
        "ServiceNotActiveException"
    )
    with pytest.raises(WaiterError):
        client.get_waiter("services_stable").wait(cluster=cluster, services=["web"], WaiterConfig=QUICK)
    ecs.report(cluster, task, stopped)
    assert client.delete_service(cluster=cluster, service="web")["service"]["status"] == "INACTIVE"
    client.get_waiter("services_inactive").wait(cluster=cluster, services=["web"], WaiterConfig=QUICK)
    assert client.list_services(cluster=cluster)["serviceArns"] == []
    assert refused(client.delete_service, cluster=cluster, service="web")[0] == "ServiceNotFoundException"
    assert create(ecs, cluster, family)["status"] == "ACTIVE"


def test_services_are_listed_page_by_page_and_described_by_name(ecs: Ecs) -> None:
    cluster, family, client = ecs.cluster(), ecs.definition(), ecs.client
    for number in range(12):
        client.create_service(cluster=cluster, serviceName=f"s{number:02}", taskDefinition=family, desiredCount=0)
    assert len(client.list_services(cluster=cluster)["serviceArns"]) == 10
    pages = client.get_paginator("list_services").paginate(cluster=cluster, PaginationConfig={"PageSize": 5})
    listed = [arn for page in pages for arn in page["serviceArns"]]
    assert listed == [f"{ARN}service/{cluster}/s{number:02}" for number in range(12)]
    answer = client.describe_services(cluster=cluster, services=[listed[0], "absent"])
    assert [one["serviceName"] for one in answer["services"]] == ["s00"]
    assert answer["failures"] == [{"arn": f"{ARN}service/{cluster}/absent", "reason": "MISSING"}]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("loadBalancers", [{"containerName": "app", "containerPort": 80, "targetGroupArn": "arn:x"}]),
        ("serviceRegistries", [{"registryArn": "arn:x"}]),
        ("capacityProviderStrategy", [{"capacityProvider": "a"}]),
        ("deploymentController", {"type": "CODE_DEPLOY"}),
        ("deploymentConfiguration", {"strategy": "BLUE_GREEN"}),
        ("availabilityZoneRebalancing", "ENABLED"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_not_served_is_refused_by_its_name(ecs: Ecs, name: str, value: object) -> None:
    cluster, family = ecs.cluster(instances=0), ecs.definition()
    given = {"cluster": cluster, "serviceName": "web", "taskDefinition": family, "desiredCount": 1, name: value}
    code, text = refused(ecs.client.create_service, **given)
    assert (code, text.startswith(name)) == ("UnsupportedFeatureException", True)


def test_settings_that_can_not_be_are_refused(ecs: Ecs) -> None:
    cluster, family = ecs.cluster(instances=0), ecs.definition()
    given: dict[str, Any] = {"cluster": cluster, "serviceName": "web", "taskDefinition": family}
    create_service = ecs.client.create_service
    assert refused(create_service, **given)[0] == "InvalidParameterException"
    both = {"minimumHealthyPercent": 100, "maximumPercent": 100}
    assert refused(create_service, **given, desiredCount=1, deploymentConfiguration=both)[0] == (
        "InvalidParameterException"
    )
    daemon = create_service(**given, schedulingStrategy="DAEMON")["service"]
    assert (daemon["schedulingStrategy"], daemon["deploymentConfiguration"]["maximumPercent"]) == ("DAEMON", 100)
    assert refused(create_service, **given, schedulingStrategy="DAEMON")[1] == (
        "Creation of service was not idempotent."
    )


def test_gates_that_this_server_cannot_judge_are_refused(ecs: Ecs) -> None:
    cluster, family, client = ecs.cluster(), ecs.definition(), ecs.client
    asked = {"cluster": cluster, "serviceName": "web", "taskDefinition": family, "desiredCount": 1}
    scan = [{"key": "gate-scan", "value": "HIGH"}]
    no_scanner = ("InvalidParameterException", "gate-scan: this server has no scanner.")
    assert refused(client.create_service, **asked, tags=scan) == no_scanner
    made = client.create_service(**asked, tags=[{"key": "gate-immutable-tag", "value": "true"}])["service"]
    assert refused(client.tag_resource, resourceArn=made["serviceArn"], tags=scan) == no_scanner
    misspelt = [{"key": "gate-signatures", "value": "release"}]
    code, text = refused(client.tag_resource, resourceArn=made["serviceArn"], tags=misspelt)
    assert code == "InvalidParameterException"
    assert text.startswith("gate-signatures is no gate")
    client.tag_resource(resourceArn=f"{ARN}cluster/{cluster}", tags=misspelt)


def test_a_daemon_is_not_stable_before_its_instances_are_counted(ecs: Ecs) -> None:
    cluster, client = ecs.cluster(), ecs.client
    asked = {"cluster": cluster, "serviceName": "web", "taskDefinition": ecs.definition()}
    made = client.create_service(**asked, schedulingStrategy="DAEMON")["service"]
    assert (made["desiredCount"], made["runningCount"], made["deployments"][0]["desiredCount"]) == (1, 0, 1)
    changed = client.update_service(cluster=cluster, service="web", enableExecuteCommand=True)["service"]
    assert changed["desiredCount"] == 1
    assert client.delete_service(cluster=cluster, service="web")["service"]["desiredCount"] == 0
