"""What a scenario is, what one timed run of it gives, and the goal it is held against."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from benchmarks.contents import Contents

Unit = Literal["ops/s", "MiB/s"]
Storage = Literal["disk", "s3-proxy", "s3-redirect"]
MIB = 1 << 20
GIB = 1 << 30
TIMES = "\N{MULTIPLICATION SIGN}"
NONE = "\N{EN DASH}"
"""What a table shows where there is nothing to show."""


class ScenarioFailed(Exception):
    """The scenario could not be measured; the message says why in one sentence."""


@dataclass(frozen=True)
class Sample:
    """What the load generator saw in one timed part."""

    operations: int
    bytes: int
    seconds: float
    p50_ms: float
    p99_ms: float


class Door(NamedTuple):
    """Where a registry listens, and what to say there in the Authorization header (nothing, if that is empty)."""

    host: str
    port: int
    authorization: str = ""

    @property
    def address(self) -> tuple[str, int]:
        return self.host, self.port

    @property
    def fields(self) -> list[str]:
        """The lines of a request's header that every request has besides its own."""
        said = [f"Authorization: {self.authorization}"] if self.authorization else []
        return [f"Host: {self.host}:{self.port}", *said]


@dataclass(frozen=True)
class Target:
    """A running registry, how to come in, and how long, with what contents and how many entries to load it."""

    door: Door
    seconds: float
    entries: int
    """How many tags the repository of tags and how many repositories the catalogue is filled with."""
    contents: Contents

    def url(self, path: str) -> str:
        return f"http://{self.door.host}:{self.door.port}{path}"


@dataclass(frozen=True)
class Goal:
    """What must hold of estiva with one worker: ratios against the reference peer, or a latency."""

    rate: float | None = None
    cpu: float | None = None
    p99_ms: float | None = None

    def __str__(self) -> str:
        parts = [
            f"≥ {self.rate:g}{TIMES}" if self.rate is not None else "",
            f"CPU ≤ {self.cpu:g}{TIMES}" if self.cpu is not None else "",
            f"p99 ≤ {self.p99_ms:g} ms" if self.p99_ms is not None else "",
        ]
        return ", ".join(part for part in parts if part) or NONE


@dataclass(frozen=True)
class Scenario:
    """One named workload.

    ``prepare`` does everything that must not be timed and returns the timed part.
    """

    name: str
    title: str
    unit: Unit
    prepare: Callable[[Target], Callable[[], Sample]]
    needs: tuple[str, ...] = ()
    """The parts of the stock (see ``stock.py``) that the registry must hold."""
    fresh: bool = False
    """Whether each run gets a new server on an empty directory, as pushes do."""
    quick: bool = False
    """Whether ``--quick`` runs it."""
    storage: Storage = "disk"
    """Where the registry keeps blobs, and with S3 whether it sends clients there."""
    goal: Goal = field(default_factory=Goal)
    unable: Mapping[str, str] = field(default_factory=dict)
    """Peers that cannot do this, each with the reason."""
