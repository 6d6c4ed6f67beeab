"""The command: ``python -m benchmarks [run|list|report]``."""

from __future__ import annotations

import argparse
import json
import shlex
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import Any

from benchmarks import machine, peers, report
from benchmarks.contents import LARGEST, Contents
from benchmarks.profiling import profile
from benchmarks.runner import Bench, Failure, Load, Measurement, Patience, as_json, measured
from benchmarks.scenario import GIB, Scenario
from benchmarks.scenarios import ALL

_ROOM = 8 * GIB
_FULL = Load(seconds=1, entries=10_000, rounds=7)
_QUICK = Load(seconds=0.3, entries=500, rounds=1)
_PLACES = {"--json", "--markdown", "--workdir"}


class Refused(Exception):
    """The command cannot be done as it was given; the message says why."""


def main(arguments: Sequence[str]) -> int:
    """0 when everything asked for was measured, 1 when something failed, 2 for wrong usage."""
    options = _parser().parse_args(arguments)
    try:
        if options.command == "list":
            print("\n".join(f"{scenario.name:26} {scenario.title}" for scenario in ALL.values()))
            return 0
        if options.command == "report":
            return _report(options, _read(options.json))
        return _run(options, repeatable(arguments))
    except (Refused, peers.PeerMissing) as refusal:
        print(f"benchmarks: {refusal}", file=sys.stderr)
        return 2


def repeatable(arguments: Sequence[str]) -> str:
    """The command to measure the same again: without the options that only say where things go."""
    kept: list[str] = []
    pending = iter(arguments)
    for argument in pending:
        if argument in _PLACES:
            next(pending, None)
        elif argument.partition("=")[0] not in _PLACES:
            kept.append(argument)
    return shlex.join(["python", "-m", "benchmarks", *kept])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    add = parser.add_argument
    add("command", nargs="?", choices=["run", "list", "report"], default="run")
    add("--scenario", nargs="+", metavar="NAME", help="names, or beginnings of names (default: all)")
    add("--peers", nargs="+", metavar="PEER", help="NAME, NAME=PATH or estiva:WORKERS (default: all that are found)")
    add("--against", default=peers.REFERENCE, help="the peer that ratios are to (default: %(default)s)")
    add("--rounds", type=int, help=f"interleaved rounds (default: {_FULL.rounds})")
    add("--seconds", type=float, help=f"length of one timed part (default: {_FULL.seconds})")
    add("--quick", action="store_true", help="one short round of the main scenarios, with short lists")
    add("--patience", type=float, default=0, help="seconds to wait, in all, for a busy machine to become quiet")
    add("--workdir", type=Path, default=peers.REPOSITORY / "build", help="where the data goes; no tmpfs")
    add("--json", type=Path, help="write (or, for report, read) the results here")
    add("--markdown", type=Path, help="write the tables here: between the marks of a page that has them")
    add("--profile", type=Path, metavar="DIR", help="sample estiva with py-spy instead of measuring")
    return parser


def _run(options: argparse.Namespace, command: str) -> int:
    scenarios, chosen, load = _scenarios(options), _peers(options), _load(options)
    options.workdir.mkdir(parents=True, exist_ok=True)
    _check_place(options.workdir)
    with _bench(options.workdir, load) as bench:
        if options.profile:
            return profile(bench, scenarios, chosen, options.profile)
        results = _measured(bench, scenarios, chosen, load, Patience(options.patience))
    told = {
        "command": command,
        "entries": load.entries,
        "machine": machine.description(options.workdir),
        "peers": {peer.name: peer.version() for peer in chosen},
        **as_json(results),
    }
    if options.json:
        options.json.write_text(json.dumps(told, indent=1) + "\n")
    return _report(options, told)


@contextmanager
def _bench(directory: Path, load: Load) -> Iterator[Bench]:
    with (
        tempfile.TemporaryDirectory(prefix="estiva-bench-", dir=directory) as name,
        Contents(Path(name), LARGEST) as contents,
        Bench(Path(name), contents, load) as bench,
    ):
        yield bench


def _scenarios(options: argparse.Namespace) -> list[Scenario]:
    wanted = options.scenario or [""]
    for name in wanted:
        if not any(scenario.startswith(name) for scenario in ALL):
            raise Refused(f"no scenario is called {name!r}; see: python -m benchmarks list")
    named = [scenario for scenario in ALL.values() if any(scenario.name.startswith(name) for name in wanted)]
    return [scenario for scenario in named if scenario.quick or not options.quick or options.scenario]


def _peers(options: argparse.Namespace) -> list[peers.Peer]:
    if options.peers:
        return [peers.find(name) for name in options.peers]
    return peers.found()


def _load(options: argparse.Namespace) -> Load:
    default = _QUICK if options.quick else _FULL
    return Load(options.seconds or default.seconds, default.entries, options.rounds or default.rounds)


def _check_place(directory: Path) -> None:
    if machine.file_system(directory) in {"tmpfs", "ramfs"}:
        raise Refused(f"{directory} is memory, not a disk: a registry's fsync would cost nothing there; use --workdir")
    if shutil.disk_usage(directory).free < _ROOM:
        raise Refused(f"{directory} has less than {_ROOM // GIB} GiB of free room; use --workdir")


def _measured(
    bench: Bench, scenarios: Sequence[Scenario], chosen: Sequence[peers.Peer], load: Load, patience: Patience
) -> list[Measurement | Failure]:
    results: list[Measurement | Failure] = []
    begun = monotonic()
    for result in measured(bench, scenarios, chosen, load.rounds, patience):
        results.append(result)
        what = f"{monotonic() - begun:6.0f} s  {result.round}  {result.scenario:24} {result.peer:16}"
        if isinstance(result, Failure):
            print(f"{what} FAILED {result.reason}", file=sys.stderr)
        else:
            print(f"{what} {result.rate:10,.0f} {ALL[result.scenario].unit}", file=sys.stderr)
    return results


def _read(path: Path | None) -> dict[str, Any]:
    if path is None:
        raise Refused("report needs --json FILE")
    told: dict[str, Any] = json.loads(path.read_text())
    return told


def _report(options: argparse.Namespace, told: dict[str, Any]) -> int:
    text = report.markdown(report.Results(told), ALL.values(), options.against)
    if options.markdown:
        page = options.markdown.read_text() if options.markdown.exists() else ""
        options.markdown.write_text(report.placed(text, page))
    else:
        print(text)
    return 1 if told["failures"] else 0


if __name__ == "__main__":
    # Ended from outside, it still ends the servers that it started and removes their data.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    sys.exit(main(sys.argv[1:]))
