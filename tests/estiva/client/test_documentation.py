"""docs/client.md: its examples run, and what it calls public is what there is."""

import ast
import inspect
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import estiva
from estiva import Credential
from estiva.credentials import DockerConfig
from tests.estiva.client.conftest import Peer
from tests.house.source import ROOT

EXAMPLES = Path(__file__).parent / "examples"
IN_ORDER = ["first_images", "second_tags", "third_artifacts", "fourth_asyncio", "fifth_progress"]
PAGE = (ROOT / "docs" / "client.md").read_text()


def test_the_documentation_shows_the_examples_that_are_checked() -> None:
    shown = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    assert shown == [(EXAMPLES / f"{name}.py").read_text() for name in IN_ORDER]
    assert {path.stem for path in EXAMPLES.glob("*.py")} == {*IN_ORDER, "__init__"}


def test_the_examples_run(peer: Peer, tmp_path: Path) -> None:
    run_examples(Path(sys.executable), peer, tmp_path)


def run_examples(python: Path, peer: Peer, tmp_path: Path) -> None:
    """All of them, one after the other, without a warning; with that interpreter."""
    DockerConfig(tmp_path).store(peer.host, peer.credential)
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "serve").write_text("#!/bin/sh\n")
    (tmp_path / "sbom.json").write_text("{}")
    for name in IN_ORDER:
        text = (EXAMPLES / f"{name}.py").read_text().replace("registry.example.com", peer.host)
        text = text.replace('"robot", "its secret"', f'"{peer.credential.username}", "{peer.credential.password}"')
        done = subprocess.run(
            [python, "-W", "error", "-c", text],
            cwd=tmp_path,
            env={**os.environ, "DOCKER_CONFIG": str(tmp_path)},
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, ""), name
        assert done.stdout


def test_every_public_name_is_documented_and_there_is_no_other() -> None:
    section = PAGE.partition("## What is public")[2]
    documented = {
        name for row in re.findall(r"^\| (`.*?) \|", section, re.MULTILINE) for name in re.findall("`(.*?)`", row)
    }
    assert documented == set(estiva.__all__)
    assert all(getattr(estiva, name) is not None for name in estiva.__all__)
    assert set(estiva.__all__) == set(dir(estiva))


@pytest.mark.parametrize("kind", ["Client", "AsyncClient"])
def test_every_public_thing_says_what_it_promises(kind: str) -> None:
    methods = {name for name in vars(getattr(estiva, kind)) if not name.startswith("_")}
    assert methods == {name for name in vars(estiva.Client) if not name.startswith("_")}
    assert all(getattr(getattr(estiva, kind), name).__doc__ for name in methods)
    assert all(getattr(estiva, name).__doc__ for name in estiva.__all__ if name != "__version__")


def signatures(kind: str) -> dict[str, list[tuple[str | None, ...]]]:
    """The public methods and `__init__` as the source spells them; a type in quotes is the same without."""

    def spelled(node: ast.expr | None) -> str | None:
        text = node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None
        return text or (ast.unparse(node) if node else None)

    def of(method: ast.FunctionDef | ast.AsyncFunctionDef) -> list[tuple[str | None, ...]]:
        told = method.args
        positional = [None] * (len(told.args) - len(told.defaults)) + [ast.unparse(one) for one in told.defaults]
        named = [ast.unparse(one) if one else None for one in told.kw_defaults]
        first = [(one.arg, spelled(one.annotation), value) for one, value in zip(told.args, positional, strict=True)]
        then = [
            ("*", one.arg, spelled(one.annotation), value) for one, value in zip(told.kwonlyargs, named, strict=True)
        ]
        return [*first, *then, ("return", spelled(method.returns))]

    (tree,) = ast.parse(inspect.getsource(getattr(estiva, kind))).body
    assert isinstance(tree, ast.ClassDef)
    methods = [one for one in tree.body if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)]
    return {one.name: of(one) for one in methods if one.name == "__init__" or not one.name.startswith("_")}


def test_both_clients_have_the_same_signatures() -> None:
    ours, theirs = signatures("Client"), signatures("AsyncClient")
    assert ours == theirs
    assert "push" in ours
    names = ours.keys() - {"__init__"}
    assert all(inspect.iscoroutinefunction(getattr(estiva.AsyncClient, name)) for name in names)
    assert not any(inspect.iscoroutinefunction(getattr(estiva.Client, name)) for name in names)


def test_a_name_that_there_is_not() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = estiva.Nothing
    assert Credential is estiva.Credential


def test_importing_loads_nothing_that_takes_long() -> None:
    code = "import sys, estiva; print(*{'asyncio', 'http.client', 'httpx2', 'rich', 'ssl', 'typer'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "\n"
