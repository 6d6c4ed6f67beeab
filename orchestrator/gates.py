"""Gates: what a service's tags ask of images before a deployment of it may begin. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

SCAN, SIGNATURE, TAG = "gate-scan", "gate-signature", "gate-immutable-tag"
PREFIX = "gate-"
SEVERITIES = ("CRITICAL", "HIGH", "MEDIUM", "LOW")
"""The worst first: what a scan gate can be closed by."""


class GateInvalid(Exception):
    """A gate that nobody can evaluate; the text says which and why."""


@dataclass(frozen=True, slots=True)
class Gates:
    """What has to hold. All of it unset: nothing."""

    severity: str | None = None
    """No finding is this bad, or worse."""
    key: str | None = None
    """There is a signature by the key of this name."""
    immutable: bool = False
    """The task definition names a digest, or a tag that its repository lets nobody move."""

    @property
    def any(self) -> bool:
        """Whether anything is asked."""
        return self.severity is not None or self.key is not None or self.immutable


def parse(tags: Sequence[Mapping[str, str]]) -> Gates:
    """The gates of a service with these tags. GateInvalid: a gate that is misspelt must not count for none."""
    given = {tag["key"]: tag.get("value", "") for tag in tags if tag["key"].startswith(PREFIX)}
    for name in sorted(given):
        if name not in (SCAN, SIGNATURE, TAG):
            raise GateInvalid(f"{name} is no gate: there are {SCAN}, {SIGNATURE} and {TAG}.")
    severity, key, immutable = given.get(SCAN), given.get(SIGNATURE), given.get(TAG)
    if severity is not None and severity not in SEVERITIES:
        raise GateInvalid(f"{SCAN} is one of {', '.join(SEVERITIES)}, not {severity!r}.")
    if key == "":
        raise GateInvalid(f"{SIGNATURE} is the name of a key.")
    if immutable not in (None, "true", "false"):
        raise GateInvalid(f"{TAG} is true or false, not {immutable!r}.")
    return Gates(severity, key, immutable == "true")


def worst(counts: Mapping[str, int], severity: str) -> str | None:
    """The findings that close a gate of this severity, as they are told: `1 CRITICAL, 3 HIGH`; None: there are none."""
    closing = SEVERITIES[: SEVERITIES.index(severity) + 1]
    return ", ".join(f"{counts[one]} {one}" for one in closing if counts.get(one)) or None
