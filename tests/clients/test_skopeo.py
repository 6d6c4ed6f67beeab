"""skopeo (containers/image)."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.clients.api import Api
from tests.clients.contract import CopyingClient, CopyingClientContract
from tests.clients.images import OCI_INDEX, OCI_MANIFEST, Image, Layout, digest_of
from tests.clients.people import ADMIN, Account
from tests.clients.wire import Wire
from tests.tools import run

DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"


class Skopeo:
    """skopeo keeps nothing: its local images are OCI layouts."""

    def __init__(self, program: str, folder: Path) -> None:
        self._program = program
        self._folder = folder
        self._layouts: dict[str, str] = {}
        self._environment = {"REGISTRY_AUTH_FILE": str(folder / "auth.json")}

    def run(self, *words: str) -> str:
        return run([self._program, "--tmpdir", self._folder, *words], environment=self._environment).strip()

    def login(self, host: str, account: Account) -> None:
        words = ["login", "--tls-verify=false", "--username", account.name, "--password-stdin", host]
        run([self._program, *words], environment=self._environment, given=account.password.encode())

    def logout(self, host: str) -> None:
        self.run("logout", host)

    def take(self, image: Image, reference: str, folder: Path) -> None:
        self.hold(image.layout(folder), reference)

    def hold(self, layout: Layout, reference: str) -> None:
        self._layouts[reference] = f"oci:{layout.folder}:{layout.tag}"

    def push(self, reference: str, *options: str) -> None:
        self.run("copy", *options, "--dest-tls-verify=false", self._layouts[reference], f"docker://{reference}")

    def pull(self, reference: str) -> str:
        folder = self._folder / "pulled"
        self.run("copy", "--src-tls-verify=false", f"docker://{reference}", f"dir:{folder}")
        return digest_of((folder / "manifest.json").read_bytes())

    def copy(self, source: str, target: str) -> None:
        verify = ("--src-tls-verify=false", "--dest-tls-verify=false")
        self.run("copy", "--all", *verify, f"docker://{source}", f"docker://{target}")

    def delete(self, reference: str) -> None:
        self.run("delete", "--tls-verify=false", f"docker://{reference}")


@pytest.fixture
def skopeo(require_tool: Callable[[str], str], wire: Wire, tmp_path: Path) -> Skopeo:
    skopeo = Skopeo(require_tool("skopeo"), tmp_path)
    skopeo.login(wire.host, ADMIN)
    return skopeo


class TestSkopeo(CopyingClientContract):
    renews_tokens = False
    asks_first = True
    sends_config = True

    @pytest.fixture
    def client(self, skopeo: Skopeo) -> CopyingClient:
        return skopeo


@pytest.mark.parametrize(("name", "media_type"), [("v2s2", DOCKER_MANIFEST), ("oci", OCI_MANIFEST)])
def test_pushes_both_manifest_formats(
    skopeo: Skopeo, wire: Wire, api: Api, image: Image, tmp_path: Path, name: str, media_type: str
) -> None:
    reference = f"{wire.host}/skopeo/{name}:1"
    skopeo.take(image, reference, tmp_path / "image")

    skopeo.push(reference, "--format", name)

    stored = api.manifest(f"skopeo/{name}", "1")
    assert stored.media_type == media_type
    assert skopeo.pull(reference) == stored.digest


@pytest.mark.parametrize(("name", "media_type"), [("v2s2", DOCKER_LIST), ("oci", OCI_INDEX)])
def test_copies_an_index_with_all_its_images(
    skopeo: Skopeo, wire: Wire, api: Api, image: Image, tmp_path: Path, name: str, media_type: str
) -> None:
    source, target = f"skopeo/multi-{name}", f"skopeo/multi-{name}-copy"
    layout = image.layout(tmp_path / "image", architectures=("amd64", "arm64", "riscv64"))
    skopeo.hold(layout, f"{wire.host}/{source}:1")
    skopeo.push(f"{wire.host}/{source}:1", "--all", "--format", name)
    wire.clear()

    skopeo.copy(f"{wire.host}/{source}:1", f"{wire.host}/{target}:1")

    stored = api.manifest(target, "1")
    assert stored.media_type == media_type
    assert stored.digest == api.manifest(source, "1").digest
    images = [api.manifest(target, one["digest"]).document for one in stored.document["manifests"]]
    assert len(images) == 3
    assert wire.uploaded() <= sum(one["config"]["size"] for one in images)


def test_six_pushes_at_once_share_layers(skopeo: Skopeo, wire: Wire, api: Api, program: bytes, tmp_path: Path) -> None:
    shared = Image.around(program).files[1:7]
    references = [f"{wire.host}/skopeo/shared:{number}" for number in range(6)]
    for reference in references:
        skopeo.take(Image.around(program, shared=shared), reference, tmp_path / reference[-1])

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(skopeo.push, references))

    assert api.tags("skopeo/shared") == [str(number) for number in range(6)]
    for number, reference in enumerate(references):
        assert skopeo.pull(reference) == api.manifest("skopeo/shared", str(number)).digest
    assert not wire.select("PUT", "", 500, 502, 503)
