"""The one place that decides whether somebody may do something.

Every door (the registry's API, later the token service and the AWS APIs) asks here and nowhere else.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from estiva.errors import Denied
from estiva.reference import RepositoryName


class Action(StrEnum):
    """What can be done, in the words of registry token scopes."""

    PULL = "pull"
    PUSH = "push"
    DELETE = "delete"
    CATALOG = "catalog"


@dataclass(frozen=True, slots=True)
class Principal:
    """Somebody who asks. An empty name is nobody in particular."""

    name: str


ANONYMOUS = Principal("")


class Access(Protocol):
    """Decides. Synchronous: it is asked on every request, and answers from what it has at hand."""

    def may(self, principal: Principal, action: Action, repository: RepositoryName | None) -> bool:
        """Whether `principal` may do `action` on `repository`; None is the registry as a whole."""
        ...


class OpenAccess:
    """Everybody may do everything: a registry that listens on loopback only and has no users yet."""

    def may(self, principal: Principal, action: Action, repository: RepositoryName | None) -> bool:
        """See `Access.may`: always yes."""
        return True


def permit(access: Access, principal: Principal, action: Action, repository: RepositoryName | None) -> None:
    """Return where the principal may do it; Denied otherwise."""
    if not access.may(principal, action, repository):
        raise Denied(detail={"action": action.value, "repository": str(repository or "")})
