"""buildah (containers/image), with a store of its own."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.clients.api import Api
from tests.clients.contract import CopyingClient, CopyingClientContract
from tests.clients.engines import container_storage
from tests.clients.images import Image, layers_of
from tests.clients.people import ADMIN, Account
from tests.clients.wire import Wire
from tests.tools import run

PLAIN = "--tls-verify=false"


class Buildah:
    """The buildah command."""

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
        self.build(reference, image.context(folder))

    def build(self, reference: str, context: Path) -> None:
        self.run("build", "--quiet", "--layers", PLAIN, "--tag", reference, context)

    def push(self, reference: str) -> None:
        self.run("push", PLAIN, reference)

    def pull(self, reference: str) -> str:
        self.run("rmi", "--all", "--force")
        self.run("pull", "--quiet", PLAIN, reference)
        return self.run("inspect", "--type", "image", "--format", "{{.FromImageDigest}}", reference)

    def copy(self, source: str, target: str) -> None:
        self.run("push", PLAIN, source, f"docker://{target}")

    def delete(self, reference: str) -> None:
        # The command has no word for it.
        self._api.delete_tagged(reference)


@pytest.fixture(scope="module")
def command(scratch: Path, require_tool: Callable[[str], str]) -> Iterator[list[str]]:
    with container_storage(scratch / "buildah") as storage:
        yield [require_tool("buildah"), *storage]


@pytest.fixture
def buildah(command: list[str], wire: Wire, api: Api, tmp_path: Path) -> Buildah:
    buildah = Buildah(command, tmp_path / "auth.json", api)
    buildah.login(wire.host, ADMIN)
    return buildah


class TestBuildah(CopyingClientContract):
    renews_tokens = False
    asks_first = True
    sends_config = True
    keeps_images = True

    @pytest.fixture
    def client(self, buildah: Buildah) -> CopyingClient:
        return buildah


def test_builds_on_an_image_of_the_registry(
    buildah: Buildah, wire: Wire, api: Api, image: Image, tmp_path: Path
) -> None:
    base, derived = f"{wire.host}/buildah/base:1", f"{wire.host}/buildah/derived:1"
    buildah.take(image, base, tmp_path / "image")
    buildah.push(base)
    buildah.run("rmi", "--all", "--force")
    (tmp_path / "derived").mkdir()
    (tmp_path / "derived" / "more").write_text("more")
    (tmp_path / "derived" / "Dockerfile").write_text(f"FROM {base}\nCOPY more /more\n")

    buildah.build(derived, tmp_path / "derived")
    buildah.push(derived)

    below = layers_of(api.manifest("buildah/base", "1").document)
    assert below < layers_of(api.manifest("buildah/derived", "1").document)
