"""ECS operations on service deployments and service revisions: what was deployed when, with which digests."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aws.call import Answer, Call
from aws.ecs_asking import at_most_named, change, database, missing, page_of, require, require_cluster, unsupported
from aws.ecs_deploying import begin, rollout_again, wanted
from aws.ecs_names import arns, identifier, split
from aws.ecs_service_shapes import ServiceView, configuration, deployment_arn, number_of, revision_arn, view
from aws.errors import AwsError
from orchestrator.overrides import read
from orchestrator.records import as_deployment, as_service
from orchestrator.state import RolloutState
from storage.metadata import deployments, services, task_definitions
from storage.metadata.clusters import ClusterKey
from storage.metadata.database import Work
from storage.metadata.deployments import DeploymentRecord

_OF_ROLLBACK = {
    RolloutState.IN_PROGRESS.value: "ROLLBACK_IN_PROGRESS",
    RolloutState.COMPLETED.value: "ROLLBACK_SUCCESSFUL",
    RolloutState.FAILED.value: "ROLLBACK_FAILED",
}


@dataclass(frozen=True, slots=True)
class _Named:
    """A deployment that an ARN names, with its service."""

    seen: ServiceView
    record: DeploymentRecord


async def list_service_deployments(call: Call) -> Answer:
    """The deployments of a service, newest first, page by page."""
    key = await require_cluster(call)
    asked, wanted = page_of(call, 20), call.input.get("status", ())
    name = identifier(call, call.input["service"], "service", key)
    seen = await _seen(call, key, name)
    if seen is None:
        raise AwsError("ServiceNotFoundException", "Service not found.")
    created = call.input.get("createdAt", {})
    listed = [
        record
        for record in seen.deployments
        if (not wanted or _status(seen, record) in wanted)
        and created.get("after", 0) <= record.created_at <= created.get("before", record.created_at)
    ]
    places = [record.id for record in listed]
    start = places.index(asked.position) + 1 if asked.position in places else 0
    shown = listed[start : start + asked.size]
    more = shown[-1].id if start + asked.size < len(listed) else None
    briefs = [_brief(call, seen, record) for record in shown]
    return {"serviceDeployments": briefs, "nextToken": call.next_token(more)}


async def describe_service_deployments(call: Call) -> Answer:
    """Describe the deployments of these ARNs."""
    shown, failures = [], []
    for arn in at_most_named(call.input["serviceDeploymentArns"], "serviceDeploymentArns", 20):
        named = await _named(call, arn, "service-deployment")
        if named is None:
            failures.append(missing(arn))
        else:
            shown.append(_described(call, named))
    return {"serviceDeployments": shown, "failures": failures}


async def describe_service_revisions(call: Call) -> Answer:
    """Describe the revisions of these ARNs: each with the digests of its images."""
    shown, failures = [], []
    for arn in at_most_named(call.input["serviceRevisionArns"], "serviceRevisionArns", 20):
        named = await _named(call, arn, "service-revision")
        if named is None:
            failures.append(missing(arn))
        else:
            shown.append(_revision(call, named))
    return {"serviceRevisions": shown, "failures": failures}


async def stop_service_deployment(call: Call) -> Answer:
    """Go back to the last revision that was completed, with the digests that it had."""
    arn = call.input["serviceDeploymentArn"]
    if call.input.get("stopType", "ROLLBACK") != "ROLLBACK":
        raise unsupported("stopType other than ROLLBACK")
    named = await _named(call, arn, "service-deployment")
    if named is None:
        raise AwsError("ServiceDeploymentNotFoundException", "Service deployment not found.")
    record, key = named.record, named.record.key
    if record.status != deployments.PRIMARY or record.rollout != RolloutState.IN_PROGRESS.value:
        raise AwsError("ConflictException", "The service deployment is not in progress.")
    target = _completed_before(named)
    if target is None:
        raise AwsError("ConflictException", "There is no completed service revision to roll back to.")
    found = await database(call).read(task_definitions.find(key.account, target.family, target.revision))
    if found is None:
        raise AwsError("ConflictException", "The task definition of the service revision is deleted.")
    made = await rollout_again(call, read(found), as_deployment(target).images)

    def work() -> Work[None]:
        current = yield from deployments.find(key, record.service, record.id)
        service = yield from services.find(key, record.service)
        require(current is not None and current.status == deployments.PRIMARY and service is not None)
        assert service is not None
        yield from begin(key, record.service, wanted(as_service(service)), made, rollback_of=record.id)

    await change(call, key, work)
    return {"serviceDeploymentArn": arn}


def _completed_before(named: _Named) -> DeploymentRecord | None:
    others = [one for one in named.seen.deployments if one.id != named.record.id]
    return next((one for one in others if one.rollout == RolloutState.COMPLETED.value), None)


async def _seen(call: Call, key: ClusterKey, name: str) -> ServiceView | None:
    record = await database(call).read(services.find(key, name))
    return None if record is None else await database(call).read(view(record))


async def _named(call: Call, arn: str, kind: str) -> _Named | None:
    path = split(call, arn, kind)
    if path is None or len(path) != 3:
        return None
    cluster, service, number = path
    seen = await _seen(call, ClusterKey(call.account_key, cluster), service)
    for record in seen.deployments if seen is not None else ():
        if seen is not None and number_of(record.id) == number:
            return _Named(seen, record)
    return None


def _status(seen: ServiceView, record: DeploymentRecord) -> str:
    rollback = next((one for one in seen.deployments if as_deployment(one).rollback_of == record.id), None)
    if rollback is not None:
        return _OF_ROLLBACK[rollback.rollout]
    if record.rollout == RolloutState.COMPLETED.value:
        return "SUCCESSFUL"
    going_on = record.rollout == RolloutState.IN_PROGRESS.value and record.status == deployments.PRIMARY
    return "IN_PROGRESS" if going_on else "STOPPED"


def _ended_at(seen: ServiceView, record: DeploymentRecord) -> float | None:
    return None if _status(seen, record).endswith("IN_PROGRESS") else record.updated_at


def _brief(call: Call, seen: ServiceView, record: DeploymentRecord) -> Mapping[str, Any]:
    return {
        "serviceDeploymentArn": deployment_arn(call, record),
        "serviceArn": arns(call).within(record.key, "service", record.service),
        "clusterArn": arns(call).cluster(record.key),
        "startedAt": record.created_at,
        "createdAt": record.created_at,
        "finishedAt": _ended_at(seen, record),
        "targetServiceRevisionArn": revision_arn(call, record),
        "status": _status(seen, record),
        "statusReason": as_deployment(record).reason or None,
    }


def _summary(call: Call, seen: ServiceView, record: DeploymentRecord) -> Mapping[str, Any]:
    return {
        "arn": revision_arn(call, record),
        "requestedTaskCount": as_deployment(record).desired,
        "runningTaskCount": seen.running(record),
        "pendingTaskCount": seen.pending(record),
    }


def _described(call: Call, named: _Named) -> Mapping[str, Any]:
    seen, record = named.seen, named.record
    brief = {name: value for name, value in _brief(call, seen, record).items() if name != "targetServiceRevisionArn"}
    service, deployment = as_service(seen.record), as_deployment(record)
    sources: Sequence[DeploymentRecord] = [
        one for one in seen.current if one.id != record.id and one.created_at <= record.created_at
    ]
    rollback = next((one for one in seen.deployments if as_deployment(one).rollback_of == record.id), None)
    threshold = service.settings.threshold or min(200, max(3, -(-deployment.desired // 2)))
    return {
        **brief,
        "updatedAt": record.updated_at,
        "stoppedAt": _ended_at(seen, record) if _status(seen, record) == "STOPPED" else None,
        "sourceServiceRevisions": [_summary(call, seen, one) for one in sources],
        "targetServiceRevision": _summary(call, seen, record),
        "deploymentConfiguration": configuration(service),
        "deploymentCircuitBreaker": {
            "status": _breaker(service.settings.circuit_breaker, record),
            "failureCount": deployment.failed_tasks,
            "threshold": threshold,
        },
        "rollback": None
        if rollback is None
        else {
            "reason": deployment.reason,
            "startedAt": rollback.created_at,
            "serviceRevisionArn": revision_arn(call, rollback),
        },
    }


def _breaker(enabled: bool, record: DeploymentRecord) -> str:
    if not enabled:
        return "DISABLED"
    states = {RolloutState.IN_PROGRESS.value: "MONITORING", RolloutState.FAILED.value: "TRIGGERED"}
    return states.get(record.rollout, "MONITORING_COMPLETE")


def _revision(call: Call, named: _Named) -> Mapping[str, Any]:
    record, deployment = named.record, as_deployment(named.record)
    images: Mapping[str, str] = record.document.get("images", {})
    return {
        "serviceRevisionArn": revision_arn(call, record),
        "serviceArn": arns(call).within(record.key, "service", record.service),
        "clusterArn": arns(call).cluster(record.key),
        "taskDefinition": arns(call).definition(record.key.account, record.family, record.revision),
        "launchType": named.seen.record.document.get("launchType", "EC2"),
        "networkConfiguration": named.seen.record.document.get("networkConfiguration"),
        "containerImages": [
            {
                "containerName": container,
                "image": image,
                "imageDigest": str(deployment.images[container]) if container in deployment.images else None,
            }
            for container, image in sorted(images.items())
        ],
        "createdAt": record.created_at,
    }
