"""Repositories as a lifecycle sees them, written down in a line per manifest."""

import hashlib
from collections.abc import Mapping

from estiva.digest import Algorithm, Digest
from registry.lifecycle.evaluation import DAY
from storage.metadata.lifecycle import ManifestFacts

NOW = 1_800_000_000.0


def digest(name: str) -> Digest:
    """The digest that a manifest of this name has in tests."""
    return Digest(Algorithm.SHA256, hashlib.sha256(name.encode()).hexdigest())


def manifest(
    name: str,
    age: float = 0,
    tags: Mapping[str, float] | tuple[str, ...] = (),
    children: tuple[str, ...] = (),
    subject: str | None = None,
    pulled: float | None = None,
) -> ManifestFacts:
    """A manifest that is `age` days old; tags are as old as it is, unless their own ages are given."""
    ages = tags if isinstance(tags, Mapping) else dict.fromkeys(tags, age)
    return ManifestFacts(
        digest(name),
        pushed_at=NOW - age * DAY,
        pulled_at=None if pulled is None else NOW - pulled * DAY,
        subject=digest(subject) if subject else None,
        children=tuple(map(digest, children)),
        tags={tag: NOW - days * DAY for tag, days in ages.items()},
    )


def fallback(name: str, suffix: str = "") -> str:
    """The tag that says of what it points at that it refers to that manifest."""
    return f"sha256-{digest(name).hex}{suffix}"
