"""All scenarios by name, in the order of the report."""

from __future__ import annotations

from benchmarks.scenario import Scenario
from benchmarks.scenarios import pages, pulls, pushes, s3, small

ALL: dict[str, Scenario] = {
    scenario.name: scenario
    for scenario in [*small.SCENARIOS, *pulls.SCENARIOS, *pushes.SCENARIOS, *pages.SCENARIOS, *s3.SCENARIOS]
}
