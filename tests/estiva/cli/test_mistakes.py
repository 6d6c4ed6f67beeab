"""Where nobody thought of an error: still one line, and what is needed to mend it in a file."""

import errno
from pathlib import Path
from typing import Any

import pytest

from estiva import Client
from tests.estiva.cli.command import Estiva


def raising(error: BaseException, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(Client, "tags", fail)


def test_a_mistake_is_one_line_and_a_file_that_says_where(
    estiva: Estiva, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    raising(ZeroDivisionError("division\nby zero"), monkeypatch)
    said = estiva.failed("tags", "127.0.0.1/a")
    assert said.startswith("a mistake of estiva's own (ZeroDivisionError: division")
    (kept,) = tmp_path.iterdir()
    assert said.endswith(f"please report it with {kept}")
    assert "Traceback" in kept.read_text()


def test_what_this_machine_refuses_is_said_in_its_words(estiva: Estiva, monkeypatch: pytest.MonkeyPatch) -> None:
    raising(OSError(errno.ENOSPC, "No space left on device", "/full"), monkeypatch)
    assert estiva.failed("tags", "127.0.0.1/a") == "/full: No space left on device"


def test_interrupted_is_130_without_a_word(estiva: Estiva, monkeypatch: pytest.MonkeyPatch) -> None:
    raising(KeyboardInterrupt(), monkeypatch)
    outcome = estiva("tags", "127.0.0.1/a")
    assert (outcome.code, outcome.out, outcome.err) == (130, "", "")


def test_input_that_is_no_text(estiva: Estiva) -> None:
    assert estiva.failed("secrets", "put", "x", "--value", "-", given=b"\xff") == "standard input is not text"
