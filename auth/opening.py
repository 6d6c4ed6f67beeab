"""An open registry: everybody is the same somebody, and may do everything."""

from collections.abc import Callable, Mapping, Sequence

from auth.access import Caller, Verdict
from auth.principals import Kind, Principal
from estiva.reference import RepositoryName

EVERYBODY = Principal(Kind.USER, "everybody")


class OpenDoor:
    """Takes everybody for the same somebody, whatever they bring (see `auth.gate.Gate`)."""

    async def caller(self, authorization: str | None, context: Mapping[str, tuple[str, ...]]) -> Caller:
        """Everybody."""
        return Caller(EVERYBODY, None, context)


class OpenAccess:
    """Allows everything (see `auth.access.Access`)."""

    def __init__(self, arn: Callable[[RepositoryName], str]) -> None:
        self._arn = arn

    async def decide(self, caller: Caller, action: str, resource: str, **context: str) -> Verdict:
        """Yes."""
        return Verdict(allowed=True, lasting=True)

    async def allowed_among(self, caller: Caller, action: str, names: Sequence[RepositoryName]) -> list[bool]:
        """Yes, to all."""
        return [True] * len(names)

    def repository_arn(self, name: RepositoryName) -> str:
        """The repository's name in policies."""
        return self._arn(name)
