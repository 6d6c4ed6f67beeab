"""What `estiva doctor` found, as it is printed."""

import contextlib
import io
from types import SimpleNamespace
from typing import Any

import pytest

from estiva.cli import findings

FOUND = [findings.ok("proxy", "none"), findings.warning("clock", "6 seconds off")]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def told(*, quiet: bool = False) -> str:
    """What stands on a terminal."""
    root = SimpleNamespace(obj={"json": False, "quiet": quiet})
    context: Any = SimpleNamespace(find_root=lambda: root)
    with contextlib.redirect_stdout(Terminal()) as terminal:
        findings.tell(context, FOUND, as_json=False)
    return str(terminal.getvalue())


@pytest.fixture(autouse=True)
def colourful(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)


def test_outcomes_have_colours_where_they_are_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "\x1b[" in told()
    monkeypatch.setenv("NO_COLOR", "1")
    assert told() == "ok       proxy  none\nwarning  clock  6 seconds off\n"
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setenv("TERM", "dumb")
    assert "\x1b[" not in told()


def test_quiet_shows_what_is_not_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    assert told(quiet=True) == "warning  clock  6 seconds off\n"
