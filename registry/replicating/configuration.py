"""Which repositories are replicated where, in ECR's words."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from estiva.errors import RegistryError
from estiva.reference import RepositoryName
from storage.metadata.replications import Destination

MOST_RULES = 10
MOST_DESTINATIONS = 25
MOST_FILTERS = 100


class ReplicationInvalid(RegistryError):
    """No replication configuration, or endpoint, can be like that; the text says why."""

    code, status, message = "REPLICATION_INVALID", 400, "invalid replication configuration"


@dataclass(frozen=True, slots=True)
class ReplicationConfiguration:
    """The rules as ECR's API has them; a rule without filters is about every repository."""

    rules: Sequence[Mapping[str, Any]] = ()

    def destinations(self, name: RepositoryName) -> list[Destination]:
        """Where images of that repository go, each once."""
        return list(dict.fromkeys(self._destinations(name)))

    def _destinations(self, name: RepositoryName) -> Iterator[Destination]:
        for rule in self.rules:
            filters = [one["filter"] for one in rule.get("repositoryFilters", ())]
            if not filters or any(name.text.startswith(prefix) for prefix in filters):
                for one in rule["destinations"]:
                    yield Destination(one["region"], one["registryId"])

    def as_text(self) -> str:
        """As it is stored."""
        return json.dumps({"rules": self.rules}, sort_keys=True)

    @classmethod
    def from_text(cls, text: str | None) -> "ReplicationConfiguration":
        """What was stored; no rules where nothing was."""
        return cls(json.loads(text)["rules"]) if text else cls()


def checked(rules: Sequence[Mapping[str, Any]], own: Destination) -> ReplicationConfiguration:
    """The configuration, where it can be followed. ReplicationInvalid."""
    if len(rules) > MOST_RULES:
        raise ReplicationInvalid(f"there are more than {MOST_RULES} rules")
    for rule in rules:
        if (rule.get("deleteReplication") or {}).get("enabled"):
            raise ReplicationInvalid("deletions are not replicated: deleteReplication can't be enabled")
        if len(rule.get("repositoryFilters", ())) > MOST_FILTERS:
            raise ReplicationInvalid(f"a rule has more than {MOST_FILTERS} filters")
        if not rule["destinations"]:
            raise ReplicationInvalid("a rule has no destination")
        if any(Destination(one["region"], one["registryId"]) == own for one in rule["destinations"]):
            raise ReplicationInvalid("a registry can't be replicated to itself")
    configuration = ReplicationConfiguration(rules)
    places = {(one["region"], one["registryId"]) for rule in rules for one in rule["destinations"]}
    if len(places) > MOST_DESTINATIONS:
        raise ReplicationInvalid(f"there are more than {MOST_DESTINATIONS} destinations")
    return configuration
