"""What is known of deployments that have to wait, and what is done about them."""

from collections.abc import Mapping, Set
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Hold:
    """A gate holds the deployment back, or (any other reason) does so no longer."""

    deployment_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class Follow:
    """What was pushed during the deployment is deployed now."""

    deployment_id: str


@dataclass(frozen=True, slots=True)
class Waiting:
    """Deployments whose images are still being pulled ahead, and those that gates hold back, with the reason."""

    unprepared: Set[str] = frozenset()
    held: Mapping[str, str] = field(default_factory=dict)
    seen: Set[str] | None = None
    """The deployments that were there when this was found out: one that came since waits for the next look. None: all.
    """

    def is_seen(self, deployment_id: str) -> bool:
        """Whether it is known if the deployment has to wait."""
        return self.seen is None or deployment_id in self.seen


NOTHING = Waiting()
