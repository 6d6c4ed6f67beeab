"""One registry for everything hostile, with something in it that must come out unharmed."""

import zlib
from collections.abc import Iterator

import pytest

from tests.hostile.civility import Civility, require_quiet_log
from tests.hostile.world import World
from tests.serving import Registry, registry_running


@pytest.fixture(scope="package")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """A registry of its own process; in the end it still is that process, and has met no error it did not expect."""
    with registry_running(tmp_path_factory.mktemp("hostile")) as running:
        keepsake = World.pushed(running.port, "keepsake")
        yield running
        keepsake.require_unharmed()
        require_quiet_log(running)


@pytest.fixture(scope="package")
def civility(registry: Registry) -> Civility:
    """What each answer of the registry is held to."""
    return Civility.of(registry)


@pytest.fixture
def world(registry: Registry, request: pytest.FixtureRequest) -> World:
    """A repository of the test's own, with a blob, an image, a tag and an open upload."""
    return World.pushed(registry.port, f"test/{zlib.crc32(request.node.nodeid.encode()):x}")
