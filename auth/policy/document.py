"""Policy documents: what a statement and a policy are, once read. `auth.policy.parsing` reads them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from auth.policy.conditions import Condition
from auth.policy.matching import Reading, Texts
from auth.policy.principals import PolicyPrincipal, Principals


class Effect(StrEnum):
    """What a statement does to the requests it applies to."""

    ALLOW = "Allow"
    DENY = "Deny"


class PolicyKind(StrEnum):
    """What a policy is attached to; the value is how messages call it."""

    IDENTITY = "identity policy"
    REPOSITORY = "repository policy"


@dataclass(frozen=True, slots=True)
class Clause:
    """Action, Resource or, `negated`, NotAction, NotResource."""

    texts: Texts
    negated: bool = False

    def covers(self, text: str, reading: Reading, *, when_unknown: bool) -> bool:
        """Whether it names `text`. `when_unknown` answers for a negated one whose variable stands for nothing."""
        matches = self.texts.matches(text, reading)
        if not self.negated:
            return matches is True
        return when_unknown if matches is None else not matches


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement. `resources` is None where it speaks of the repository it is attached to, `principals` None in an
    identity policy; `not_principals` tells that it means everyone but them.
    """

    index: int
    sid: str | None
    effect: Effect
    actions: Clause
    resources: Clause | None = None
    principals: Principals | None = None
    not_principals: bool = False
    conditions: tuple[Condition, ...] = ()

    @property
    def label(self) -> str:
        """How to call it: by its Sid, or else by its place."""
        return self.sid or f"Statement[{self.index}]"

    def allows_to(self, principal: PolicyPrincipal, *, delegated: bool) -> bool:
        """Whether, in a repository's policy, it names the principal, or (`delegated`) the account it belongs to."""
        named = self.principals
        return named is not None and (named.cover(principal) if delegated else named.name(principal))

    def denies_to(self, principal: PolicyPrincipal) -> bool:
        """Whether, in a repository's policy, it names the principal or its account; with NotPrincipal, neither."""
        return self.principals is not None and self.principals.cover(principal) is not self.not_principals

    def applies(self, action: str, resource: str, reading: Reading) -> bool:
        """Whether it is about this request, whoever asks."""
        return self.names_action(action, reading) and self.names(resource, reading) and self.holds(reading)

    def concerns(self, action: str, reading: Reading) -> bool:
        """Whether it is about this request for some resource or other: all that does not hang on which."""
        return self.names_action(action, reading) and self.holds(reading)

    def names_action(self, action: str, reading: Reading) -> bool:
        """Whether it speaks of the action."""
        return self.actions.covers(action, reading, when_unknown=self.effect is Effect.DENY)

    def names(self, resource: str, reading: Reading) -> bool:
        """Whether it speaks of the resource."""
        denies = self.effect is Effect.DENY
        return self.resources is None or self.resources.covers(resource, reading, when_unknown=denies)

    def holds(self, reading: Reading) -> bool:
        """Whether all its conditions are met."""
        return not self.conditions or all(condition.holds(reading) for condition in self.conditions)


@dataclass(frozen=True, slots=True)
class Document:
    """A policy, compiled. `name` is what decisions call it by; `text` the JSON it was read from, as it was given."""

    kind: PolicyKind
    version: str
    id: str | None
    statements: tuple[Statement, ...]
    name: str = ""
    text: str = field(default="", compare=False, repr=False)
    denies: Sequence[Statement] = field(init=False, compare=False, repr=False)
    allows: Sequence[Statement] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "denies", tuple(s for s in self.statements if s.effect is Effect.DENY))
        object.__setattr__(self, "allows", tuple(s for s in self.statements if s.effect is Effect.ALLOW))
