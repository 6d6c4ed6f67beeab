"""For every ECS operation a request that succeeds, in a cluster of its own. Whoever adds an operation adds one here."""

from collections.abc import Callable, Mapping
from typing import Any

from orchestrator.state import Resources
from tests.aws.ecs_facts import ARN, Ecs, unique

Request = Mapping[str, Any]
CONTAINER = {"name": "app", "image": "example.org/app:1", "memory": 64}
TAGS = [{"key": "a", "value": "b"}]


def _instance(ecs: Ecs, cluster: str) -> str:
    return ecs.instance(cluster, Resources(1024, 1024))


def _service(ecs: Ecs, cluster: str) -> str:
    made = ecs.client.create_service(
        cluster=cluster, serviceName="web", taskDefinition=ecs.definition(), desiredCount=1
    )["service"]
    arn: str = made["serviceArn"]
    return arn


def _task(ecs: Ecs, cluster: str) -> str:
    _instance(ecs, cluster)
    arn: str = ecs.client.run_task(cluster=cluster, taskDefinition=ecs.definition())["tasks"][0]["taskArn"]
    return arn


def _deployment(ecs: Ecs, cluster: str, member: str = "serviceDeploymentArn") -> str:
    _service(ecs, cluster)
    ecs.complete(cluster, "web")
    ecs.client.update_service(cluster=cluster, service="web", forceNewDeployment=True)
    arn: str = ecs.client.list_service_deployments(cluster=cluster, service="web")["serviceDeployments"][0][member]
    return arn


def _deregistered(ecs: Ecs) -> str:
    revision = f"{ecs.definition()}:1"
    ecs.client.deregister_task_definition(taskDefinition=revision)
    return revision


def _tagged(ecs: Ecs, cluster: str) -> str:
    arn = _service(ecs, cluster)
    ecs.client.tag_resource(resourceArn=arn, tags=TAGS)
    return arn


IN_CLUSTER: dict[str, Callable[[Ecs, str], Request]] = {
    "CreateCluster": lambda ecs, cluster: {"clusterName": cluster},
    "CreateService": lambda ecs, cluster: {
        "cluster": cluster, "serviceName": "web", "taskDefinition": ecs.definition(), "desiredCount": 1,
    },
    "DeleteAttributes": lambda ecs, cluster: {
        "cluster": cluster, "attributes": [{"name": "rack", "targetId": _instance(ecs, cluster)}],
    },
    "DeleteCluster": lambda ecs, cluster: {"cluster": cluster},
    "DeleteService": lambda ecs, cluster: {"cluster": cluster, "service": _service(ecs, cluster), "force": True},
    "DeregisterContainerInstance": lambda ecs, cluster: {
        "cluster": cluster, "containerInstance": _instance(ecs, cluster),
    },
    "DescribeClusters": lambda ecs, cluster: {"clusters": [cluster]},
    "DescribeContainerInstances": lambda ecs, cluster: {
        "cluster": cluster, "containerInstances": [_instance(ecs, cluster)],
    },
    "DescribeServiceDeployments": lambda ecs, cluster: {"serviceDeploymentArns": [_deployment(ecs, cluster)]},
    "DescribeServiceRevisions": lambda ecs, cluster: {
        "serviceRevisionArns": [_deployment(ecs, cluster, "targetServiceRevisionArn")],
    },
    "DescribeServices": lambda ecs, cluster: {"cluster": cluster, "services": [_service(ecs, cluster)]},
    "DescribeTasks": lambda ecs, cluster: {"cluster": cluster, "tasks": [_task(ecs, cluster)]},
    "ListAttributes": lambda ecs, cluster: {"cluster": cluster, "targetType": "container-instance"},
    "ListContainerInstances": lambda ecs, cluster: {"cluster": cluster},
    "ListServiceDeployments": lambda ecs, cluster: {"cluster": cluster, "service": _service(ecs, cluster)},
    "ListServices": lambda ecs, cluster: {"cluster": cluster},
    "ListTagsForResource": lambda ecs, cluster: {"resourceArn": _service(ecs, cluster)},
    "ListTasks": lambda ecs, cluster: {"cluster": cluster},
    "PutAttributes": lambda ecs, cluster: {
        "cluster": cluster, "attributes": [{"name": "rack", "value": "a", "targetId": _instance(ecs, cluster)}],
    },
    "RegisterContainerInstance": lambda ecs, cluster: {
        "cluster": cluster, "attributes": [{"name": "engine", "value": "tcp+tls://engine.example:2376"}],
    },
    "RunTask": lambda ecs, cluster: {
        "cluster": cluster, "taskDefinition": ecs.definition(), "startedBy": _instance(ecs, cluster)[-32:],
    },
    "StartTask": lambda ecs, cluster: {
        "cluster": cluster, "taskDefinition": ecs.definition(), "containerInstances": [_instance(ecs, cluster)],
    },
    "StopServiceDeployment": lambda ecs, cluster: {"serviceDeploymentArn": _deployment(ecs, cluster)},
    "StopTask": lambda ecs, cluster: {"cluster": cluster, "task": _task(ecs, cluster)},
    "TagResource": lambda ecs, cluster: {"resourceArn": f"{ARN}cluster/{cluster}", "tags": TAGS},
    "UntagResource": lambda ecs, cluster: {"resourceArn": _tagged(ecs, cluster), "tagKeys": ["a"]},
    "UpdateCluster": lambda ecs, cluster: {"cluster": cluster, "settings": []},
    "UpdateClusterSettings": lambda ecs, cluster: {
        "cluster": cluster, "settings": [{"name": "containerInsights", "value": "enabled"}],
    },
    "UpdateContainerInstancesState": lambda ecs, cluster: {
        "cluster": cluster, "containerInstances": [_instance(ecs, cluster)], "status": "DRAINING",
    },
    "UpdateService": lambda ecs, cluster: {"cluster": cluster, "service": _service(ecs, cluster), "desiredCount": 2},
}  # fmt: skip
"""What is about one cluster, or about something in it."""

# The settings are ones that no other test asks for.
ELSEWHERE: dict[str, Callable[[Ecs], Request]] = {
    "DeleteAccountSetting": lambda ecs: {"name": "fargateFIPSMode"},
    "DeleteTaskDefinitions": lambda ecs: {"taskDefinitions": [_deregistered(ecs)]},
    "DeregisterTaskDefinition": lambda ecs: {"taskDefinition": f"{ecs.definition()}:1"},
    "DescribeTaskDefinition": lambda ecs: {"taskDefinition": ecs.definition()},
    "ListAccountSettings": lambda ecs: {},
    "ListClusters": lambda ecs: {},
    "ListTaskDefinitionFamilies": lambda ecs: {},
    "ListTaskDefinitions": lambda ecs: {},
    "PutAccountSetting": lambda ecs: {"name": "awsvpcTrunking", "value": "enabled"},
    "PutAccountSettingDefault": lambda ecs: {"name": "defaultLogDriverMode", "value": "blocking"},
    "RegisterTaskDefinition": lambda ecs: {"family": unique("family"), "containerDefinitions": [CONTAINER]},
}


def request(ecs: Ecs, operation: str, cluster: str) -> Request:
    """A request that succeeds: about something in the cluster, if it is about any."""
    if operation in IN_CLUSTER:
        return IN_CLUSTER[operation](ecs, cluster)
    return ELSEWHERE[operation](ecs)
