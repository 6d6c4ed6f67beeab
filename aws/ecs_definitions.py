"""ECS operations on task definitions."""

from collections.abc import Mapping
from typing import Any

from aws.call import Answer, Call
from aws.ecs_asking import at_most_named, database, included, page_of, parse_tags, recorded
from aws.ecs_names import arns, client_error, invalid, revision_named
from aws.ecs_parts import Found
from orchestrator.definition import NetworkMode, TaskDefinition
from orchestrator.parsing import parse, with_defaults
from orchestrator.rules import DefinitionInvalid
from storage.metadata import task_definitions
from storage.metadata.database import Work
from storage.metadata.task_definitions import DefinitionRecord, Wanted

PULL = "ecr:BatchGetImage"
"""What whoever launches an image of this registry has to be allowed: the engine's own token is no way around it."""
_MOST_DELETED = 10


async def register_task_definition(call: Call) -> Answer:
    """Enter the next revision of a family; its images are pinned to the digests that their tags have now."""
    document = with_defaults({name: value for name, value in call.input.items() if name != "tags"})
    try:
        definition = parse(document)
    except DefinitionInvalid as error:
        raise client_error(str(error)) from None
    tags = parse_tags(call.input.get("tags", ()))
    found = await images_of(call, definition)
    digests = {container: str(image.digest) for container, image in found.items() if image.digest is not None}
    document = {**document, "registeredBy": call.caller.principal.in_policies(call.parts.account).arn}

    def work() -> Work[DefinitionRecord]:
        return (yield from task_definitions.register(call.account_key, definition.family, document, digests, tags))

    record = await database(call).write(lambda: recorded(call, work, lambda made: {"revision": made.revision}))
    return {"taskDefinition": described(call, record), "tags": record.tags}


async def describe_task_definition(call: Call) -> Answer:
    """Describe one revision, whatever its status; without a revision, the newest that is active."""
    record = await database(call).read(_find(call, call.input["taskDefinition"]))
    if record is None:
        raise client_error("Unable to describe task definition.")
    return {"taskDefinition": described(call, record), "tags": record.tags if included(call, "TAGS") else None}


async def deregister_task_definition(call: Call) -> Answer:
    """Make a revision INACTIVE: what runs goes on, and services can go on using it; nothing new can."""
    record = await _one_revision(call, call.input["taskDefinition"])
    if record is None:
        raise client_error("The specified task definition does not exist.")
    if record.status == task_definitions.DELETING:
        raise client_error("The specified task definition is being deleted.")

    def work() -> Work[DefinitionRecord]:
        yield from task_definitions.set_status(record, task_definitions.INACTIVE)
        return (yield from _again(record))

    done = await database(call).write(lambda: recorded(call, work, target=_target(record)))
    return {"taskDefinition": described(call, done)}


async def delete_task_definitions(call: Call) -> Answer:
    """Delete revisions that are INACTIVE; those that something still runs go when it has stopped."""
    deleted, failures = [], []
    for text in at_most_named(call.input["taskDefinitions"], "taskDefinitions", _MOST_DELETED):
        record = await _one_revision(call, text)
        if record is None:
            failures.append({"arn": text, "reason": "The specified task definition does not exist."})
            continue
        arn = arns(call).definition(record.account, record.family, record.revision)
        if record.status == task_definitions.ACTIVE:
            reason = "The specified task definition is still in ACTIVE status. Please deregister it first."
            failures.append({"arn": arn, "reason": reason})
            continue
        deleted.append(await _delete(call, record))
    return {"taskDefinitions": deleted, "failures": failures}


async def list_task_definitions(call: Call) -> Answer:
    """The ARNs of revisions by family prefix and status, page by page."""
    asked = page_of(call)
    given = call.input
    wanted = Wanted(given.get("status", "ACTIVE"), given.get("familyPrefix", ""), given.get("sort") == "DESC")
    family, _, revision = asked.position.partition(":")
    last = (family, int(revision or 0))
    records = await database(call).read(task_definitions.page(call.account_key, wanted, last, asked.size + 1))
    shown = records[: asked.size]
    more = f"{shown[-1].family}:{shown[-1].revision}" if len(records) > asked.size else None
    return {
        "taskDefinitionArns": [arns(call).definition(one.account, one.family, one.revision) for one in shown],
        "nextToken": call.next_token(more),
    }


async def list_task_definition_families(call: Call) -> Answer:
    """Families by prefix, page by page; by default also those without an active revision, as in AWS."""
    asked = page_of(call)
    wanted = Wanted(call.input.get("status", "ALL"), call.input.get("familyPrefix", ""))
    names = await database(call).read(
        task_definitions.families(call.account_key, wanted, asked.position, asked.size + 1)
    )
    shown = names[: asked.size]
    return {"families": shown, "nextToken": call.next_token(shown[-1] if len(names) > asked.size else None)}


async def usable(call: Call, text: str) -> DefinitionRecord:
    """The revision that is to run: an active one. AwsError."""
    record = await database(call).read(_find(call, text))
    if record is None:
        raise client_error("TaskDefinition not found.")
    if record.status != task_definitions.ACTIVE:
        raise client_error("TaskDefinition is inactive")
    return record


async def images_of(call: Call, definition: TaskDefinition) -> Found:
    """What the images of a definition mean now, by container."""
    return {container.name: await call.parts.ecs.images.find(container.image) for container in definition.containers}


async def pulled_by(call: Call, definition: TaskDefinition) -> Found:
    """The same, for a launch: the caller may pull those that are this registry's. AwsError AccessDeniedException."""
    found = await images_of(call, definition)
    for name in sorted({image.name for image in found.values() if image.name is not None}, key=str):
        await call.require(PULL, call.arn(name))
    return found


def described(call: Call, record: DefinitionRecord) -> Mapping[str, Any]:
    """The revision as ECS shows it, with everything that it was registered with."""
    awsvpc = record.document.get("networkMode") == NetworkMode.AWSVPC
    return {
        **record.document,
        "taskDefinitionArn": arns(call).definition(record.account, record.family, record.revision),
        "revision": record.revision,
        "status": record.status,
        "compatibilities": ["EXTERNAL", "EC2", "FARGATE"] if awsvpc else ["EXTERNAL", "EC2"],
        "registeredAt": record.registered_at,
        "deregisteredAt": record.deregistered_at,
    }


def _find(call: Call, text: str) -> Work[DefinitionRecord | None]:
    family, revision = revision_named(call, text)
    return (yield from task_definitions.find(call.account_key, family, revision))


async def _one_revision(call: Call, text: str) -> DefinitionRecord | None:
    family, revision = revision_named(call, text)
    if revision is None:
        raise invalid("The task definition needs its revision: FAMILY:REVISION.")
    return await database(call).read(task_definitions.find(call.account_key, family, revision))


def _again(record: DefinitionRecord) -> Work[DefinitionRecord]:
    return (yield from task_definitions.find(record.account, record.family, record.revision)) or record


async def _delete(call: Call, record: DefinitionRecord) -> Mapping[str, Any]:
    def work() -> Work[Mapping[str, Any]]:
        yield from task_definitions.set_status(record, task_definitions.DELETING)
        shown = yield from _again(record)
        yield from task_definitions.forget(shown)
        return described(call, shown)

    return await database(call).write(lambda: recorded(call, work, target=_target(record)))


def _target(record: DefinitionRecord) -> str:
    """As the audit trail names it."""
    return f"task-definition/{record.family}:{record.revision}"
