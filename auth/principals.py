"""Who can ask: users, robots, jobs of trusted issuers, and nobody in particular."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from auth.policy.principals import ANONYMOUS as NOBODY
from auth.policy.principals import PolicyPrincipal, PrincipalKind


class Kind(StrEnum):
    """What sort of principal it is."""

    USER = "user"
    ROBOT = "robot"
    JOB = "job"
    ANONYMOUS = "anonymous"


@dataclass(frozen=True, slots=True)
class Principal:
    """Somebody who asks, as far as it has been established.

    `id` is the stored principal's; a job of a trusted issuer has none, but the issuer's name in `trust` and the
    claims that the issuer vouched for.
    """

    kind: Kind
    name: str
    id: int | None = None
    trust: str | None = None
    claims: Mapping[str, str] = field(default_factory=dict, hash=False, compare=False)

    @property
    def is_anonymous(self) -> bool:
        """Whether nobody is known to ask."""
        return self.kind is Kind.ANONYMOUS

    def in_policies(self, account: str) -> PolicyPrincipal:
        """The principal as policies of this account see it."""
        if self.is_anonymous:
            return NOBODY
        kind = PrincipalKind.FEDERATED if self.kind is Kind.JOB else PrincipalKind.USER
        arn = f"arn:aws:iam::{account}:{self.kind.value}/{self.name}"
        attributes = {f"oidc:{claim}": (value,) for claim, value in self.claims.items()}
        return PolicyPrincipal(arn, account, self.name, kind, attributes=attributes)


ANONYMOUS = Principal(Kind.ANONYMOUS, "")
