from typing import Any

import pytest

from benchmarks.report import BEGIN, END, Results, markdown, placed, verdict
from benchmarks.scenario import Goal, Sample, Scenario, Target


def _never(target: Target) -> Any:
    raise AssertionError(f"a report runs nothing, not even against {target}")


SCENARIO = Scenario("reading", "reading a lot", "ops/s", _never, goal=Goal(rate=2, cpu=0.5))
PAGES = Scenario("pages", "pages", "ops/s", _never, goal=Goal(p99_ms=25))


def row(
    peer: str, number: int, rate: float, cpu: float, scenario: str = "reading", p99_ms: float = 2
) -> dict[str, Any]:
    figures = {
        "rate": rate,
        "cpu": cpu,
        "p50_ms": 1.0,
        "p99_ms": p99_ms,
        "peak_rss_mib": 50.0,
        "load_cpu": 0.2,
        "other_cpu": 0.0,
    }
    return {"scenario": scenario, "peer": peer, "round": number, **figures}


def results(*rows: dict[str, Any], failures: list[dict[str, Any]] | None = None) -> Results:
    peers = {"estiva": "estiva 1", "distribution": "v3"}
    told = {"command": "python -m benchmarks", "machine": {"kernel": "Linux"}, "entries": 500, "peers": peers}
    return Results({**told, "measurements": list(rows), "failures": failures or []})


THREE_ROUNDS = [
    *(row("estiva", 1, 3000, 10), row("distribution", 1, 1000, 100)),
    *(row("estiva", 2, 1500, 40), row("distribution", 2, 1000, 100)),
    *(row("estiva", 3, 2500, 30), row("distribution", 3, 1000, 100)),
]


def test_a_verdict_is_the_median_of_the_ratios_of_the_rounds() -> None:
    found = verdict(results(*THREE_ROUNDS), SCENARIO, "estiva", "distribution")
    assert found is not None
    assert (found.rate.low, found.rate.median, found.rate.high) == (1.5, 2.5, 3.0)
    assert found.cpu is not None
    assert found.cpu.median == 0.3
    assert found.holds


@pytest.mark.parametrize(("rate", "cpu"), [(1900, 10), (3000, 60)])
def test_missing_either_half_of_a_goal_is_short(rate: float, cpu: float) -> None:
    told = results(row("estiva", 1, rate, cpu), row("distribution", 1, 1000, 100))
    assert "| **short** |" in markdown(told, [SCENARIO], "distribution")


def test_a_page_is_held_against_its_own_latency() -> None:
    slow = row("estiva", 1, 10, 10, "pages", 26), row("distribution", 1, 1, 10, "pages", 99)
    fast = row("estiva", 1, 10, 10, "pages", 24), row("distribution", 1, 1, 10, "pages", 99)
    holds = [verdict(results(*rows), PAGES, "estiva", "distribution") for rows in (slow, fast)]
    assert [found and found.holds for found in holds] == [False, True]


def test_a_failed_round_is_short_whatever_the_others_gave_and_its_reason_is_shown() -> None:
    failure = {"scenario": "reading", "peer": "estiva", "round": 4, "reason": "hung up"}
    told = results(*THREE_ROUNDS, failures=[failure])
    text = markdown(told, [SCENARIO], "distribution")
    assert "| **short** |" in text
    assert "- reading, estiva, round 4: hung up" in text


def test_a_scenario_that_only_one_side_did_has_no_verdict_but_keeps_its_figures() -> None:
    told = results(row("estiva", 1, 3000, 10))
    assert verdict(told, SCENARIO, "estiva", "distribution") is None
    assert "| reading a lot | estiva | 3,000 ops/s |" in markdown(told, [SCENARIO], "distribution")


def test_the_report_names_the_command_the_machine_and_the_peers() -> None:
    text = markdown(results(*THREE_ROUNDS), [SCENARIO], "distribution")
    assert "`python -m benchmarks` (3 interleaved rounds, medians; lists of 500 entries)" in text
    assert "kernel: Linux" in text
    assert "`distribution`: v3" in text


def test_a_goal_reads_as_a_sentence_part() -> None:
    assert str(SCENARIO.goal) == "≥ 2\N{MULTIPLICATION SIGN}, CPU ≤ 0.5\N{MULTIPLICATION SIGN}"


def test_a_sample_of_bytes_and_of_operations_are_costed_in_their_own_units() -> None:
    from benchmarks.runner import cost, rate

    sample = Sample(operations=100, bytes=512 << 20, seconds=2.0, p50_ms=1, p99_ms=1)
    pulling = Scenario("pulling", "pulling", "MiB/s", _never)
    assert (rate(SCENARIO, sample), rate(pulling, sample)) == (50, 256)
    assert (cost(SCENARIO, sample, 0.5), cost(pulling, sample, 0.5)) == (5000, 1.0)


def test_the_tables_go_between_the_marks_of_a_page_and_leave_the_rest_alone() -> None:
    page = f"before\n{BEGIN}\nold\n{END}\nafter\n"
    assert placed("new\n", page) == f"before\n{BEGIN}\n\nnew\n\n{END}\nafter\n"


def test_a_page_without_marks_becomes_the_tables() -> None:
    assert placed("new\n", "old\n") == "new\n"
