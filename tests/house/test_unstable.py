"""What CI does with a test that fails: it runs again, and only what passes three times is let through, by name."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.house.source import ROOT

FAILS = "def test_{name}():\n    assert False\n"
FAILS_ONCE = """
from pathlib import Path

def test_once():
    seen = Path("seen")
    before = seen.exists()
    seen.touch()
    assert before
"""


def run(folder: Path, source: str) -> tuple[int, str]:
    """pytest and then the script, as `.ci/run` does: the script's exit code, and what it told."""
    (folder / "test_it.py").write_text(source)
    (folder / "pytest.ini").write_text("[pytest]\n")
    alone = os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}  # no plugin is needed, and each takes its time
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q"], cwd=folder, env=alone, capture_output=True, check=False
    )
    assert done.returncode == 1
    command = [sys.executable, str(ROOT / "scripts" / "unstable.py"), "told"]
    code = subprocess.run(command, cwd=folder, env=alone, capture_output=True, check=False).returncode
    told = folder / "told"
    return code, told.read_text() if told.exists() else ""


def test_one_that_failed_only_once_is_let_through_and_named(tmp_path: Path) -> None:
    assert run(tmp_path, FAILS_ONCE) == (0, "test_it.py::test_once\n")


@pytest.mark.parametrize(
    "source",
    [FAILS.format(name="always"), FAILS_ONCE + FAILS.format(name="always")],
    ids=["always", "once and always"],
)
def test_one_that_fails_again_is_a_failure(tmp_path: Path, source: str) -> None:
    assert run(tmp_path, source) == (1, "")


def test_many_are_no_chance(tmp_path: Path) -> None:
    many = FAILS_ONCE + "".join(FAILS_ONCE.replace("once", f"once_{n}").replace("seen", f"seen{n}") for n in range(3))
    assert run(tmp_path, many) == (1, "")
