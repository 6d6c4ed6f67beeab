"""A base image made here, and the server's image built on it by an engine of the tests' own: no network is used."""

import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.clients.engines import docker_engine
from tests.tools import absent, run

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
BASE = "estiva-test-base"
IMAGE = "estiva-server:test"

Docker = Callable[..., str]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in this folder needs real tools, and more time than a test usually does."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.real)
            item.add_marker(pytest.mark.timeout(600))


@pytest.fixture(scope="session")
def docker(require_tool: Callable[[str], str]) -> Iterator[Docker]:
    """The docker command, speaking to an engine of the tests' own."""
    program = require_tool("docker")
    folder = Path(tempfile.mkdtemp(prefix="estiva-"))
    with docker_engine(folder / "docker") as environment:
        yield lambda *words, timeout=120: run([program, *words], environment=environment, timeout=timeout).strip()
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def base(require_tool: Callable[[str], str]) -> Path:
    """A root file system with Debian 12 and its Python; made once, kept in .tools."""
    archive = ROOT / ".tools" / "image-base-bookworm-python3-libstdc++.tar"
    if not archive.exists():
        archive.parent.mkdir(exist_ok=True)
        unfinished = archive.with_suffix(".part.tar")
        include = "--include=python3,python3-venv,libstdc++6"
        mmdebstrap = [require_tool("mmdebstrap"), "--quiet", "--variant=essential"]
        run([*mmdebstrap, include, "bookworm", unfinished], timeout=400)
        unfinished.rename(archive)
    return archive


@pytest.fixture(scope="session")
def wheels() -> Path:
    """Everything that is installed in the image, as wheels inside the build context."""
    if sys.version_info[:2] != (3, 11):
        absent("the wheels must fit the base's Python 3.11, and are made with the Python that runs the tests")
    folder = ROOT / "build" / "wheels"
    shutil.rmtree(folder, ignore_errors=True)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    run([*pip, "wheel", "-c", "constraints.txt", "-w", folder, "./client", ".", "hatchling"], folder=ROOT, timeout=400)
    return folder


@pytest.fixture(scope="session")
def image(docker: Docker, base: Path, wheels: Path) -> str:
    """The server's image, built from the Dockerfile."""
    docker("import", str(base), BASE)
    offline = {"BASE": BASE, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": f"/src/{wheels.relative_to(ROOT)}"}
    arguments = [f"--build-arg={name}={value}" for name, value in offline.items()]
    docker("build", "--network=none", *arguments, "--tag", IMAGE, str(ROOT), timeout=400)
    return IMAGE
