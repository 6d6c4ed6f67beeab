"""oras, by way of oras-go: the library under the oras command, driven by the program in `orasgo/`."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.clients.api import Api
from tests.clients.contract import CopyingClient, CopyingClientContract
from tests.clients.goprogram import build_program
from tests.clients.images import OCI_MANIFEST, Image
from tests.clients.people import ADMIN, Account
from tests.clients.wire import Wire
from tests.tools import run

HERE = Path(__file__).parent


class OrasGo:
    """oras keeps nothing: what it pushes and pulls are files."""

    def __init__(self, program: Path, folder: Path) -> None:
        self._program = program
        self._folder = folder
        self._files: dict[str, list[Path]] = {}

    def run(self, *words: str | Path) -> Any:
        return json.loads(run([self._program, *words], environment={"DOCKER_CONFIG": str(self._folder)}))

    def login(self, host: str, account: Account) -> None:
        self.run("login", host, account.name, account.password)

    def logout(self, host: str) -> None:
        self.run("logout", host)

    def take(self, image: Image, reference: str, folder: Path) -> None:
        folder.mkdir()
        self._files[reference] = [folder / name for name, _ in image.files]
        for name, content in image.files:
            (folder / name).write_bytes(content)

    def push(self, reference: str) -> None:
        self.run("push", reference, "application/vnd.estiva.test", *self._files[reference])

    def pull(self, reference: str) -> str:
        folder = self._folder / "pulled"
        digest: str = self.run("pull", reference, folder)["digest"]
        for path in self._files[reference]:
            assert (folder / path.name).read_bytes() == path.read_bytes()
        return digest

    def copy(self, source: str, target: str) -> None:
        self.run("copy", source, target)

    def delete(self, reference: str) -> None:
        self.run("delete", reference)


@pytest.fixture(scope="module")
def orasgo(scratch: Path, require_tool: Callable[[str], str]) -> Path:
    """The program in `orasgo/`, built."""
    target = scratch / "orasgo"
    build_program(require_tool("go"), HERE / "orasgo", target)
    return target


@pytest.fixture
def oras(orasgo: Path, wire: Wire, tmp_path: Path) -> OrasGo:
    oras = OrasGo(orasgo, tmp_path)
    oras.login(wire.host, ADMIN)
    return oras


class TestOrasGo(CopyingClientContract):
    asks_first = True

    @pytest.fixture
    def client(self, oras: OrasGo) -> CopyingClient:
        return oras


@pytest.fixture
def subject(oras: OrasGo, wire: Wire, image: Image, tmp_path: Path) -> str:
    """The reference of an artifact that others can be attached to."""
    reference = f"{wire.host}/oras/subject:1"
    oras.take(image, reference, tmp_path / "image")
    oras.push(reference)
    return reference


def _attach(oras: OrasGo, subject: str, kind: str, folder: Path) -> str:
    path = folder / kind.rpartition(".")[2]
    path.write_text(kind)
    digest: str = oras.run("attach", subject, kind, path)["digest"]
    return digest


def test_discovers_what_it_attached(oras: OrasGo, wire: Wire, api: Api, subject: str, tmp_path: Path) -> None:
    sbom = _attach(oras, subject, "application/vnd.estiva.sbom", tmp_path)
    signature = _attach(oras, subject, "application/vnd.estiva.signature", tmp_path)

    assert {one["digest"] for one in oras.run("discover", subject)} == {sbom, signature}
    (found,) = oras.run("discover", subject, "application/vnd.estiva.sbom")
    assert (found["digest"], found["artifactType"]) == (sbom, "application/vnd.estiva.sbom")
    assert found["mediaType"] == OCI_MANIFEST
    assert wire.select("GET", r"/referrers/sha256:[0-9a-f]{64}", 200)
    # The registry keeps referrers itself, so the client wrote no fallback tag.
    assert api.tags("oras/subject") == ["1"]


def test_discovers_no_more_what_was_deleted(oras: OrasGo, subject: str, tmp_path: Path) -> None:
    sbom = _attach(oras, subject, "application/vnd.estiva.sbom", tmp_path)

    oras.run("delete", f"{subject.rpartition(':')[0]}@{sbom}")

    assert oras.run("discover", subject) in (None, [])


def test_copies_an_artifact_with_what_is_attached(oras: OrasGo, wire: Wire, subject: str, tmp_path: Path) -> None:
    sbom = _attach(oras, subject, "application/vnd.estiva.sbom", tmp_path)
    wire.clear()

    oras.run("copy-graph", subject, f"{wire.host}/oras/copied:1")

    assert [one["digest"] for one in oras.run("discover", f"{wire.host}/oras/copied:1")] == [sbom]
    assert wire.uploaded() == 0


def test_lists_tags_and_repositories(oras: OrasGo, wire: Wire, subject: str) -> None:
    assert oras.run("tags", subject) == ["1"]
    assert "oras/subject" in oras.run("repositories", wire.host)
