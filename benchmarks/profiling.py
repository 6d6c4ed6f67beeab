"""Where estiva's time goes: py-spy samples the server while a scenario loads it."""

from __future__ import annotations

import signal
import subprocess
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import sleep

from benchmarks.peers import Estiva, Peer, PeerMissing, look_for
from benchmarks.runner import FAILURES, Bench
from benchmarks.scenario import Scenario

_MOST_SHOWN = 25
_PER_SECOND = "500"
_ATTACHING = 1.0


def profile(bench: Bench, scenarios: Sequence[Scenario], peers: Sequence[Peer], directory: Path) -> int:
    """Write the collapsed stacks of each scenario to ``directory`` and print the functions on top.

    Always a separate run: a profiled server's figures are not worth keeping.
    """
    spy = look_for("py-spy")
    ours = [peer for peer in peers if isinstance(peer, Estiva)]
    if spy is None or not ours:
        raise PeerMissing("profiling needs estiva among the peers, and py-spy (pip install py-spy)")
    directory.mkdir(parents=True, exist_ok=True)
    failed = 0
    for scenario in scenarios:
        stacks = directory / f"{scenario.name}.txt"
        print(f"\n{scenario.title} (share of samples with the function on top, and anywhere)")
        try:
            with bench.serving(scenario, ours[0]) as server:
                timed = scenario.prepare(bench.target(server))
                with _spying(spy, server.pid, stacks):
                    timed()
            print("\n".join(summary(stacks.read_text().splitlines())))
        except FAILURES as error:
            failed = 1
            print(f"FAILED {error}")
    return failed


@contextmanager
def _spying(spy: str, pid: int, output: Path) -> Iterator[None]:
    command = [spy, "record", "--subprocesses", "--threads", "--format", "raw", "--rate", _PER_SECOND]
    command += ["--pid", str(pid), "--output", str(output)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        sleep(_ATTACHING)
        yield
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(30)


def summary(stacks: Iterable[str]) -> list[str]:
    """The functions that are most often on top of collapsed stacks (``a;b;c 12``)."""
    top: Counter[str] = Counter()
    anywhere: Counter[str] = Counter()
    for line in stacks:
        stack, _, count = line.rpartition(" ")
        frames = stack.split(";")
        top[frames[-1]] += int(count)
        anywhere.update(dict.fromkeys(set(frames), int(count)))
    total = max(1, top.total())
    return [
        f"{own / total:6.1%} {anywhere[frame] / total:6.1%}  {frame}" for frame, own in top.most_common(_MOST_SHOWN)
    ]
