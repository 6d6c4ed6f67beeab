"""Token scopes: `repository:NAME:pull,push` (distribution's token specification, "Token Scope")."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

LONGEST_SCOPE = 4096
MOST_SCOPES = 64


@dataclass(frozen=True, slots=True)
class Scope:
    """What a client asks for on one resource. Its name is as the client wrote it and may be no valid one."""

    type: str
    name: str
    actions: frozenset[str]

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """The scope that `text` spells; None for anything else: what nobody understands grants nothing.

        The name may hold a colon (a host's port), so the type ends at the first colon and the actions begin
        after the last. A type may carry a class, `repository(plugin)`, which makes no difference here.
        """
        kind, first, rest = text.partition(":")
        name, second, actions = rest.rpartition(":")
        if not (first and second and kind and name) or len(text) > LONGEST_SCOPE:
            return None
        wanted = frozenset(action.strip() for action in actions.split(",") if action.strip())
        return cls(kind.partition("(")[0], name, wanted)

    def __str__(self) -> str:
        return f"{self.type}:{self.name}:{','.join(sorted(self.actions))}"


def parse_scopes(values: Iterable[str]) -> list[Scope]:
    """The scopes in these parameters, each of which may hold several, separated by spaces; one per resource."""
    merged: dict[tuple[str, str], Scope] = {}
    texts = [text for value in values for text in value.split()]
    for text in texts[:MOST_SCOPES]:
        scope = Scope.parse(text)
        if scope is not None:
            known = merged.get((scope.type, scope.name))
            actions = scope.actions | known.actions if known else scope.actions
            merged[scope.type, scope.name] = Scope(scope.type, scope.name, actions)
    return list(merged.values())
