"""Runs scenarios in interleaved rounds: every peer once per scenario and round, one after another."""

from __future__ import annotations

import http.client
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from time import sleep

from benchmarks import procfs
from benchmarks.contents import Contents
from benchmarks.gateway import Gateway, gateway_running
from benchmarks.peers import Peer
from benchmarks.scenario import GIB, MIB, Door, Sample, Scenario, ScenarioFailed, Storage, Target
from benchmarks.server import Server, free_port, started
from benchmarks.stock import PARTS

_LOOK = 0.3
_QUIET = 0.25
"""Of one core: a machine on which everything else uses no more than this is quiet."""
FAILURES = (ScenarioFailed, OSError, http.client.HTTPException)
"""How it shows that a registry or a tool does not do its part; anything else is a mistake of ours."""


@dataclass(frozen=True)
class Measurement:
    """One timed run of one scenario against one peer."""

    scenario: str
    peer: str
    round: int
    rate: float
    """In the scenario's unit."""
    p50_ms: float
    p99_ms: float
    cpu: float
    """Server CPU: µs per operation, or seconds per GiB where the unit is MiB/s."""
    peak_rss_mib: float
    load_cpu: float
    """The load generator's own CPU seconds per second: near 1, it may be what limits the rate."""
    other_cpu: float
    """CPU seconds per second of everything else on the machine: near 0, unless it was disturbed."""
    operations: int
    seconds: float


@dataclass(frozen=True)
class Failure:
    """A scenario that could not be measured against a peer, with the reason."""

    scenario: str
    peer: str
    round: int
    reason: str


@dataclass(frozen=True)
class Load:
    """How long and how large: seconds per timed part, entries of the long lists, rounds."""

    seconds: float
    entries: int
    rounds: int


class Bench:
    """The running peers with their stock, and the contents to push to them."""

    def __init__(self, directory: Path, contents: Contents, load: Load) -> None:
        self._directory = directory
        self._contents = contents
        self._load = load
        self._opened = ExitStack()
        self._standing: dict[tuple[str, str], Server] = {}
        self._stocked: set[tuple[str, str, str]] = set()
        self._fresh = 0
        self._gateway: Gateway | None = None

    def __enter__(self) -> Bench:
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    @contextmanager
    def serving(self, scenario: Scenario, peer: Peer) -> Iterator[Server]:
        """The peer, holding what the scenario needs."""
        if scenario.fresh:
            self._fresh += 1
            with self._started(peer, scenario.storage, f"fresh-{self._fresh}") as server:
                yield server
            return
        kind = peer.name, scenario.storage
        if kind not in self._standing:
            place = f"standing-{len(self._standing)}"
            self._standing[kind] = self._opened.enter_context(self._started(peer, scenario.storage, place))
        server = self._standing[kind]
        for part in scenario.needs:
            if (*kind, part) not in self._stocked:
                PARTS[part](self._target(server, server.access.filling()))
                self._stocked.add((*kind, part))
        yield server

    @contextmanager
    def _started(self, peer: Peer, storage: Storage, place: str) -> Iterator[Server]:
        if storage == "disk":
            with started(peer, self._directory / place) as server:
                yield server
            return
        if self._gateway is None:
            self._gateway = self._opened.enter_context(gateway_running(self._directory / "s3", free_port()))
        try:
            with started(replace(peer, bucket=self._gateway.bucket(place, storage)), self._directory / place) as server:
                yield server
        finally:
            self._gateway.forget(place)

    def target(self, server: Server) -> Target:
        """The server as the scenarios see it, with a right to come in that was just obtained."""
        return self._target(server, server.access.measuring())

    def _target(self, server: Server, authorization: str) -> Target:
        door = Door("127.0.0.1", server.port, authorization)
        return Target(door, self._load.seconds, self._load.entries, self._contents)


def measured(
    bench: Bench, scenarios: Sequence[Scenario], peers: Sequence[Peer], rounds: int, patience: Patience
) -> Iterator[Measurement | Failure]:
    """Every scenario against every peer, round by round: A B C A B C."""
    for number in range(1, rounds + 1):
        for scenario in scenarios:
            for peer in peers:
                if peer.name not in scenario.unable:
                    yield _one(bench, scenario, peer, number, patience)


def _one(bench: Bench, scenario: Scenario, peer: Peer, number: int, patience: Patience) -> Measurement | Failure:
    try:
        with bench.serving(scenario, peer) as server:
            timed = scenario.prepare(bench.target(server))
            patience.wait()
            return _measure(scenario, server, number, timed)
    except FAILURES as error:
        return Failure(scenario.name, peer.name, number, f"{type(error).__name__}: {error}")


def _measure(scenario: Scenario, server: Server, number: int, timed: Callable[[], Sample]) -> Measurement:
    procfs.reset_peak(server.pid)
    before = _cpu(server)
    sample = timed()
    used, own, all_of_it = (after - begun for after, begun in zip(_cpu(server), before, strict=True))
    return Measurement(
        scenario=scenario.name,
        peer=server.peer.name,
        round=number,
        rate=rate(scenario, sample),
        p50_ms=sample.p50_ms,
        p99_ms=sample.p99_ms,
        cpu=cost(scenario, sample, used),
        peak_rss_mib=procfs.peak_bytes(server.pid) / MIB,
        load_cpu=own / sample.seconds,
        other_cpu=max(0.0, all_of_it - used - own) / sample.seconds,
        operations=sample.operations,
        seconds=sample.seconds,
    )


def rate(scenario: Scenario, sample: Sample) -> float:
    """Operations, or MiB, per second."""
    done = sample.operations if scenario.unit == "ops/s" else sample.bytes / MIB
    return done / sample.seconds


def cost(scenario: Scenario, sample: Sample, seconds: float) -> float:
    """CPU in µs per operation, or in seconds per GiB."""
    return seconds * 1e6 / sample.operations if scenario.unit == "ops/s" else seconds * GIB / sample.bytes


def _cpu(server: Server) -> tuple[float, float, float]:
    """CPU seconds so far: the server's, ours (with that of children such as wrk), and the whole machine's."""
    times = os.times()
    own = times.user + times.system + times.children_user + times.children_system
    return procfs.cpu_seconds(server.pid), own, procfs.busy_seconds()


class Patience:
    """Waits for the rest of the machine to become quiet, for so many seconds in all and then no longer."""

    def __init__(self, seconds: float) -> None:
        self._left = seconds

    def wait(self) -> None:
        """Return when others use little, or when there is no patience left."""
        while self._left > 0:
            self._left -= _LOOK
            before = procfs.busy_seconds()
            sleep(_LOOK)
            if procfs.busy_seconds() - before <= _QUIET * _LOOK:
                return


def as_json(results: Sequence[Measurement | Failure]) -> dict[str, list[dict[str, object]]]:
    """Measurements and failures as they go into the results file."""
    return {
        "measurements": [asdict(result) for result in results if isinstance(result, Measurement)],
        "failures": [asdict(result) for result in results if isinstance(result, Failure)],
    }
