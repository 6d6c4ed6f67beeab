"""podman (containers/image), with a store of its own."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.clients.api import Api
from tests.clients.contract import GREETING, CopyingClient, CopyingClientContract
from tests.clients.engines import container_storage
from tests.clients.images import Image
from tests.clients.people import ADMIN, Account
from tests.clients.wire import Wire
from tests.tools import run

PLAIN = "--tls-verify=false"
# runc runs on every arrangement of control groups, and these limits need no rights beyond the machine's own.
RUN = ("--rm", "--network=none", "--ulimit=nofile=1024:1024", "--ulimit=nproc=1024:1024")


class Podman:
    """The podman command."""

    def __init__(self, command: list[str], authfile: Path, api: Api) -> None:
        self._command = command
        self._environment = {"REGISTRY_AUTH_FILE": str(authfile)}
        self._api = api

    def run(self, *words: str | Path) -> str:
        return run([*self._command, *words], environment=self._environment).strip()

    def login(self, host: str, account: Account) -> None:
        words = ["login", PLAIN, "--username", account.name, "--password-stdin", host]
        run([*self._command, *words], environment=self._environment, given=account.password.encode())

    def logout(self, host: str) -> None:
        self.run("logout", host)

    def take(self, image: Image, reference: str, folder: Path) -> None:
        self.run("build", "--quiet", "--layers", "--tag", reference, image.context(folder))

    def push(self, reference: str) -> None:
        self.run("push", PLAIN, reference)

    def pull(self, reference: str) -> str:
        self.run("image", "rm", "--all", "--force")
        self.run("pull", "--quiet", PLAIN, reference)
        return self.run("image", "inspect", "--format", "{{.Digest}}", reference)

    def copy(self, source: str, target: str) -> None:
        self.run("push", PLAIN, source, f"docker://{target}")

    def delete(self, reference: str) -> None:
        # The command has no word for it.
        self._api.delete_tagged(reference)


@pytest.fixture(scope="module")
def command(scratch: Path, require_tool: Callable[[str], str]) -> Iterator[list[str]]:
    own = ["--tmpdir", f"{scratch}/podman/tmp", "--cgroup-manager=cgroupfs", "--events-backend=file"]
    with container_storage(scratch / "podman") as storage:
        yield [require_tool("podman"), *storage, *own, "--runtime", require_tool("runc")]


@pytest.fixture
def podman(command: list[str], wire: Wire, api: Api, tmp_path: Path) -> Podman:
    podman = Podman(command, tmp_path / "auth.json", api)
    podman.login(wire.host, ADMIN)
    return podman


class TestPodman(CopyingClientContract):
    renews_tokens = False
    asks_first = True
    sends_config = True
    keeps_images = True

    @pytest.fixture
    def client(self, podman: Podman) -> CopyingClient:
        return podman


def test_runs_a_pulled_image(podman: Podman, wire: Wire, image: Image, tmp_path: Path) -> None:
    reference = f"{wire.host}/podman/hello:latest"
    podman.take(image, reference, tmp_path / "image")
    podman.push(reference)
    podman.pull(reference)

    assert podman.run("run", *RUN, reference) == GREETING


def test_searches_repositories(podman: Podman, wire: Wire, image: Image, tmp_path: Path) -> None:
    reference = f"{wire.host}/podman/found:latest"
    podman.take(image, reference, tmp_path / "image")
    podman.push(reference)

    found = podman.run("search", PLAIN, "--format", "{{.Name}}", f"{wire.host}/podman/found")

    assert found.split() == [f"{wire.host}/podman/found"]
