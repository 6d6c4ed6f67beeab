"""`push` and `pull` take a way of their own, on which nothing is loaded that they do not need."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from estiva.cli import quick, transfers
from estiva.cli.app import build
from tests.estiva.cli.command import Estiva
from tests.security.secured import Secured

NOT_NEEDED = ("typer", "click", "rich", "pydantic", "httpx2", "asyncio", "importlib.metadata", "tarfile", "subprocess")


def declared(parameters: Sequence[Any]) -> dict[str, str]:
    """The options of a verb by their long name, and what each takes."""
    return {option: kind_of(one) for one in parameters for option in one.opts if option.startswith("--")}


def kind_of(parameter: Any) -> str:
    if parameter.is_flag:
        return "flag"
    if parameter.name == "platform":
        return "platform"
    return "texts" if parameter.multiple else "number" if isinstance(parameter.default, int) else "text"


def read(*words: str) -> tuple[str, tuple[Any, ...], dict[str, Any]]:
    """What the quick way makes of these words."""
    move = quick.read(words)
    assert move is not None
    inner: Any = move.args[0]  # type: ignore[attr-defined]
    return inner.func.__name__, inner.args, inner.keywords


@pytest.mark.parametrize("verb", sorted(quick.OPTIONS))
def test_it_knows_the_options_that_the_verb_declares(verb: str) -> None:
    command: Any = get_command(build(others=False))
    whole = {"--version", "--install-completion", "--show-completion", "--help"}
    assert {name: kind for name, kind in declared(command.params).items() if name not in whole} == quick.ROOT
    parameters = command.commands[verb].params
    assert declared(parameters) == quick.OPTIONS[verb]
    short = {option for one in parameters for option in one.opts if option.startswith("-") and len(option) == 2}
    assert short == set(quick.SHORT)


def test_options_stand_anywhere_and_in_every_form(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ESTIVA_USERNAME", "me")
    monkeypatch.setenv("ESTIVA_SERVER", "")
    words = (
        "--password=p=1",
        "push",
        "-q",
        "--mount-from",
        "a",
        "layout",
        "--mount-from=b",
        "h/n:1",
        "--parallel",
        "7",
    )
    verb, (root, *plain), given = read(*words)
    assert (verb, plain) == ("push", [Path("layout"), "h/n:1"])
    assert given == {"quiet": True, "mount_from": ("a", "b"), "parallel": 7, "as_json": False}
    assert (root["server"], root["username"], root["password"]) == ("http://127.0.0.1:5000", "me", "p=1")
    verb, (root, *plain), given = read("--json", "pull", "h/n:1", "folder", "--platform", "linux/arm64", "--json")
    assert (verb, plain) == ("pull", ["h/n:1", Path("folder")])
    assert (root["json"], given) == (True, {"platform": "linux/arm64", "as_json": True})


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("push",),
        ("push", "layout"),
        ("push", "layout", "h/n:1", "more"),
        ("push", "", "h/n:1"),
        ("push", "layout", "h/n:1", "--help"),
        ("push", "layout", "h/n:1", "--select"),
        ("push", "layout", "h/n:1", "--select", "--quiet"),
        ("push", "layout", "h/n:1", "--platform", "linux/arm64"),
        ("push", "layout", "h/n:1", "--quiet=1"),
        ("push", "layout", "h/n:1", "-q=1"),
        ("push", "--", "layout", "h/n:1"),
        ("pull", "h/n:1", "folder", "--parallel", "0"),
        ("pull", "h/n:1", "folder", "--platform", "nonsense"),
        ("pull", "h/n:1", "folder", "--parallel", "65"),
        ("pull", "h/n:1", "folder", "--parallel", "²"),
        ("--version", "pull", "h/n:1", "folder"),
        ("--server", "pull", "h/n:1", "folder"),
        ("cp", "h/n:1", "h/n:2"),
    ],
)
def test_what_is_not_plain_is_left_to_the_whole_command_line(words: Sequence[str]) -> None:
    assert quick.read(words) is None


def test_completion_is_left_to_the_whole_command_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_ESTIVA_COMPLETE", "complete_bash")
    assert quick.read(("push", "layout", "h/n:1")) is None


def test_wrong_usage_is_told_as_for_every_verb(estiva: Estiva) -> None:
    outcome = estiva("pull", "127.0.0.1:1/name:1", "folder", "--parallel", "65")
    assert outcome.code == 2
    assert "--parallel" in outcome.err
    assert "Usage: estiva pull" in estiva("pull", "--help").out


def test_ctrl_c_ends_it_as_it_ends_every_verb(estiva: Estiva, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    said = "estiva: interrupted; the same command goes on from here\n"
    monkeypatch.setattr(transfers, "opened", interrupted)
    outcomes = [estiva(*words) for words in (("pull", "h/n:1", "f"), ("pull", "--", "h/n:1", "f"))]
    assert [(outcome.code, outcome.out, outcome.err) for outcome in outcomes] == [(130, "", said)] * 2


def test_nothing_is_loaded_that_a_transfer_does_not_need(registry: Secured, estiva: Estiva, tmp_path: Path) -> None:
    host = registry.registry.host
    Path(tmp_path, "root").mkdir()
    Path(tmp_path, "root", "hello").write_text("hello")
    environment = {**os.environ, **estiva.environment, "XDG_STATE_HOME": str(tmp_path), "ESTIVA_CA_FILE": ""}
    look = f"""
import sys
from estiva.cli.main import main
main()
print([name for name in {NOT_NEEDED!r} if name in sys.modules])
"""

    def run(*words: str) -> list[str]:
        command = [sys.executable, "-c", look, *words]
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=90, check=True, cwd=tmp_path, env=environment
        )
        return done.stdout.splitlines()

    digest = estiva.done("pack", str(tmp_path / "root"), "-t", f"{host}/quick/image:1", "-q").out.strip()
    assert run("pull", f"{host}/quick/image:1", "layout", "--quiet") == [digest, "[]"]
    assert run("push", "layout", f"{host}/quick/other:1", "--quiet") == [digest, "[]"]
    assert estiva.done("tags", f"{host}/quick/other").out.split() == ["1"]
