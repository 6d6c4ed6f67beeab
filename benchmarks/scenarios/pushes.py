"""Pushing new blobs, in one PUT and as docker does, and manifests."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks import load
from benchmarks.caller import Caller
from benchmarks.contents import Body, Contents
from benchmarks.images import BLOBS, REPOSITORY, SIZES, TAG, manifest
from benchmarks.operations import patch, put, put_manifest
from benchmarks.scenario import GIB, Goal, Sample, Scenario, Target

_MOST_PER_SECOND = 5000
"""More small operations than any registry does on a disk that keeps what it acknowledges."""

Style = Callable[[str, Body, int], load.Operation]
_STYLES: dict[str, tuple[str, Style, Callable[[Contents], int]]] = {
    "put": ("in one PUT", put, lambda contents: contents.plain),
    "patch": ("docker style", patch, lambda contents: contents.framed),
}


def _push(size: int, connections: int, style: str) -> Callable[[Target], Callable[[], Sample]]:
    def prepare(target: Target) -> Callable[[], Sample]:
        _, way, file = _STYLES[style]
        count = int(min(_MOST_PER_SECOND, 4 * GIB / size) * target.seconds) + connections
        operations = [way(BLOBS, target.contents.new(size), file(target.contents)) for _ in range(count)]
        return lambda: load.run(target.door, connections, target.seconds, operations)

    return prepare


def _manifests(connections: int) -> Callable[[Target], Callable[[], Sample]]:
    def prepare(target: Target) -> Callable[[], Sample]:
        Caller(target).push_image(REPOSITORY, TAG)
        count = int(_MOST_PER_SECOND * target.seconds) + connections
        operations = [put_manifest(REPOSITORY, f"n{n}", manifest(n)) for n in range(count)]
        return lambda: load.run(target.door, connections, target.seconds, operations)

    return prepare


def _blob(size: str, connections: int, style: str) -> Scenario:
    number, small = size[:-1], size.endswith("k")
    return Scenario(
        name=f"blob-{style}-{size}-{connections}",
        title=f"blob push {number} {'KiB' if small else 'MiB'} {_STYLES[style][0]}, "
        f"{connections} connection{'s' * (connections > 1)}",
        unit="ops/s" if small else "MiB/s",
        prepare=_push(SIZES[size], connections, style),
        fresh=True,
        quick=connections == 4,
        goal=Goal(rate=2 if small else 1.2),
    )


SCENARIOS = [
    *(
        _blob(size, connections, style)
        for style in _STYLES
        for size, connections in (("64k", 4), ("10m", 1), ("10m", 4), ("256m", 1), ("256m", 4))
    ),
    Scenario(
        name="manifest-put-4",
        title="manifest PUT with a new tag, 4 connections",
        unit="ops/s",
        prepare=_manifests(4),
        fresh=True,
        quick=True,
    ),
]
