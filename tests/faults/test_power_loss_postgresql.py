"""A power loss under a registry and its PostgreSQL server: what was acknowledged is there when both have come back."""

import contextlib
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults.disk import WRITE_BACK, Disk, disk, kill
from tests.faults.pushers import Client, Ledger, pushing
from tests.faults.verify import dangling, lost, unfinishable, wrong_files
from tests.postgresql import ACCOUNT, Server
from tests.replicas import settings_on
from tests.serving import OPEN, Registry, registry_running
from tests.tools import run

pytestmark = [pytest.mark.real, pytest.mark.long, pytest.mark.timeout(600)]


@pytest.fixture(params=["ext4", "xfs"])
def volatile(request: pytest.FixtureRequest) -> Iterator[Disk]:
    """Where the server's account may go, too."""
    with tempfile.TemporaryDirectory(prefix="estiva-power-") as folder:
        Path(folder).chmod(0o755)
        with disk(Path(folder), request.param) as made:
            yield made


@contextlib.contextmanager
def server_on(volatile: Disk, *settings: str) -> Iterator[Server]:
    """A server with its cluster on the disk. `initdb` syncs nothing, so all that is there is synced once."""
    folder = volatile.path / "postgresql"
    folder.mkdir()
    shutil.chown(folder, ACCOUNT)
    server = Server(folder, settings)
    server.create()
    run(["sync", "--file-system", volatile.path])
    server.start()
    try:
        yield server
    finally:
        server.stop()


@contextlib.contextmanager
def registry_on(volatile: Disk, server: Server) -> Iterator[Registry]:
    """A registry with its facts in the server and its blobs on the same disk."""
    with registry_running(volatile.path, settings=settings_on(server.url(), {}, **OPEN)) as registry:
        yield registry


def acknowledged_before_power_loss(volatile: Disk, server: Server, seconds: float) -> Ledger:
    """What was acknowledged before the power went; the server is down then."""
    with registry_on(volatile, server) as registry, pushing(registry.port, 20, "pusher") as ledger:
        volatile.written_from_now()
        time.sleep(seconds)
        ledger.await_images(patience=WRITE_BACK - 10)
        assert registry.process.poll() is None
        kill(registry.process)
        server.stop(signal.SIGKILL)
    volatile.cut_power()
    return ledger


def test_everything_acknowledged_is_there_after_a_power_loss(volatile: Disk, figure: Callable[[str], None]) -> None:
    with server_on(volatile) as server:
        ledger = acknowledged_before_power_loss(volatile, server, 4)
        assert ledger.refusals == []
        server.start()
        with registry_on(volatile, server) as registry, Client(registry.port) as client:
            assert lost(client, ledger) == []
            assert dangling(client) == []
            assert wrong_files(registry.data) == []
            assert [wrong for session in ledger.sessions if (wrong := unfinishable(client, session))] == []
    figure(
        f"power loss, {volatile.kind}, PostgreSQL, 20 pushers, 4 s: {len(ledger.blobs)} blobs and"
        f" {len(ledger.tags)} images acknowledged, 0 lost, 0 wrong files"
    )


@pytest.mark.parametrize("volatile", ["ext4"], indirect=True)
def test_control_a_server_that_syncs_nothing_loses_what_was_acknowledged(volatile: Disk) -> None:
    with server_on(volatile, "fsync=off") as server:
        ledger = acknowledged_before_power_loss(volatile, server, 2)
        try:
            server.start()
        except AssertionError:  # not even its own files are whole
            return
        with registry_on(volatile, server) as registry, Client(registry.port) as client:
            assert lost(client, ledger) != []
