"""The one place that decides whether somebody may do something.

Every door (the registry's API, the token service, `/api/v1/`, later the AWS APIs) asks here and nowhere else.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Protocol

from auth.policy.actions import REQUIRED, Operation
from auth.principals import Principal
from auth.tokens import Token
from estiva.errors import Denied, Unauthorized
from estiva.reference import RepositoryName
from storage.metadata.audit import Actor

IMAGE_TAG = "ecr:imagetag"
"""The condition key of the tag that a request is about."""


class Action(StrEnum):
    """What can be asked of a repository, in the words of registry token scopes."""

    PULL = "pull"
    PUSH = "push"
    DELETE = "delete"


_IN_ORDER = {
    operation: tuple(tuple(sorted(actions)) for actions in alternatives) for operation, alternatives in REQUIRED.items()
}


@dataclass(frozen=True, slots=True)
class Caller:
    """Who makes a request, and what is known of the request that a policy may ask about.

    `context` holds condition keys in lower case, such as `aws:sourceip`. With a token, nothing is allowed that
    the token was not issued for.
    """

    principal: Principal
    token: Token | None = None
    context: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    is_fresh: bool = field(default=False, compare=False)
    """Whether the epoch of access was looked at for this request: deciding about it need not look again."""

    @property
    def address(self) -> str:
        """The address that the request came from."""
        return self.context.get("aws:sourceip", ("",))[0]

    @property
    def actor(self) -> Actor:
        """The caller, as the audit trail and events name it."""
        return Actor(f"{self.principal.kind.value}/{self.principal.name}", self.address)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was decided, and which condition keys that depended on.

    `lasting` says that it holds while no identity or policy changes, whatever else of the request is different.
    `denied` says that a statement refuses it, whatever others allow; `alternative`, which of several ways to be
    allowed an operation it was.
    """

    allowed: bool
    lasting: bool
    depends_on: frozenset[str] = frozenset()
    reason: str = ""
    denied: bool = False
    alternative: int = 0


class Access(Protocol):
    """Decides."""

    async def decide(self, caller: Caller, action: str, resource: str, **context: str) -> Verdict:
        """Whether `caller` may do `action` (such as `ecr:PutImage`) on the resource of that ARN.

        `context` adds condition keys of this one question, such as the tag that is pushed.
        """
        ...

    async def allowed_among(self, caller: Caller, action: str, names: Sequence[RepositoryName]) -> list[bool]:
        """For each of these repositories what `decide` says, for much less: they are in byte order, as a list is."""
        ...

    def repository_arn(self, name: RepositoryName) -> str:
        """The repository's name in policies."""
        ...


async def permits(access: Access, caller: Caller, operation: Operation, resource: str, **context: str) -> Verdict:
    """Whether the caller may do an operation of the OCI API: all actions of one of its alternatives.

    What only a later alternative allows does not last: it may not be taken for what the first one would allow.
    """
    verdict = Verdict(allowed=False, lasting=True)
    for place, actions in enumerate(_IN_ORDER[operation]):
        verdict = await _all_of(access, caller, actions, resource, context)
        if verdict.allowed:
            return verdict if place == 0 else replace(verdict, lasting=False, alternative=place)
    return verdict


async def permits_each(
    access: Access, caller: Caller, operation: Operation, names: Sequence[RepositoryName]
) -> list[bool]:
    """Whether the caller may do an operation, for each of these repositories, which are in byte order."""
    permitted = [False] * len(names)
    for actions in REQUIRED[operation]:
        allowed = [await access.allowed_among(caller, action, names) for action in sorted(actions)]
        permitted = [before or all(each) for before, *each in zip(permitted, *allowed, strict=True)]
    return permitted


async def _all_of(
    access: Access, caller: Caller, actions: Sequence[str], resource: str, context: Mapping[str, str]
) -> Verdict:
    lasting = True
    depends_on: frozenset[str] = frozenset()
    verdict = Verdict(allowed=False, lasting=True)
    for action in actions:
        verdict = await access.decide(caller, action, resource, **context)
        lasting = lasting and verdict.lasting
        depends_on |= verdict.depends_on
        if not verdict.allowed:
            break
    if lasting == verdict.lasting and depends_on == verdict.depends_on:
        return verdict
    return replace(verdict, lasting=lasting, depends_on=depends_on)


class TokenTooSmall(Unauthorized):
    """The token is good, and was not issued for this: the client should ask for one that is, for `needed`."""

    def __init__(self, needed: Action | None = None) -> None:
        super().__init__()
        self.needed = needed


def is_granted(caller: Caller, kind: str, name: str, action: str) -> bool:
    """Whether the caller's token, if it came with one, was issued for this."""
    return caller.token is None or caller.token.grants(kind, name, action)


def refuse(caller: Caller, verdict: Verdict) -> None:
    """Return where it was allowed; Unauthorized for whoever might sign in, Denied for whoever has."""
    if verdict.allowed:
        return
    if caller.principal.is_anonymous:
        raise Unauthorized
    # Not why: that would tell of policies, and of repositories that have one, to those who may not know of them.
    # The detail is for docker, which takes an error without any for one that passes and sends everything six times.
    raise Denied(detail="not allowed by policy")
