"""Pulling large blobs."""

from __future__ import annotations

from collections.abc import Callable
from itertools import repeat

from benchmarks import load
from benchmarks.images import BLOBS, SIZES
from benchmarks.operations import get_blob
from benchmarks.scenario import Goal, Sample, Scenario, Target


def _get(size: str, connections: int) -> Callable[[Target], Callable[[], Sample]]:
    def prepare(target: Target) -> Callable[[], Sample]:
        body = target.contents.fixed(SIZES[size])
        operation = get_blob(f"/v2/{BLOBS}/blobs/{body.digest}", body.size)
        load.run(target.door, 1, target.seconds, [operation])  # once untimed: it must be right
        return lambda: load.run(target.door, connections, target.seconds, repeat(operation))

    return prepare


SCENARIOS = [
    Scenario(
        name=f"blob-get-{size}-{connections}",
        title=f"blob GET {size[:-1]} MiB, {connections} connection{'s' * (connections > 1)}",
        unit="MiB/s",
        prepare=_get(size, connections),
        needs=(f"blob-{size}",),
        quick=connections == 4,
        goal=Goal(rate=1.2, cpu=0.6),
    )
    for size, connections in (("10m", 4), ("10m", 16), ("256m", 1), ("256m", 4))
]
