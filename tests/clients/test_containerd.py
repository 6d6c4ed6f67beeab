"""containerd, driven by ctr."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.clients.api import Api
from tests.clients.contract import GREETING, CopyingClient, CopyingClientContract
from tests.clients.engines import containerd
from tests.clients.images import Image
from tests.clients.people import ADMIN, Account
from tests.clients.wire import Wire
from tests.tools import run

# ctr itself reads, writes and speaks to the registry: the containerd of Debian 12 cannot be asked to do that yet.
LOCAL = "--local"
PLAIN = "--plain-http"


class Ctr:
    """The ctr command, speaking to a containerd of the tests' own."""

    def __init__(self, command: list[str], api: Api) -> None:
        self._command = command
        self._api = api
        self._login: list[str] = []

    def run(self, *words: str | Path) -> str:
        return run([*self._command, *words]).strip()

    def login(self, host: str, account: Account) -> None:
        # The command keeps nothing: who signs in is said every time.
        self._login = ["--user", f"{account.name}:{account.password}"]

    def logout(self, host: str) -> None:
        self._login = []

    def take(self, image: Image, reference: str, folder: Path) -> None:
        name, _, tag = reference.rpartition(":")
        archive = image.layout(folder, tag=tag).archive(folder.with_suffix(".tar"))
        self.run("images", "import", LOCAL, "--no-unpack", "--base-name", name, archive)

    def push(self, reference: str) -> None:
        self.run("images", "push", LOCAL, PLAIN, *self._login, reference)

    def pull(self, reference: str) -> str:
        held = self.run("images", "list", "--quiet").split()
        self.run("images", "remove", "--sync", *held)
        self.fetch(reference)
        (line,) = self.run("images", "list", f"name=={reference}").splitlines()[1:]
        return line.split()[2]

    def fetch(self, reference: str, *options: str) -> None:
        self.run("images", "pull", LOCAL, PLAIN, *self._login, *options, reference)

    def copy(self, source: str, target: str) -> None:
        # containerd remembers where it pulled a layer from, and offers that place when it pushes.
        self.pull(source)
        self.run("images", "tag", LOCAL, source, target)
        self.push(target)

    def delete(self, reference: str) -> None:
        # The command has no word for it.
        self._api.delete_tagged(reference)


@pytest.fixture(scope="module")
def command(scratch: Path, require_tool: Callable[[str], str]) -> Iterator[list[str]]:
    require_tool("runc")
    with containerd(scratch / "containerd") as ctr:
        yield ctr


@pytest.fixture
def ctr(command: list[str], wire: Wire, api: Api) -> Ctr:
    ctr = Ctr(command, api)
    ctr.login(wire.host, ADMIN)
    return ctr


class TestContainerd(CopyingClientContract):
    asks_first = True

    @pytest.fixture
    def client(self, ctr: Ctr) -> CopyingClient:
        return ctr


def test_runs_a_pulled_image(ctr: Ctr, wire: Wire, image: Image, tmp_path: Path) -> None:
    reference = f"{wire.host}/containerd/hello:latest"
    ctr.take(image, reference, tmp_path / "image")
    ctr.push(reference)
    ctr.pull(reference)

    assert ctr.run("run", "--rm", reference, "hello") == GREETING


def test_pulls_every_platform_of_an_index(ctr: Ctr, wire: Wire, api: Api, image: Image, tmp_path: Path) -> None:
    name = f"{wire.host}/containerd/multi"
    layout = image.layout(tmp_path / "image", architectures=("amd64", "arm64"), tag="1")
    archive = layout.archive(tmp_path / "image.tar")
    ctr.run("images", "import", LOCAL, "--no-unpack", "--all-platforms", "--base-name", name, archive)
    ctr.push(f"{name}:1")
    ctr.run("images", "remove", "--sync", f"{name}:1")

    ctr.fetch(f"{name}:1", "--all-platforms")

    assert api.manifest("containerd/multi", "1").digest == layout.digest
    assert "linux/amd64,linux/arm64" in ctr.run("images", "list", f"name=={name}:1")
