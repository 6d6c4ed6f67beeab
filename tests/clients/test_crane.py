"""crane (go-containerregistry)."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.clients.contract import CopyingClient, CopyingClientContract
from tests.clients.images import Image
from tests.clients.people import ADMIN, Account
from tests.clients.wire import Wire
from tests.tools import run


class Crane:
    """crane keeps nothing: what it pushes and pulls are folders."""

    def __init__(self, program: str, folder: Path) -> None:
        self._program = program
        self._folder = folder
        self._layouts: dict[str, Path] = {}

    def run(self, *words: str | Path) -> str:
        return run([self._program, *words], environment={"DOCKER_CONFIG": str(self._folder)}).strip()

    def login(self, host: str, account: Account) -> None:
        self.run("auth", "login", "--username", account.name, "--password", account.password, host)

    def logout(self, host: str) -> None:
        self.run("auth", "logout", host)

    def take(self, image: Image, reference: str, folder: Path) -> None:
        self._layouts[reference] = image.layout(folder).folder

    def push(self, reference: str) -> None:
        self.run("push", self._layouts[reference], reference)

    def pull(self, reference: str) -> str:
        # Validating a remote image fetches every layer and checks it against its digest and its diff id.
        self.run("validate", "--remote", reference)
        return self.run("digest", reference)

    def copy(self, source: str, target: str) -> None:
        self.run("copy", source, target)

    def delete(self, reference: str) -> None:
        # By tag first, which leaves the manifest, then the manifest itself.
        by_digest = f"{reference.rpartition(':')[0]}@{self.run('digest', reference)}"
        self.run("delete", reference)
        self.run("digest", by_digest)
        self.run("delete", by_digest)


@pytest.fixture
def crane(require_tool: Callable[[str], str], wire: Wire, tmp_path: Path) -> Crane:
    crane = Crane(require_tool("crane"), tmp_path)
    crane.login(wire.host, ADMIN)
    return crane


class TestCrane(CopyingClientContract):
    @pytest.fixture
    def client(self, crane: Crane) -> CopyingClient:
        return crane


def test_lists_tags_and_repositories(crane: Crane, wire: Wire, image: Image, tmp_path: Path) -> None:
    crane.take(image, f"{wire.host}/crane/listed:b", tmp_path / "image")
    crane.push(f"{wire.host}/crane/listed:b")
    crane.run("tag", f"{wire.host}/crane/listed:b", "a")

    assert crane.run("ls", f"{wire.host}/crane/listed").split() == ["a", "b"]
    assert "crane/listed" in crane.run("catalog", wire.host).split()
