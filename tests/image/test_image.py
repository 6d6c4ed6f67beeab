"""The container image: what runs in it, as whom, and that it serves an image like any other registry."""

import json
import time
from collections.abc import Callable, Iterator

import httpx
import pytest

from tests.fixtures.image import BASE, Docker
from tests.serving import free_port

HARDENED = ("--read-only", "--tmpfs=/tmp", "--cap-drop=ALL", "--security-opt=no-new-privileges")


def _wait(reached: Callable[[], bool], patience: float = 60) -> bool:
    deadline = time.monotonic() + patience
    while not reached():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.2)
    return True


class Container:
    """The server in a container on the host's network."""

    def __init__(self, docker: Docker, image: str, volume: str) -> None:
        self.host = f"127.0.0.1:{free_port()}"
        self._docker = docker
        self._name = docker(
            *("run", "--detach", "--network=host", *HARDENED, "--health-interval=1s"),
            "--env=ESTIVA_OPEN=true",
            *(f"--env=ESTIVA_LISTEN={self.host}", f"--volume={volume}:/var/lib/estiva", image),
        )

    def ask(self, *words: str) -> str:
        """Run a command in the container."""
        return self._docker("exec", self._name, *words)

    def state(self) -> dict[str, object]:
        """What the engine knows about the container."""
        state: dict[str, object] = json.loads(self._docker("inspect", "--format", "{{json .State}}", self._name))
        return state

    def healthy(self) -> bool:
        """Whether the image's own health check says so."""
        health = self.state()["Health"]
        return isinstance(health, dict) and health["Status"] == "healthy"

    def stop(self) -> float:
        """SIGTERM and wait; how long it took."""
        begin = time.monotonic()
        self._docker("stop", "--time=40", self._name)
        return time.monotonic() - begin

    def log(self) -> str:
        """What the server said."""
        return self._docker("logs", self._name)

    def remove(self) -> None:
        """Stop and forget it."""
        self._docker("rm", "--force", self._name)


@pytest.fixture
def volume(image_engine: Docker) -> Iterator[str]:
    name = image_engine("volume", "create")
    yield name
    image_engine("volume", "rm", "--force", name)


@pytest.fixture
def start(image_engine: Docker, server_image: str, volume: str) -> Iterator[Callable[[], Container]]:
    """Starts a server on the volume; call it again for another on the same."""
    started: list[Container] = []

    def start_one() -> Container:
        container = Container(image_engine, server_image, volume)
        started.append(container)
        if not _wait(container.healthy):
            raise AssertionError(f"not healthy: {container.state()}\n{container.log()}")
        return container

    yield start_one
    for container in started:
        container.remove()


def test_runs_as_nobody_in_particular_and_writes_only_its_data(start: Callable[[], Container]) -> None:
    container = start()

    assert container.ask("id", "-u") == "65532"
    assert container.ask("python", "-c", "import os; print(os.access('/var/lib/estiva', os.W_OK))") == "True"
    assert container.ask("python", "-c", "import os; print(os.access('/opt/estiva', os.W_OK))") == "False"


def test_serves_pushes_and_pulls_and_keeps_them(image_engine: Docker, start: Callable[[], Container]) -> None:
    first = start()
    image_engine("tag", BASE, f"{first.host}/team/base:1")
    image_engine("push", f"{first.host}/team/base:1")
    pushed = httpx.get(f"http://{first.host}/v2/team/base/tags/list", trust_env=False).json()
    first.stop()

    second = start()
    image_engine("pull", f"{second.host}/team/base:1")

    assert pushed["tags"] == ["1"]
    ids = {
        image_engine("image", "inspect", "--format", "{{.Id}}", name) for name in (BASE, f"{second.host}/team/base:1")
    }
    assert len(ids) == 1


def test_drains_and_ends_well_on_sigterm(start: Callable[[], Container]) -> None:
    container = start()

    assert container.stop() < 30
    assert container.state()["ExitCode"] == 0


def test_holds_no_build_tools(image_engine: Docker, server_image: str) -> None:
    with_pip = (
        "import importlib.util as u; print([n for n in ('pip', 'pytest', 'mypy', 'hatchling') if u.find_spec(n)])"
    )

    assert image_engine("run", "--rm", "--network=none", server_image, "python", "-c", with_pip) == "[]"
    assert image_engine("image", "inspect", "--format", "{{.Config.User}}", server_image) == "65532:65532"
