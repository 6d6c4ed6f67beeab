"""Completion, asked of each shell's own machinery with the script that `estiva` prints for it."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.tools import find_tool

ESTIVA = Path(sys.executable).with_name("estiva")
# Each prints what the shell would offer for these words, of which the last one is not finished.
ASK = {
    "bash": """source ./script; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _estiva_completion estiva
printf '%s\\n' "${COMPREPLY[@]}" """,
    "zsh": """compdef() { :; }; _arguments() { print -r -- "$@"; }; _files() { :; }; source ./script
words=("$@"); CURRENT=$#; _estiva_completion""",
    "fish": "source ./script; complete -C (string join ' ' -- $argv)",
}
OFFERED = {"bash": r"^(.+)$", "zsh": r'"([^"]*)"(?::"[^"]*")?', "fish": r"^([^\t\n]+)"}
ZSH_AND_FISH = [pytest.param(shell, marks=pytest.mark.real) for shell in ("zsh", "fish")]

Shell = Callable[..., set[str]]

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(params=["bash", *ZSH_AND_FISH])
def shell(request: pytest.FixtureRequest, tmp_path: Path) -> Shell:
    """What a shell offers for these words; its script is one that it reads without complaint."""
    name = str(request.param)
    program = find_tool(name)
    docker = tmp_path / "docker"
    docker.mkdir()
    (docker / "config.json").write_text('{"auths": {"registry.test": {}}, "credHelpers": {"ecr.test": "x"}}')
    kept = {key: value for key, value in os.environ.items() if not key.startswith("ESTIVA_")}
    kept |= {"PATH": f"{ESTIVA.parent}:{kept['PATH']}", "HOME": str(tmp_path), "DOCKER_CONFIG": str(docker)}

    def run(*command: str | Path, **more: str) -> str:
        done = subprocess.run(
            command, cwd=tmp_path, env=kept | more, capture_output=True, text=True, timeout=200, check=False
        )
        assert not done.stderr, done
        return done.stdout

    (tmp_path / "script").write_text(run(ESTIVA, _ESTIVA_COMPLETE=f"source_{name}"))
    assert "estiva" in (tmp_path / "script").read_text()
    run(program, "-n", "script")

    def ask(*words: str) -> set[str]:
        named = [] if name == "fish" else [name]
        told = run(program, "-c", ASK[name], *named, "estiva", *words)
        return set(re.findall(OFFERED[name], told, re.MULTILINE))

    return ask


def test_verbs_options_and_their_values_are_completed(shell: Shell) -> None:
    assert shell("ta") == {"tag", "tags", "taskdefs", "tasks"}
    assert shell("users", "cr") == {"create"}
    assert shell("push", "layout", "--par") == {"--parallel"}
    assert shell("pull", "--platform", "linux/arm") == {"linux/arm64", "linux/arm/v7"}
    assert shell("webhooks", "create", "a", "b", "--format", "e") == {"eventbridge"}


def test_registries_that_docker_knows_are_completed(shell: Shell) -> None:
    assert shell("logout", "reg") == {"registry.test"}
    assert shell("ls", "e") == {"ecr.test"}


def test_files_are_left_to_the_shell(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "layout").mkdir()
    # Where nothing is offered, bash and zsh look for files (`-o default`, `_files`); fish answers with them here.
    assert shell("push", "lay") in (set(), {"layout/"})
