"""oras: the command itself."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.clients.contract import CopyingClient, CopyingClientContract
from tests.clients.images import Image
from tests.clients.people import ADMIN, Account
from tests.clients.wire import Wire
from tests.tools import run

PLAIN = "--plain-http"


class Oras:
    """The oras command; it keeps nothing: what it pushes and pulls are files."""

    def __init__(self, program: str, folder: Path) -> None:
        self._program = program
        self._environment = {"DOCKER_CONFIG": str(folder / "docker")}
        self._folder = folder
        self._files: dict[str, list[Path]] = {}

    def run(self, *words: str | Path) -> str:
        return run([self._program, *words], environment=self._environment).strip()

    def login(self, host: str, account: Account) -> None:
        words = ["login", PLAIN, "--username", account.name, "--password-stdin", host]
        run([self._program, *words], environment=self._environment, given=account.password.encode())

    def logout(self, host: str) -> None:
        self.run("logout", host)

    def take(self, image: Image, reference: str, folder: Path) -> None:
        folder.mkdir()
        self._files[reference] = [folder / name for name, _ in image.files]
        for name, content in image.files:
            (folder / name).write_bytes(content)

    def push(self, reference: str) -> None:
        kind = ["--artifact-type", "application/vnd.example.files"]
        # A fixed time, so that the same files are the same artifact.
        time = ["--annotation", "org.opencontainers.image.created=2026-01-01T00:00:00Z"]
        self.run("push", PLAIN, "--disable-path-validation", *kind, *time, reference, *self._files[reference])

    def pull(self, reference: str) -> str:
        # The files go where they came from: their names are whole paths.
        held = {path: path.read_bytes() for path in self._files[reference]}
        for path in held:
            path.unlink()
        try:
            self.run("pull", PLAIN, "--allow-path-traversal", "--output", self._folder, reference)
            assert {path: path.read_bytes() for path in held} == held
        finally:
            for path, content in held.items():
                path.write_bytes(content)
        return self.run("resolve", PLAIN, reference)

    def copy(self, source: str, target: str) -> None:
        self.run("copy", "--from-plain-http", "--to-plain-http", source, target)

    def delete(self, reference: str) -> None:
        self.run("manifest", "delete", PLAIN, "--force", reference)


@pytest.fixture
def oras(require_tool: Callable[[str], str], wire: Wire, tmp_path: Path) -> Oras:
    oras = Oras(require_tool("oras"), tmp_path)
    oras.login(wire.host, ADMIN)
    return oras


class TestOras(CopyingClientContract):
    @pytest.fixture
    def client(self, oras: Oras) -> CopyingClient:
        return oras


def test_attaches_discovers_and_lists(oras: Oras, wire: Wire, image: Image, tmp_path: Path) -> None:
    reference = f"{wire.host}/oras/noted:1"
    oras.take(image, reference, tmp_path / "image")
    oras.push(reference)
    note = tmp_path / "note"
    note.write_text("a note")

    kind = "application/vnd.example.note"
    oras.run("attach", PLAIN, "--disable-path-validation", "--artifact-type", kind, reference, note)

    assert kind in oras.run("discover", PLAIN, reference)
    assert oras.run("repo", "tags", PLAIN, f"{wire.host}/oras/noted").split() == ["1"]
    assert "oras/noted" in oras.run("repo", "ls", PLAIN, wire.host).split()
