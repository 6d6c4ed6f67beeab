"""Who can ask: users, robots, jobs of trusted issuers, and nobody in particular."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


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

    def arn(self, account: str) -> str:
        """The principal's name in policies."""
        path = "user" if self.kind is Kind.USER else self.kind.value
        return f"arn:aws:iam::{account}:{path}/{self.name}"


ANONYMOUS = Principal(Kind.ANONYMOUS, "")
