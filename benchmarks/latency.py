"""How long one client waits for each operation, by the database that holds the facts.

``python -m benchmarks.latency postgresql://USER:PASSWORD@HOST/EMPTY_DATABASE [ROUNDS]`` prints a table: the median and
the 99th percentile of each operation with SQLite and with that database, one request after the other, in turns.
"""

from __future__ import annotations

import os
import secrets
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter

from benchmarks import load
from benchmarks.contents import Contents
from benchmarks.figures import percentile
from benchmarks.images import BLOBS, MANIFEST_TYPE, REPOSITORY, TAG, digest, layer, manifest
from benchmarks.operations import get, put, put_manifest
from benchmarks.peers import REPOSITORY as HERE
from benchmarks.peers import Estiva, find
from benchmarks.scenario import Door, Target
from benchmarks.server import started
from benchmarks.stock import PARTS

ROUNDS = 200
SIZE = 64 << 10
_ACCEPT = f"Accept: {MANIFEST_TYPE}"


@dataclass(frozen=True)
class OnDatabase(Estiva):
    """Estiva with its facts in another database."""

    url: str = ""

    def environment(self) -> dict[str, str]:
        """See `Peer`."""
        elsewhere = {"ESTIVA_DATABASE_URL": self.url, "ESTIVA_MASTER_KEY": secrets.token_hex(32)} if self.url else {}
        return super().environment() | elsewhere


Operations = dict[str, Callable[[Target, int], load.Operation]]
OPERATIONS: Operations = {
    "push of a blob of 64 KiB (POST, PUT)": lambda on, n: put(BLOBS, on.contents.new(SIZE), on.contents.plain),
    "PUT of a manifest, new tag": lambda on, n: put_manifest(REPOSITORY, f"n{n}", manifest(n)),
    "GET of a manifest by tag": lambda on, n: get(f"/v2/{REPOSITORY}/manifests/{TAG}", None, _ACCEPT),
    "GET of a blob of 1 KiB": lambda on, n: get(f"/v2/{REPOSITORY}/blobs/{digest(layer(0))}", len(layer(0))),
}


def measure(url: str, rounds: int, directory: Path) -> dict[str, dict[str, list[float]]]:
    """Milliseconds of each operation on each database."""
    found = find("estiva")
    peers = {name: OnDatabase(name, found.program, url=where) for name, where in (("SQLite", ""), ("PostgreSQL", url))}
    figures: dict[str, dict[str, list[float]]] = {name: {what: [] for what in OPERATIONS} for name in peers}
    with ExitStack() as opened:
        contents = opened.enter_context(Contents(directory, SIZE))
        targets = {}
        for name, peer in peers.items():
            server = opened.enter_context(started(peer, directory / name))
            door = Door("127.0.0.1", server.port, server.access.filling())
            targets[name] = Target(door, 1, 0, contents)
            PARTS["image"](targets[name])
            targets[name] = replace(targets[name], door=door._replace(authorization=server.access.measuring()))
        for number in range(rounds):
            for what, operation in OPERATIONS.items():
                for name, target in targets.items():
                    figures[name][what].append(_timed(target, operation(target, number)))
    return figures


def _timed(target: Target, operation: load.Operation) -> float:
    begun = perf_counter()
    load.run(target.door, 1, 60, [operation])
    return (perf_counter() - begun) * 1000


def table(figures: dict[str, dict[str, list[float]]]) -> str:
    """As Markdown."""
    rows = ["| operation | SQLite p50 | p99 | PostgreSQL p50 | p99 |", "|---|--:|--:|--:|--:|"]
    for what in OPERATIONS:
        cells = [f"{percentile(figures[name][what], share):.1f} ms" for name in figures for share in (0.5, 0.99)]
        rows.append(f"| {what} | {' | '.join(cells)} |")
    return "\n".join(rows)


if __name__ == "__main__":
    build = HERE / "build"
    build.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="estiva-latency-", dir=build) as name:
        os.environ.pop("ESTIVA_DATABASE_URL", None)
        print(table(measure(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else ROUNDS, Path(name))))
