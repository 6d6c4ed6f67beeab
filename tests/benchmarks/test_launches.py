import json
from pathlib import Path

import pytest

from benchmarks import launches
from benchmarks.launches import DOCKER, OURS, RAW, REPLACED, Run, report
from tests.clients.engines import needs_root
from tests.tools import find_tool

NONE = "\N{EN DASH}"


def test_ratios_are_formed_within_rounds(tmp_path: Path) -> None:
    seconds = {OURS: (0.2, 0.9), DOCKER: (0.1, 0.6), RAW: (0.05, 0.6), REPLACED: (0.5, 2.5)}
    runs = [Run(what, number, each, 0.04) for what, taken in seconds.items() for number, each in enumerate(taken, 1)]
    *_, ours, docker, raw, replaced = report(runs, "bridge", tmp_path).splitlines()
    assert ours == f"| RunTask | 2 | 550 ms | 900 ms | 1.75× (1.50{NONE}2.00) | 40 ms | ≤ 1.3× | **short** |"  # noqa: RUF001
    assert docker == f"| docker run -d | 2 | 350 ms | 600 ms | {NONE} | 40 ms | {NONE} | {NONE} |"
    assert raw == f"| engine API | 2 | 325 ms | 600 ms | 0.75× (0.50{NONE}1.00) | {NONE} | {NONE} | {NONE} |"  # noqa: RUF001
    assert replaced == f"| replaced after a kill | 2 | 1500 ms | 2500 ms | {NONE} | 40 ms | ≤ 2 s | **short** |"


@pytest.mark.real
@pytest.mark.timeout(600)
def test_launches_and_a_replacement_are_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    needs_root()
    for tool in ("dockerd", "docker", "busybox"):
        find_tool(tool)
    target = tmp_path / "figures.json"
    arguments = ["--rounds", "1", "--replacements", "1", "--workdir", str(tmp_path), "--json", str(target)]
    assert launches.main(arguments) == 0, capsys.readouterr().err
    runs = json.loads(target.read_text())
    assert [run["what"] for run in runs] == [OURS, DOCKER, RAW, REPLACED]
    assert all(run["seconds"] > 0 for run in runs)
    assert "| RunTask | 1 |" in capsys.readouterr().out
