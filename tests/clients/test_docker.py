"""docker: the command and its engine."""

import contextlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.clients.api import Api
from tests.clients.contract import GREETING, CopyingClient, CopyingClientContract
from tests.clients.engines import docker_engine
from tests.clients.images import Image
from tests.clients.people import ADMIN, Account, People
from tests.clients.wire import Wire
from tests.serving import OPEN, Registry, registry_running
from tests.tools import CommandFailed, run


class Docker:
    """The docker command, speaking to an engine of the tests' own."""

    def __init__(self, program: str, environment: dict[str, str], api: Api) -> None:
        self._program = program
        self._environment = environment
        self._api = api

    def run(self, *words: str | Path) -> str:
        return run([self._program, *words], environment=self._environment).strip()

    def login(self, host: str, account: Account) -> None:
        words = ["login", "--username", account.name, "--password-stdin", host]
        run([self._program, *words], environment=self._environment, given=account.password.encode())

    def logout(self, host: str) -> None:
        self.run("logout", host)

    def take(self, image: Image, reference: str, folder: Path) -> None:
        self.run("build", "--quiet", "--tag", reference, image.context(folder))

    def push(self, reference: str) -> None:
        self.run("push", reference)

    def pull(self, reference: str) -> str:
        before = self.run("image", "inspect", "--format", "{{.Id}}", reference)
        self.run("image", "rm", "--force", before)
        self.run("pull", reference)
        assert self.run("image", "inspect", "--format", "{{.Id}}", reference) == before
        return self.run("image", "inspect", "--format", "{{index .RepoDigests 0}}", reference).partition("@")[2]

    def copy(self, source: str, target: str) -> None:
        self.run("tag", source, target)
        self.push(target)

    def delete(self, reference: str) -> None:
        # The command has no word for it.
        self._api.delete_tagged(reference)


@pytest.fixture(scope="module")
def engine(scratch: Path, require_tool: Callable[[str], str]) -> Iterator[dict[str, str]]:
    require_tool("docker")
    with docker_engine(scratch / "docker") as environment:
        yield environment


@pytest.fixture
def docker(engine: dict[str, str], wire: Wire, api: Api, require_tool: Callable[[str], str], tmp_path: Path) -> Docker:
    docker = Docker(require_tool("docker"), {**engine, "DOCKER_CONFIG": str(tmp_path / "docker")}, api)
    docker.login(wire.host, ADMIN)
    return docker


class TestDocker(CopyingClientContract):
    renews_tokens = False
    sends_config = True
    keeps_images = True

    @pytest.fixture
    def client(self, docker: Docker) -> CopyingClient:
        return docker


def test_runs_a_pulled_image(docker: Docker, registry: Registry, image: Image, tmp_path: Path) -> None:
    # Straight to the registry, nothing between: the lines that `estiva serve` prints.
    reference = f"{registry.host}/docker/hello:latest"
    docker.login(registry.host, ADMIN)
    docker.take(image, reference, tmp_path / "image")
    docker.push(reference)
    docker.pull(reference)

    assert docker.run("run", "--rm", reference) == GREETING


def test_pushes_and_pulls_without_login_where_the_registry_is_open(
    docker: Docker, image: Image, tmp_path: Path
) -> None:
    folder = tmp_path / "open"
    folder.mkdir()
    with registry_running(folder, settings=OPEN) as registry, contextlib.closing(Api(registry.host)) as api:
        reference = f"{registry.host}/docker/open:1"
        docker.take(image, reference, tmp_path / "image")
        docker.push(reference)

        assert docker.pull(reference) == api.manifest("docker/open", "1").digest


def test_pulls_by_digest(docker: Docker, wire: Wire, api: Api, image: Image, tmp_path: Path) -> None:
    reference = f"{wire.host}/docker/pinned:1"
    docker.take(image, reference, tmp_path / "image")
    docker.push(reference)
    docker.run("image", "rm", reference)

    pinned = f"{wire.host}/docker/pinned@{api.manifest('docker/pinned', '1').digest}"
    docker.run("pull", pinned)

    assert docker.run("run", "--rm", pinned) == GREETING


def test_pushes_a_manifest_list(docker: Docker, wire: Wire, api: Api, program: bytes, tmp_path: Path) -> None:
    repository = f"{wire.host}/docker/multi"
    for architecture in ("amd64", "arm64"):
        docker.take(Image.around(program), f"{repository}:{architecture}", tmp_path / architecture)
        docker.push(f"{repository}:{architecture}")
    images = [f"{repository}:amd64", f"{repository}:arm64"]

    docker.run("manifest", "create", "--insecure", f"{repository}:all", *images)
    docker.run("manifest", "annotate", "--arch", "arm64", f"{repository}:all", images[1])
    digest = docker.run("manifest", "push", "--insecure", f"{repository}:all")

    stored = api.manifest("docker/multi", "all")
    assert stored.digest == digest.splitlines()[-1]
    assert stored.media_type == "application/vnd.docker.distribution.manifest.list.v2+json"
    assert [one["platform"]["architecture"] for one in stored.document["manifests"]] == ["amd64", "arm64"]
    assert docker.run("run", "--rm", f"{repository}:all") == GREETING


def test_six_pushes_at_once_share_layers(docker: Docker, wire: Wire, api: Api, program: bytes, tmp_path: Path) -> None:
    shared = Image.around(program).files[1:7]
    references = [f"{wire.host}/docker/shared:{number}" for number in range(6)]
    for reference in references:
        docker.take(Image.around(program, shared=shared), reference, tmp_path / reference[-1])

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(docker.push, references))

    assert api.tags("docker/shared") == [str(number) for number in range(6)]
    assert [one for one in wire.exchanges if one.status >= 500] == []
    for number, reference in enumerate(references):
        assert docker.pull(reference) == api.manifest("docker/shared", str(number)).digest


def test_tells_the_quota_that_a_push_would_exceed_and_does_not_try_again(
    docker: Docker, wire: Wire, people: People, image: Image, tmp_path: Path
) -> None:
    reference = f"{wire.host}/docker/limited:1"
    docker.take(image, reference, tmp_path / "image")
    people.limit("docker/limited", 0)

    with pytest.raises(CommandFailed, match="denied: adding 1 bytes would exceed the quota of repository docker/"):
        docker.push(reference)

    assert len(wire.select("POST", "/blobs/uploads/")) <= len(image.files)
    people.limit("docker/limited", 100_000)
    with pytest.raises(CommandFailed, match=r"denied: adding \d+ bytes would exceed the quota of repository docker/"):
        docker.push(reference)

    people.limit("docker/limited", 100_000_000)
    docker.push(reference)
