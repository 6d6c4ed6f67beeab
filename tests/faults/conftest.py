"""What the tests of faults share: their marker, and figures, told when all is over (`make faults`)."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

PATIENCE = 600
"""Seconds after which a test that does not say otherwise is taken to hang."""
_FIGURE = "figure"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Every test of this folder is one of `make faults`; several run at once, so each may take its time."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.fault)
            if item.get_closest_marker("timeout") is None:
                item.add_marker(pytest.mark.timeout(PATIENCE))


@pytest.fixture
def figure(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """`figure(text)` keeps a line for the page of figures; it is printed at the end of the run, and in its report."""
    return lambda text: request.node.user_properties.append((_FIGURE, text))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the figures; those of other processes have come with their tests' reports."""
    figures = list(_figures(terminalreporter))
    if figures:
        terminalreporter.section("figures")
        for line in figures:
            terminalreporter.write_line(line)


def _figures(terminalreporter: pytest.TerminalReporter) -> Iterator[str]:
    for reports in terminalreporter.stats.values():
        for report in reports:
            if isinstance(report, pytest.TestReport) and report.when == "call":
                yield from (str(text) for name, text in report.user_properties if name == _FIGURE)
