"""What ECS's operations share: pages, tags, clusters that have to be there, and members that can't be served."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from aws.call import Call
from aws.ecs_names import cluster_of, invalid
from aws.errors import AwsError
from aws.paging import Asked
from orchestrator.rules import DefinitionInvalid
from storage.metadata import audit, clusters
from storage.metadata.clusters import ClusterKey, ClusterRecord
from storage.metadata.database import ConstraintError, Database, Work

T = TypeVar("T")
Tags = Sequence[Mapping[str, str]]
Facts = Mapping[str, Any]
MOST_TAGS = 50
MOST_NAMED = 100
_TRIES = 5
_NOT_TOLD = frozenset({"clientToken", "instanceIdentityDocument", "instanceIdentityDocumentSignature"})


def nothing_more(done: object) -> Facts:
    """The result adds nothing to what was asked."""
    return {}


def database(call: Call) -> Database:
    """Where facts are."""
    return call.parts.ecs.database


async def change(
    call: Call, key: ClusterKey, work: Callable[[], Work[T]], made: Callable[[T], Facts] = nothing_more
) -> T:
    """The result of work in one transaction, with its lines in the audit trail. AwsError.

    Whoever acts for the cluster is told. `made` says what the trail should know of the result.
    """
    try:
        done = await _again(call, lambda: recorded(call, work, made))
    except DefinitionInvalid as error:
        raise AwsError("ClientException", str(error)) from None
    call.parts.ecs.wake(key)
    return done


def recorded(
    call: Call, work: Callable[[], Work[T]], made: Callable[[T], Facts] = nothing_more, target: str = ""
) -> Work[T]:
    """The work, and in its transaction a line in the audit trail for each resource that the request is about.

    A line says what was given as a number, a word or a switch: nothing of these is secret.
    """
    done = yield from work()
    given = {name: value for name, value in call.input.items() if isinstance(value, str | int | float)}
    facts = {name: value for name, value in given.items() if name not in _NOT_TOLD} | dict(made(done))
    if call.account_key:
        facts["account"] = call.account_key
    for named in [target] if target else [resource.split(":", 5)[-1] for resource in call.resources]:
        yield from audit.record(call.actor, call.operation, named, **facts)
    return done


async def _again(call: Call, work: Callable[[], Work[T]]) -> T:
    """Work that somebody else was quicker than is done again."""
    for _ in range(_TRIES):
        try:
            return await database(call).write(work)
        except (OutrunError, ConstraintError):
            continue
    raise AwsError("ServerException", "The resource is changed by others all the time; try again.", 503)


class OutrunError(Exception):
    """What was to be changed is no longer as it was read; nothing was changed."""


def require(done: bool) -> None:
    """OutrunError unless the change was made."""
    if not done:
        raise OutrunError


def active(key: ClusterKey) -> Work[ClusterRecord]:
    """The cluster, which is active. AwsError."""
    record = yield from clusters.find(key)
    if record is None or record.status != clusters.ACTIVE:
        raise AwsError("ClusterNotFoundException", "Cluster not found.")
    return record


async def require_cluster(call: Call) -> ClusterKey:
    """The cluster of the request, which is active. AwsError."""
    key = cluster_of(call)
    await database(call).read(active(key))
    return key


def page_of(call: Call, default: int = 100, most: int = 100) -> Asked:
    """The page that is asked for. AwsError."""
    asked = call.page(default)
    if not 1 <= asked.size <= most:
        raise invalid(f"maxResults must be between 1 and {most}.")
    return asked


def refuse_unsupported(call: Call, *names: str) -> None:
    """UnsupportedFeatureException where the request uses any of these members."""
    for name in names:
        value: Any = call.input
        for part in name.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
        if value not in (None, [], {}, "", False):
            raise unsupported(name)


def require_engine(call: Call) -> None:
    """UnsupportedFeatureException where this server runs no tasks, by the name of the operation that wants some."""
    if not call.parts.ecs.has_engine:
        told = f"{call.operation} is not supported by this server: it has no container engine (ESTIVA_ENGINE is none)."
        raise AwsError("UnsupportedFeatureException", told)


def unsupported(name: str) -> AwsError:
    """A member, or a value of one, that would act in AWS and can't here."""
    return AwsError("UnsupportedFeatureException", f"{name} is not supported by this server (see docs/ecs.md).")


def parse_tags(given: Tags) -> Tags:
    """Tags as they are stored. AwsError."""
    tags = merged((), given)
    if len(tags) < len(given):
        raise invalid("Duplicate tag keys found.")
    return tags


def merged(before: Tags, given: Tags) -> Tags:
    """The tags with those that are set. AwsError."""
    found = {tag["key"]: tag["value"] for tag in before}
    for tag in given:
        key, value = tag.get("key", ""), tag.get("value", "")
        if not 0 < len(key) <= 128 or len(value) > 256 or key.lower().startswith("aws:"):
            raise invalid("A tag's key has 1 to 128 characters and does not begin with aws:, its value at most 256.")
        found[key] = value
    if len(found) > MOST_TAGS:
        raise invalid(f"A resource has at most {MOST_TAGS} tags.")
    return [{"key": key, "value": value} for key, value in sorted(found.items())]


def missing(arn: str) -> Mapping[str, str]:
    """The failure that says that something is not there."""
    return {"arn": arn, "reason": "MISSING"}


def at_most_named(names: Sequence[str], what: str, most: int = MOST_NAMED) -> Sequence[str]:
    """The names, of which there are some and not too many. AwsError."""
    if not names:
        raise invalid(f"{what} cannot be empty.")
    if len(names) > most:
        raise invalid(f"{what} can have at most {most} items.")
    return names


def included(call: Call, name: str) -> bool:
    """Whether `include` names that."""
    return name in call.input.get("include", ())
