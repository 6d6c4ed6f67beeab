"""`--help`, as a manual: every verb shows how it is typed, and how it ends."""

import shlex
from collections.abc import Iterator
from typing import Any

import pytest
from typer.main import get_command

from estiva.cli.app import NOUNS, VERBS, build
from estiva.cli.examples import EXAMPLES
from tests.estiva.cli.command import Estiva

ROOT: Any = get_command(build(others=False))


def test_every_verb_and_noun_has_examples_and_there_are_no_others() -> None:
    assert set(EXAMPLES) == NOUNS.keys() | VERBS.keys()
    assert all(EXAMPLES.values())


@pytest.mark.parametrize("example", [text for texts in EXAMPLES.values() for text in texts])
def test_examples_are_understood(example: str) -> None:
    command, words = ROOT, shlex.split(example.partition(" < ")[0])
    context = ROOT.make_context("estiva", list(words), obj={"json": False, "wide": False})
    while hasattr(command, "commands"):
        command = command.commands[words.pop(0)]
    assert command.make_context(command.name, words, parent=context).params is not None


def test_help_shows_them_with_the_exit_codes(estiva: Estiva) -> None:
    for words in (["push"], ["users"], ["users", "create"], ["ps"]):
        shown = " ".join(estiva.done(*words, "--help").out.split())
        assert "Exit codes: 0 done; 1 failed, and a line on standard error says why; 2 wrong usage; 130" in shown
        assert f"$ estiva {EXAMPLES[words[0]][0]}" in shown
    assert "$ estiva users ls" not in estiva.done("users", "create", "--help").out
    assert "Exit codes: the command's own" in estiva.done("exec", "--help").out


def test_brackets_in_help_are_shown(estiva: Estiva) -> None:
    assert "host[:port]/repository[:tag][@digest]" in estiva.done("inspect", "--help").out


def test_json_stands_behind_a_verb_as_well_as_before(estiva: Estiva) -> None:
    assert estiva.done("users", "ls", "--json").document == estiva.json("users", "ls")
    assert estiva.done("gc", "status", "--json").document.keys() == estiva.json("gc", "status").keys()
    assert estiva.done("users", "ls", "--wide").out == estiva.done("users", "ls").out


def verbs(command: Any, *path: str) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Each noun and verb below a command, by what is typed."""
    for name, inner in getattr(command, "commands", {}).items():
        yield (*path, name), inner
        yield from verbs(inner, *path, name)


def test_json_and_quiet_stand_behind_every_noun_and_verb_but_exec() -> None:
    without = {
        path
        for path, verb in verbs(ROOT)
        if not {"--json", "--quiet", "-q"} <= {option for one in verb.params for option in one.opts}
    }
    assert without == {("exec",)}


@pytest.mark.parametrize("option", ["--json", "--quiet"])
def test_they_mean_the_same_wherever_they_stand(estiva: Estiva, option: str) -> None:
    said = estiva.done(option, "users", "ls").out
    assert estiva.done("users", option, "ls").out == estiva.done("users", "ls", option).out == said
    assert estiva.done("clusters", option).out == estiva.done("clusters", "ls", option).out
    assert said != estiva.done("users", "ls").out


def test_quiet_prints_the_first_column_alone(estiva: Estiva) -> None:
    names = [user["name"] for user in estiva.json("users", "ls")]
    assert estiva.done("users", "ls", "-q").out.splitlines() == names
    assert estiva.done("-q", "--json", "users", "ls").document == estiva.json("users", "ls")
