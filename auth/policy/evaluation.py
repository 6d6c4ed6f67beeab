"""The decision: may this principal do this action on this resource?"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum

from auth.policy.document import Document, Statement
from auth.policy.keys import is_principal_key
from auth.policy.matching import Context, Reading
from auth.policy.principals import PolicyPrincipal
from auth.policy.tokens import ARN_PARTS


class Outcome(Enum):
    """The three ways a decision can go. A deny is explicit where a statement says so, implicit where none allows."""

    ALLOWED = "allowed"
    EXPLICIT_DENY = "explicit deny"
    IMPLICIT_DENY = "implicit deny"


@dataclass(frozen=True, slots=True)
class PolicyRequest:
    """What is asked. `action` is an ECR action, `resource` an ARN or `*` for what has none.

    `context` maps condition keys, in any case, to their values; those about the principal come from the principal and
    may not be given (ValueError): nothing in a request can say that somebody else asks.
    """

    principal: PolicyPrincipal
    action: str
    resource: str
    context: Context = field(default_factory=dict)

    def __post_init__(self) -> None:
        context = dict(self.principal.context)
        for key, values in self.context.items():
            lower = key.lower()
            if lower in context or is_principal_key(lower):
                raise ValueError(f"{key} is there twice, or is the principal's own")
            context[lower] = values
        object.__setattr__(self, "context", context)


@dataclass(frozen=True, slots=True)
class Decision:
    """How it went, and why. `statement` of `document` decided; both are None for an implicit deny.

    `depends_on` are the condition keys, in lower case, that were looked at on the way: another request that differs
    only in other keys gets the same decision, with the same `depends_on`.
    """

    outcome: Outcome
    document: Document | None = None
    statement: Statement | None = None
    depends_on: frozenset[str] = frozenset()

    @property
    def allowed(self) -> bool:
        """Whether it may be done."""
        return self.outcome is Outcome.ALLOWED

    @property
    def varies_with(self) -> frozenset[str]:
        """The keys of `depends_on` that are not the principal's: where there are none, the same principal, action and
        resource get the same decision until a policy changes.
        """
        return frozenset(key for key in self.depends_on if not is_principal_key(key))

    @property
    def reason(self) -> str:
        """One line for logs and for those who write policies; it is not for those who are refused."""
        if self.document is None or self.statement is None:
            return "no statement allows it"
        name = f" {self.document.name}" if self.document.name else ""
        return f"{self.outcome.value} by {self.statement.label} of the {self.document.kind.value}{name}"


def evaluate(request: PolicyRequest, identity: Sequence[Document], resource: Document | None) -> Decision:
    """Decide by the policies of who asks (its own and its groups') and the policy of the repository.

    A Deny anywhere wins. Otherwise one Allow is enough where principal and resource are of the same account; across
    accounts both sides have to allow. Who is anonymous has no policies: only the repository's counts. Naming an account
    in the repository's policy opens it to that account, whose own policies then say for whom: inside the same account
    it allows nobody by itself.
    """
    policies = _Policies(request, () if request.principal.anonymous else identity, resource)
    if denied := policies.first_deny():
        return policies.decision(Outcome.EXPLICIT_DENY, denied)
    across = crosses_accounts(request.principal, request.resource)
    allowed = policies.allowed_across_accounts() if across else policies.allowed_within_account()
    return policies.decision(Outcome.ALLOWED if allowed else Outcome.IMPLICIT_DENY, allowed)


class Narrowed:
    """What policies say to one request, for any number of resources that share a policy, or have none.

    Only what hangs on the resource is left to look at: `allows` says of each what `evaluate` would say.
    """

    def __init__(self, request: PolicyRequest, identity: Sequence[Document], shared: Document | None) -> None:
        principal, action = request.principal, request.action
        self._principal = principal
        self._reading = Reading(request.context)

        def concerning(statements: Iterable[Statement]) -> list[Statement]:
            return [statement for statement in statements if statement.concerns(action, self._reading)]

        own = () if principal.anonymous else identity
        allows = concerning(shared.allows if shared else ())
        denies = concerning(shared.denies if shared else ())
        self._identity_allows = concerning(statement for document in own for statement in document.allows)
        self._denies = concerning(statement for document in own for statement in document.denies)
        self._denies += [statement for statement in denies if statement.denies_to(principal)]
        self._shared_allows = {
            delegated: [statement for statement in allows if statement.allows_to(principal, delegated=delegated)]
            for delegated in (False, True)
        }

    def allows(self, resource: str) -> bool:
        """Whether the request is allowed for that resource, in place of its own."""
        if self._any(self._denies, resource):
            return False
        by_identity = self._any(self._identity_allows, resource)
        if crosses_accounts(self._principal, resource):
            return by_identity and self._any(self._shared_allows[True], resource)
        return by_identity or self._any(self._shared_allows[False], resource)

    def _any(self, statements: Iterable[Statement], resource: str) -> bool:
        return any(statement.names(resource, self._reading) for statement in statements)


def crosses_accounts(principal: PolicyPrincipal, resource: str) -> bool:
    """Whether the resource belongs to another account than the principal. Who is anonymous belongs to none."""
    parts = resource.split(":", ARN_PARTS - 1)
    return len(parts) == ARN_PARTS and parts[4] != principal.account and not principal.anonymous


_Found = tuple[Document, Statement] | None


class _Policies:
    """All policies of one decision, and what was read of the request on the way."""

    def __init__(self, request: PolicyRequest, identity: Iterable[Document], resource: Document | None) -> None:
        self._request = request
        self._identity = identity
        self._resource = resource
        self._reading = Reading(request.context)

    def decision(self, outcome: Outcome, found: _Found) -> Decision:
        document, statement = found or (None, None)
        return Decision(outcome, document, statement, frozenset(self._reading.keys))

    def first_deny(self) -> _Found:
        for document in self._identity:
            for statement in document.denies:
                if self._applies(statement):
                    return document, statement
        return self._resource_deny()

    def allowed_within_account(self) -> _Found:
        return self._identity_allow() or self._resource_allow(delegated=False)

    def allowed_across_accounts(self) -> _Found:
        by_resource = self._resource_allow(delegated=True)
        return by_resource if by_resource and self._identity_allow() else None

    def _identity_allow(self) -> _Found:
        for document in self._identity:
            for statement in document.allows:
                if self._applies(statement):
                    return document, statement
        return None

    def _resource_deny(self) -> _Found:
        if self._resource is None:
            return None
        for statement in self._resource.denies:
            if statement.denies_to(self._request.principal) and self._applies(statement):
                return self._resource, statement
        return None

    def _resource_allow(self, *, delegated: bool) -> _Found:
        if self._resource is None:
            return None
        for statement in self._resource.allows:
            if statement.allows_to(self._request.principal, delegated=delegated) and self._applies(statement):
                return self._resource, statement
        return None

    def _applies(self, statement: Statement) -> bool:
        return statement.applies(self._request.action, self._request.resource, self._reading)
