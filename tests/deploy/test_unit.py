"""The systemd unit of docs/deploy.md, read by systemd."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.deploy.composed import ROOT
from tests.tools import CommandFailed, run

pytestmark = pytest.mark.real


@pytest.fixture
def unit() -> str:
    """As documented, with a program that is there on every machine."""
    found = re.search(r"```ini\n(.*?)```", (ROOT / "docs" / "deploy.md").read_text(), re.DOTALL)
    assert found is not None
    return found[1].replace("/opt/estiva/bin/estiva", "/bin/true")


def verify(require_tool: Callable[[str], str], folder: Path, unit: str) -> None:
    file = folder / "estiva.service"
    file.write_text(unit)
    run([require_tool("systemd-analyze"), "verify", "--recursive-errors=no", file])


def test_the_unit_in_the_documentation_is_good(unit: str, require_tool: Callable[[str], str], tmp_path: Path) -> None:
    verify(require_tool, tmp_path, unit)


def test_what_systemd_does_not_know_is_noticed(unit: str, require_tool: Callable[[str], str], tmp_path: Path) -> None:
    with pytest.raises(CommandFailed):
        verify(require_tool, tmp_path, unit.replace("DynamicUser=yes", "DynamicUsers=yes"))
