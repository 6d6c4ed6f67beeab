"""The registry, the recording proxy and the images that every client's tests use."""

import contextlib
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.clients.api import Api
from tests.clients.clock import Clock
from tests.clients.contract import GREETING
from tests.clients.goprogram import build_program
from tests.clients.images import Image
from tests.clients.people import ADMIN, READ_ONLY, Account, People
from tests.clients.wire import Wire
from tests.serving import Registry, registry_running

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in this folder needs real tools."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.real)


@pytest.fixture(scope="session")
def scratch() -> Iterator[Path]:
    """A folder with a short name (sockets need that), gone afterwards with all that engines stored in it."""
    folder = Path(tempfile.mkdtemp(prefix="estiva-"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def registry(scratch: Path) -> Iterator[Registry]:
    """One registry for all the tests, closed as it is by default; each uses images of its own."""
    folder = scratch / "registry"
    folder.mkdir()
    with registry_running(folder, settings={"ESTIVA_ADMIN_PASSWORD": ADMIN.password}) as running:
        yield running


@pytest.fixture(scope="session")
def people(registry: Registry) -> Iterator[People]:
    """The registry's users."""
    with People.of(registry.host) as people:
        yield people


@pytest.fixture(scope="session")
def puller(people: People) -> Account:
    """Somebody who may pull everything and push nothing."""
    return people.join(READ_ONLY)


@pytest.fixture(scope="session")
def aging(scratch: Path) -> Iterator[tuple[Registry, Clock]]:
    """Another such registry, whose clock the tests set."""
    folder = scratch / "aging"
    folder.mkdir()
    clock = Clock(folder)
    settings = {"ESTIVA_ADMIN_PASSWORD": ADMIN.password, "ESTIVA_TOKEN_LIFE": "60", **clock.settings}
    with registry_running(folder, settings=settings) as running:
        yield running, clock


@pytest.fixture
def clock(aging: tuple[Registry, Clock]) -> Clock:
    """The clock of the registry behind `aging_wire`, right at first."""
    aging[1].set(0)
    return aging[1]


@pytest.fixture
def aging_wire(aging: tuple[Registry, Clock]) -> Iterator[Wire]:
    """That registry behind a recording proxy."""
    with Wire(aging[0].port).open() as wire:
        yield wire


@pytest.fixture
def api(registry: Registry) -> Iterator[Api]:
    """The registry, asked directly."""
    with contextlib.closing(Api(registry.host)) as api:
        yield api


@pytest.fixture
def wire(registry: Registry) -> Iterator[Wire]:
    """The registry behind a recording proxy on a port that no client has seen before."""
    with Wire(registry.port).open() as wire:
        yield wire


@pytest.fixture(scope="session")
def program(scratch: Path, require_tool: Callable[[str], str]) -> bytes:
    """A static program that prints the greeting."""
    target = scratch / "hello"
    flags = f"-s -w -X 'main.greeting={GREETING}'"
    build_program(require_tool("go"), HERE / "hello", target, "-ldflags", flags)
    return target.read_bytes()


@pytest.fixture
def image(program: bytes) -> Image:
    """An image of nine layers that nobody has seen before."""
    return Image.around(program)


@pytest.fixture
def another(program: bytes) -> Image:
    """Another such image."""
    return Image.around(program)


@pytest.fixture
def small(program: bytes) -> Image:
    """One of three layers."""
    return Image.around(program, layers=3)
