"""ECS operations on services: what is wanted is written down, and the orchestrator sees to it."""

import json
import time
from collections.abc import Mapping, Sequence
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
    require,
    require_cluster,
    require_engine,
)
from aws.ecs_deploying import Rollout, begin, rollout, scale, wanted
from aws.ecs_launches import request_of
from aws.ecs_names import arns, cluster_of, identifier, invalid, name_checked
from aws.ecs_placing import parse_placement
from aws.ecs_service_settings import (
    KEPT,
    checked_tags,
    defaults_of,
    deploys_on_push,
    desired_count,
    grace_period,
    parse_settings,
    refuse_what_is_not_served,
)
from aws.ecs_service_shapes import described, view
from aws.ecs_tasks import wanted_stopped
from aws.errors import AwsError
from orchestrator.records import as_service, service_record
from orchestrator.state import SchedulingStrategy, Service, ServiceStatus, StopCode
from storage.metadata import client_tokens, deployments, services, tasks
from storage.metadata.client_tokens import TokenRecord
from storage.metadata.clusters import ClusterKey
from storage.metadata.database import Work
from storage.metadata.services import ServiceRecord

_NOT_IDEMPOTENT = "Creation of service was not idempotent."
_DAEMON = SchedulingStrategy.DAEMON
_ROLLING = ("taskDefinition", "forceNewDeployment", "networkConfiguration", "platformVersion")
"""Members of UpdateService that begin a new deployment; the others act on the one that is there."""


async def create_service(call: Call) -> Answer:
    """Keep so many tasks of a task definition."""
    require_engine(call)
    refuse_what_is_not_served(call)
    key, given = cluster_of(call), call.input
    if not given.get("taskDefinition"):
        raise invalid("TaskDefinition can not be null or empty.")
    await call.parts.ecs.prepare(key)
    service, made = _new(call, key), await rollout(call, given["taskDefinition"])
    document = {name: given[name] for name in KEPT if name in given}
    document["createdBy"] = call.caller.principal.in_policies(call.parts.account).arn
    document["tags"] = checked_tags(call, parse_tags(given.get("tags", ())))

    def work() -> Work[Mapping[str, Any]]:
        yield from active(key)
        if (yield from _made_before(call, key, service.name)):
            return (yield from _shown(call, key, service.name))
        if not (yield from services.create(service_record(key, service, document))):
            raise invalid(_NOT_IDEMPOTENT)
        yield from begin(key, service.name, wanted(service), made)
        return (yield from _shown(call, key, service.name))

    return {"service": await change(call, key, work)}


def _made_before(call: Call, key: ClusterKey, name: str) -> Work[bool]:
    """Whether this very request, by its clientToken, has made the service; the token is remembered otherwise."""
    token = call.input.get("clientToken")
    if not token:
        return False
    if len(token) > 64:
        raise invalid("clientToken can have at most 64 characters.")
    scoped = f"{key.cluster}/{token}"
    found = yield from client_tokens.find(call.account_key, call.operation, scoped)
    if found is None:
        made = TokenRecord(request_of(call), json.dumps(name))
        yield from client_tokens.enter(call.account_key, call.operation, scoped, made)
        return False
    record = yield from services.find(key, name)
    if found.request != request_of(call) or record is None or record.status != ServiceStatus.ACTIVE.value:
        raise invalid(_NOT_IDEMPOTENT)
    return True


def _new(call: Call, key: ClusterKey) -> Service:
    given = call.input
    strategy = SchedulingStrategy(given.get("schedulingStrategy", "REPLICA"))
    _check_daemon(given, strategy)
    if strategy is not _DAEMON and "desiredCount" not in given:
        raise invalid("DesiredCount can not be null for the scheduling strategy REPLICA.")
    return Service(
        name_checked(given["serviceName"], "serviceName"),
        key.cluster,
        ServiceStatus.ACTIVE,
        desired_count(given, 0),
        strategy,
        parse_settings(given, defaults_of(strategy), strategy is _DAEMON),
        parse_placement(call),
        time.time(),
        grace_period(given),
        deploys_on_push(given.get("tags", ())),
    )


def _check_daemon(given: Mapping[str, Any], strategy: SchedulingStrategy) -> None:
    if strategy is not _DAEMON:
        return
    if given.get("desiredCount"):
        raise invalid("The daemon scheduling strategy does not support a desired count for services.")
    if given.get("placementStrategy"):
        raise invalid("The daemon scheduling strategy does not support a placement strategy for services.")


async def update_service(call: Call) -> Answer:
    """Change what is wanted; a new task definition (or force) begins a deployment, a new count alone does not."""
    require_engine(call)
    refuse_what_is_not_served(call)
    key, given = cluster_of(call), call.input
    name = identifier(call, given["service"], "service", key)
    before = await database(call).read(_active_service(key, name))
    made = await _next_rollout(call, key, before)

    def work() -> Work[Mapping[str, Any]]:
        record = yield from _active_service(key, name)
        service = _changed(call, as_service(record))
        document = {**record.document, **{member: given[member] for member in KEPT if member in given}}
        changed = service_record(key, service, document)
        require((yield from services.update(replace(changed, version=record.version))))
        if made is not None:
            yield from begin(key, name, wanted(service), made)
        elif service.strategy is not _DAEMON:
            for deployment in (yield from deployments.of_service(key, name)):
                if deployment.status == deployments.PRIMARY:
                    yield from scale(deployment, service.desired)
        return (yield from _shown(call, key, name))

    return {"service": await change(call, key, work)}


async def _next_rollout(call: Call, key: ClusterKey, before: ServiceRecord) -> Rollout | None:
    """What the service moves to; None where it stays with what it has."""
    given = call.input
    if not any(given.get(member) for member in _ROLLING):
        return None
    of_service = await database(call).read(deployments.of_service(key, before.name))
    current = next((one for one in of_service if one.status == deployments.PRIMARY), None)
    text = given.get("taskDefinition")
    if text is None and current is not None:
        text = f"{current.family}:{current.revision}"
    made = await rollout(call, text or "")
    same = current is not None and (current.family, current.revision) == (
        made.definition.family,
        made.definition.revision,
    )
    only_definition = not any(given.get(member) for member in _ROLLING[1:])
    return None if same and only_definition else made


def _changed(call: Call, service: Service) -> Service:
    given = call.input
    daemon = service.strategy is _DAEMON
    _check_daemon(given, service.strategy)
    placed = any(member in given for member in ("placementStrategy", "placementConstraints"))
    return replace(
        service,
        desired=desired_count(given, service.desired),
        settings=parse_settings(given, service.settings, daemon),
        placement=parse_placement(call) if placed else service.placement,
        grace_period=grace_period(given, service.grace_period),
    )


async def delete_service(call: Call) -> Answer:
    """Stop a service's tasks and let it go; it stays to be described, as DRAINING and then INACTIVE."""
    key, force = cluster_of(call), call.input.get("force", False)
    name = identifier(call, call.input["service"], "service", key)

    def work() -> Work[Mapping[str, Any]]:
        yield from active(key)
        record = yield from services.find(key, name)
        if record is None:
            raise _no_service()
        service = as_service(record)
        if service.status is ServiceStatus.INACTIVE:
            raise _no_service()
        if service.desired > 0 and not force:
            raise invalid("The service cannot be stopped while it is scaled above 0.")
        live = yield from _stop_all(key, name)
        status = ServiceStatus.DRAINING if live else ServiceStatus.INACTIVE
        gone = service_record(key, replace(service, status=status, desired=0), record.document)
        require((yield from services.update(gone)))
        for deployment in (yield from deployments.of_service(key, name)):
            if deployment.status == deployments.PRIMARY:
                yield from scale(deployment, 0)
        shown = yield from _shown(call, key, name)
        if not live:
            yield from deployments.end(key, name)
        return shown

    return {"service": await change(call, key, work)}


def _stop_all(key: ClusterKey, name: str) -> Work[int]:
    """Want all tasks of a service stopped: how many there are."""
    live = [task for task in (yield from tasks.live(key)) if task.service == name]
    for task in live:
        if task.desired == tasks.RUNNING:
            reason = f"Scaling activity initiated by (service {name})"
            stopped = wanted_stopped(task, StopCode.SERVICE_SCHEDULER_INITIATED, reason)
            require((yield from tasks.update(stopped)))
    return len(live)


async def describe_services(call: Call) -> Answer:
    """Describe the services of these names or ARNs, INACTIVE ones too."""
    key = await require_cluster(call)
    shown, failures = [], []
    for text in at_most_named(call.input["services"], "services", 10):
        name = identifier(call, text, "service", key)
        record = await database(call).read(services.find(key, name))
        if record is None:
            failures.append(missing(arns(call).within(key, "service", name)))
        else:
            seen = await database(call).read(view(record))
            shown.append(described(call, seen, tags=included(call, "TAGS")))
    return {"services": shown, "failures": failures}


async def list_services(call: Call) -> Answer:
    """The ARNs of services, page by page, by default of ten."""
    key, asked = await require_cluster(call), page_of(call, 10)
    if call.input.get("resourceManagementType") == "ECS":
        return {"serviceArns": []}  # that is what AWS calls services of Express Mode
    records = await database(call).read(services.page(key, asked.position, asked.size + 1))
    strategy, launch = call.input.get("schedulingStrategy"), call.input.get("launchType")
    return {
        "serviceArns": _arns_of(call, key, [one for one in records[: asked.size] if _is(one, strategy, launch)]),
        "nextToken": call.next_token(records[asked.size - 1].name if len(records) > asked.size else None),
    }


def _is(record: ServiceRecord, strategy: str | None, launch: str | None) -> bool:
    of_strategy = strategy in (None, record.state["strategy"])
    return of_strategy and launch in (None, record.document.get("launchType", "EC2"))


def _arns_of(call: Call, key: ClusterKey, records: Sequence[ServiceRecord]) -> list[str]:
    return [arns(call).within(key, "service", record.name) for record in records]


def _active_service(key: ClusterKey, name: str) -> Work[ServiceRecord]:
    yield from active(key)
    record = yield from services.find(key, name)
    if record is None:
        raise _no_service()
    if record.status != ServiceStatus.ACTIVE.value:
        raise AwsError("ServiceNotActiveException", "Service was not ACTIVE.")
    return record


def _shown(call: Call, key: ClusterKey, name: str) -> Work[Mapping[str, Any]]:
    record = yield from services.find(key, name)
    assert record is not None
    return described(call, (yield from view(record)))


def _no_service() -> AwsError:
    return AwsError("ServiceNotFoundException", "Service not found.")
