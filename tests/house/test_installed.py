"""The client as a stranger installs it: its wheel in an empty environment, beside the libraries it lives with."""

import sys
import venv
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.estiva.client import test_documentation as documentation
from tests.estiva.client.conftest import Peer, estiva
from tests.house.source import ROOT, SERVER
from tests.tools import run

NEIGHBOURS = ("boto3", "docker", "oras")
LONGEST_IMPORT = 0.1

pytestmark = [pytest.mark.real, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of that environment."""
    folder = tmp_path_factory.mktemp("installed")
    run([sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", folder, ROOT / "client"], timeout=300)
    (wheel,) = folder.glob("estiva-*.whl")
    venv.create(folder / "venv", with_pip=True)
    python = folder / "venv" / "bin" / "python"
    constraints = ROOT / "constraints.txt"
    run([python, "-m", "pip", "install", "-q", "-c", constraints, wheel, *NEIGHBOURS], timeout=500)
    return python


@pytest.fixture(scope="module")
def peer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Peer]:
    """A server, from this checkout."""
    with estiva(tmp_path_factory.mktemp("served")) as peer:
        yield peer


def ask(python: Path, code: str) -> str:
    return run([python, "-W", "error", "-c", code], folder=Path("/"), environment={"PYTHONPATH": ""}).strip()


def test_it_gets_on_with_its_neighbours(python: Path) -> None:
    run([python, "-m", "pip", "check"])
    assert "site-packages" in ask(python, "import estiva, boto3, docker; print(estiva.__file__)")
    run([python, "-c", "import oras.client, estiva; estiva.Client, estiva.AsyncClient"])


def test_nothing_of_the_server_is_there(python: Path) -> None:
    found = ask(python, f"from importlib.util import find_spec; print([n for n in {SERVER} if find_spec(n)])")
    assert found == "[]"


def test_the_command_works_without_a_server(python: Path) -> None:
    command = python.with_name("estiva")
    assert run([command, "--version"]).startswith("estiva ")
    assert "push" in run([command, "--help"])
    assert "serve" not in run([command, "--help"]).split()
    assert run([command, "push", "--help"])


def test_importing_takes_less_than_a_tenth_of_a_second(python: Path) -> None:
    code = "import time; begun = time.process_time(); import estiva; print(time.process_time() - begun)"
    # Processor time, and the best of several: what others do on the machine is no property of the import.
    assert min(float(ask(python, code)) for _ in range(5)) < LONGEST_IMPORT


def test_every_public_name_is_there(python: Path) -> None:
    code = "import estiva; print(all(hasattr(estiva, name) for name in estiva.__all__))"
    assert ask(python, code) == "True"


def test_images_are_moved_and_looked_at(python: Path, peer: Peer, tmp_path: Path) -> None:
    name, command = f"{peer.host}/strange/image:1", python.with_name("estiva")
    own = {"DOCKER_CONFIG": str(tmp_path), "XDG_STATE_HOME": str(tmp_path), "PYTHONPATH": ""}
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "file").write_text("content")

    def estiva_says(*words: str, given: bytes | None = None) -> str:
        return run([command, *words], folder=tmp_path, environment=own, given=given).strip()

    secret = f"{peer.credential.password}\n".encode()
    estiva_says("login", peer.host, "-u", peer.credential.username, "--password-stdin", given=secret)
    digest = estiva_says("pack", "root", "-t", name, "--quiet")
    assert estiva_says("pull", name, "layout", "--quiet") == digest
    assert estiva_says("push", "layout", f"{peer.host}/strange/copy:1", "--quiet") == digest
    assert f"digest: {digest}" in estiva_says("inspect", f"{peer.host}/strange/copy:1").splitlines()


def test_the_documentations_examples_run(python: Path, peer: Peer, tmp_path: Path) -> None:
    documentation.run_examples(python, peer, tmp_path)
