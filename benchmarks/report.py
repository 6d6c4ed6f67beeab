"""The results as Markdown tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from benchmarks.figures import Spread, ratios
from benchmarks.scenario import NONE, TIMES, Scenario

OURS = "estiva"


@dataclass(frozen=True)
class Verdict:
    """One scenario against the reference peer."""

    rate: Spread
    cpu: Spread | None
    """None where a server used less CPU time than the kernel's clock can tell."""
    holds: bool | None
    """None where the scenario has no goal."""


class Results:
    """The measurements of a results file, by scenario and peer."""

    def __init__(self, told: Mapping[str, Any]) -> None:
        self.command: str = told["command"]
        self.entries: int = told["entries"]
        self.machine: Mapping[str, str] = told["machine"]
        self.peers: Mapping[str, str] = told["peers"]
        self.failures: Sequence[Mapping[str, Any]] = told["failures"]
        self._rounds: dict[tuple[str, str], dict[int, Mapping[str, Any]]] = {}
        for row in told["measurements"]:
            self._rounds.setdefault((row["scenario"], row["peer"]), {})[row["round"]] = row

    def figures(self, scenario: str, peer: str, key: str) -> dict[int, float]:
        """One figure of a peer, by round; empty where it was not measured."""
        return {number: row[key] for number, row in self._rounds.get((scenario, peer), {}).items()}

    def median(self, scenario: str, peer: str, key: str) -> float | None:
        """The median over the rounds."""
        values = self.figures(scenario, peer, key).values()
        return median(values) if values else None

    def failed(self, scenario: str, peer: str) -> bool:
        """Whether any round of the scenario failed against the peer."""
        return any(row["scenario"] == scenario and row["peer"] == peer for row in self.failures)

    def rounds(self) -> int:
        """The number of the last round with a measurement."""
        return max((number for rows in self._rounds.values() for number in rows), default=0)


def verdict(results: Results, scenario: Scenario, ours: str, reference: str) -> Verdict | None:
    """How one scenario compares; None unless both were measured in a common round."""
    rates = _between(results, scenario, ours, reference, "rate")
    if not rates:
        return None
    costs = _between(results, scenario, ours, reference, "cpu")
    rate, cpu = Spread.of(rates), Spread.of(costs) if costs else None
    held = _held(scenario, rate, cpu, results.median(scenario.name, ours, "p99_ms"))
    return Verdict(rate, cpu, all(held) and not results.failed(scenario.name, ours) if held else None)


def _between(results: Results, scenario: Scenario, ours: str, reference: str, key: str) -> list[float]:
    return ratios(results.figures(scenario.name, ours, key), results.figures(scenario.name, reference, key))


def _held(scenario: Scenario, rate: Spread, cpu: Spread | None, p99_ms: float | None) -> list[bool]:
    goal = scenario.goal
    held = []
    if goal.rate is not None:
        held.append(rate.median >= goal.rate)
    if goal.cpu is not None:
        held.append(cpu is not None and cpu.median <= goal.cpu)
    if goal.p99_ms is not None:
        held.append(p99_ms is not None and p99_ms <= goal.p99_ms)
    return held


def markdown(results: Results, scenarios: Iterable[Scenario], reference: str) -> str:
    """The whole report: where it was measured, the verdicts, every figure, what failed."""
    chosen = list(scenarios)
    ours = [peer for peer in results.peers if peer.split(":")[0] == OURS]
    compared = [peer for peer in ours if reference in results.peers]
    parts = [_setting(results), *(_verdicts(results, chosen, peer, reference) for peer in compared)]
    parts += [_figures(results, chosen), _failures(results), _unable(results, chosen)]
    return "\n\n".join(part for part in parts if part) + "\n"


BEGIN = "<!-- figures: written by python -m benchmarks --markdown -->"
END = "<!-- end of figures -->"


def placed(text: str, page: str) -> str:
    """The page with the text between its two marks; the bare text for a page that has no marks."""
    before, begun, rest = page.partition(BEGIN)
    _, ended, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{text}\n{END}{after}" if begun and ended else text


def _setting(results: Results) -> str:
    machine = "; ".join(f"{name}: {value}" for name, value in results.machine.items())
    peers = "; ".join(f"`{name}`: {version}" for name, version in results.peers.items())
    return (
        f"Command: `{results.command}` ({results.rounds()} interleaved rounds, medians; "
        f"lists of {results.entries:,} entries).\n\n"
        f"Machine: {machine}.\n\nPeers: {peers}."
    )


def _verdicts(results: Results, scenarios: Sequence[Scenario], ours: str, reference: str) -> str:
    head = f"| workload | {ours} | {reference} | ratio (min{NONE}max) | CPU ratio | goal | holds |"
    rows = [head, "|---|--:|--:|--:|--:|---|---|"]
    for scenario in scenarios:
        found = verdict(results, scenario, ours, reference)
        if found is None:
            continue
        rate, cpu = found.rate, found.cpu
        rows.append(
            f"| {scenario.title} | {_rate(results, scenario, ours)} | {_rate(results, scenario, reference)} "
            f"| {_ratio(rate)} ({rate.low:.2f}{NONE}{rate.high:.2f}) | {_ratio(cpu) if cpu else NONE} "
            f"| {scenario.goal} | {_HOLDS[found.holds]} |"
        )
    return f"### {ours} against {reference}\n\n" + "\n".join(rows)


_HOLDS = {True: "yes", False: "**short**", None: NONE}


def _ratio(spread: Spread) -> str:
    return f"{spread.median:.2f}{TIMES}"


def _rate(results: Results, scenario: Scenario, peer: str) -> str:
    value = results.median(scenario.name, peer, "rate")
    return NONE if value is None else f"{value:,.0f} {scenario.unit}"


def _figures(results: Results, scenarios: Sequence[Scenario]) -> str:
    rows = ["| workload | peer | rate | p50 ms | p99 ms | server CPU | peak RSS MiB | load CPU | other CPU |"]
    rows.append("|---|---|--:|--:|--:|--:|--:|--:|--:|")
    for scenario in scenarios:
        for peer in results.peers:
            row = {key: results.median(scenario.name, peer, key) for key in _KEYS}
            if row["p50_ms"] is None:
                continue
            cost = f"{row['cpu']:.0f} µs/op" if scenario.unit == "ops/s" else f"{row['cpu']:.2f} s/GiB"
            rows.append(
                f"| {scenario.title} | {peer} | {_rate(results, scenario, peer)} | {row['p50_ms']:.2f} "
                f"| {row['p99_ms']:.2f} | {cost} | {row['peak_rss_mib']:.0f} | {row['load_cpu']:.2f} "
                f"| {row['other_cpu']:.2f} |"
            )
    return "### All figures\n\n" + "\n".join(rows)


_KEYS = ("p50_ms", "p99_ms", "cpu", "peak_rss_mib", "load_cpu", "other_cpu")


def _failures(results: Results) -> str:
    rows = [f"- {row['scenario']}, {row['peer']}, round {row['round']}: {row['reason']}" for row in results.failures]
    return "### Not measured\n\n" + "\n".join(rows) if rows else ""


def _unable(results: Results, scenarios: Sequence[Scenario]) -> str:
    reasons = {
        f"- {peer}: {reason}" for one in scenarios for peer, reason in one.unable.items() if peer in results.peers
    }
    return "### Left out\n\n" + "\n".join(sorted(reasons)) if reasons else ""
