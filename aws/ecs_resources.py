"""The resources on which ECS's actions count in policies: as AWS's own list of them has it."""

import re
from collections.abc import Mapping

from aws.call import Call
from aws.ecs_names import DEFAULT_CLUSTER, arns, cluster_named, cluster_of, identifier, revision_named
from storage.metadata.clusters import ClusterKey

CLUSTER = "ecs:cluster"
"""The condition key of the cluster that a request is about."""
_WITHIN = re.compile(
    r"(?P<before>arn:[^:/]*:ecs:[^:/]*:[^:/]*):(?:cluster/(?P<itself>[^/]+)"
    r"|(?:service|task|container-instance|service-deployment|service-revision)/(?P<cluster>[^/]+)/.+)"
)


def in_cluster(call: Call, resource: str) -> Mapping[str, str]:
    """The cluster of the request, as a condition key."""
    return {CLUSTER: arns(call).cluster(cluster_of(call))}


def of_resource(call: Call, resource: str) -> Mapping[str, str]:
    """The cluster that the resource is, or is in, as a condition key: its ARN says which. Definitions are in none."""
    found = _WITHIN.fullmatch(resource)
    return {} if found is None else {CLUSTER: f"{found['before']}:cluster/{found['itself'] or found['cluster']}"}


def cluster(call: Call) -> list[str]:
    """The cluster `cluster`."""
    return [arns(call).cluster(cluster_of(call))]


def new_cluster(call: Call) -> list[str]:
    """The cluster `clusterName`."""
    return [arns(call).cluster(ClusterKey(call.account_key, call.input.get("clusterName") or DEFAULT_CLUSTER))]


def clusters(call: Call) -> list[str]:
    """Each of `clusters`."""
    named = call.input.get("clusters") or [DEFAULT_CLUSTER]
    return [arns(call).cluster(cluster_named(call, text)) for text in named]


def definition(call: Call) -> list[str]:
    """The task definition, `*` for the revision that is not named."""
    text = call.input.get("taskDefinition")
    return [_definition(call, text)] if text else ["*"]


def definitions(call: Call) -> list[str]:
    """Each of `taskDefinitions`."""
    return [_definition(call, text) for text in call.input["taskDefinitions"]] or ["*"]


def new_definition(call: Call) -> list[str]:
    """The family that gets a revision."""
    return [arns(call).of(call.account_key, "task-definition", f"{call.input['family']}:*")]


def task(call: Call) -> list[str]:
    """The task `task`."""
    return _each(call, "task", [call.input["task"]])


def tasks(call: Call) -> list[str]:
    """Each of `tasks`."""
    return _each(call, "task", call.input["tasks"])


def service(call: Call) -> list[str]:
    """The service `service`, or `serviceName` where it is new."""
    return _each(call, "service", [call.input.get("service") or call.input.get("serviceName", "")])


def services(call: Call) -> list[str]:
    """Each of `services`."""
    return _each(call, "service", call.input["services"])


def instance(call: Call) -> list[str]:
    """The instance `containerInstance`."""
    return _each(call, "container-instance", [call.input["containerInstance"]])


def instances(call: Call) -> list[str]:
    """Each of `containerInstances`."""
    return _each(call, "container-instance", call.input["containerInstances"])


def given_arns(call: Call) -> list[str]:
    """The resources whose ARNs the request holds, in the partition and region that policies know them by."""
    for name in ("resourceArn", "serviceDeploymentArn"):
        if name in call.input:
            return [_own(call, call.input[name])]
    given = call.input.get("serviceDeploymentArns") or call.input.get("serviceRevisionArns") or ["*"]
    return [_own(call, text) for text in given]


def _own(call: Call, text: str) -> str:
    """An ARN as this server writes it: a resource is the same one whichever region its ARN names.

    Otherwise a statement about `arn:aws:ecs:us-east-1:…` would not be about what goes by another region's ARN.
    """
    parts = text.split(":", 5)
    if len(parts) < 6 or parts[0] != "arn":
        return text  # the operation refuses it
    return f"arn:aws:ecs:{call.parts.region}:{parts[4]}:{parts[5]}"


def _each(call: Call, kind: str, named: list[str]) -> list[str]:
    key = cluster_of(call)
    return [arns(call).within(key, kind, identifier(call, text, kind, key)) for text in named] or ["*"]


def _definition(call: Call, text: str) -> str:
    family, revision = revision_named(call, text)
    return arns(call).of(call.account_key, "task-definition", f"{family}:{revision or '*'}")
