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
    claims that the issuer vouched for. `key` is the access key that it signed in with, if it did.
    """

    kind: Kind
    name: str
    id: int | None = None
    trust: str | None = None
    claims: Mapping[str, str] = field(default_factory=dict, hash=False, compare=False)
    account: str = ""
    """The account it belongs to, where that is not the server's own."""
    key: str | None = field(default=None, hash=False, compare=False)

    @property
    def is_anonymous(self) -> bool:
        """Whether nobody is known to ask."""
        return self.kind is Kind.ANONYMOUS

    @property
    def owner(self) -> str:
        """Whose uploads are its own: those of its account, kind and name, and of nobody else."""
        account = f"{self.account}:" if self.account else ""
        return f"{account}{self.kind.value}:{self.name}"

    def in_policies(self, account: str) -> PolicyPrincipal:
        """The principal as policies see it; `account` is the server's own."""
        if self.is_anonymous:
            return NOBODY
        account = self.account or account
        kind = PrincipalKind.FEDERATED if self.kind is Kind.JOB else PrincipalKind.USER
        arn = f"arn:aws:iam::{account}:{self.kind.value}/{self.name}"
        attributes = {f"oidc:{claim}": (value,) for claim, value in self.claims.items()}
        return PolicyPrincipal(arn, account, self.name, kind, attributes=attributes)


ANONYMOUS = Principal(Kind.ANONYMOUS, "")
