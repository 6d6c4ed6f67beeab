"""A power loss under the whole registry: every acknowledged blob, manifest and tag is there afterwards."""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from tests.faults.disk import WRITE_BACK, Disk, disk, kill
from tests.faults.pushers import Client, Ledger, pushing
from tests.faults.verify import dangling, lost, unfinishable, wrong_files
from tests.serving import ESTIVA, registry_running

pytestmark = pytest.mark.real

WITHOUT_BLOB_SYNCS = """
import os
real = os.fsync
def fsync(descriptor):
    path = os.readlink(f"/proc/self/fd/{descriptor}") + "/"
    if "/blobs/" not in path and "/uploads/" not in path:
        real(descriptor)
os.fsync = fsync
from estiva.cli.main import main
main()
"""


FILE_SYSTEMS = ["ext4", "xfs"]
SHORT_AND_LONG = ["ext4", pytest.param("xfs", marks=pytest.mark.long)]


@pytest.fixture
def volatile(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Disk]:
    with disk(tmp_path, request.param) as made:
        yield made


def acknowledged_before_power_loss(
    volatile: Disk, seconds: float, program: Sequence[str | Path] = (ESTIVA,), pushers: int = 20
) -> Ledger:
    """What a registry on the disk acknowledged before the power went."""
    with (
        registry_running(volatile.path, program=program) as registry,
        pushing(registry.port, pushers, "pusher") as ledger,
    ):
        volatile.written_from_now()
        time.sleep(seconds)
        ledger.await_images(patience=WRITE_BACK - 10)
        assert registry.process.poll() is None
        kill(registry.process)
    volatile.cut_power()
    assert ledger.refusals == []
    return ledger


@pytest.mark.parametrize("volatile", FILE_SYSTEMS, indirect=True)
@pytest.mark.parametrize("seconds", [1, pytest.param(4, marks=pytest.mark.long)])
def test_everything_acknowledged_is_there_after_a_power_loss(
    volatile: Disk, seconds: float, figure: Callable[[str], None]
) -> None:
    ledger = acknowledged_before_power_loss(volatile, seconds)
    with registry_running(volatile.path) as registry, Client(registry.port) as client:
        assert lost(client, ledger) == []
        assert dangling(client) == []
        assert wrong_files(registry.data) == []
        assert [wrong for session in ledger.sessions if (wrong := unfinishable(client, session))] == []
    figure(
        f"power loss, {volatile.kind}, SQLite, 20 pushers, {seconds} s: {len(ledger.blobs)} blobs and"
        f" {len(ledger.tags)} images acknowledged, 0 lost, 0 wrong files"
    )


@pytest.mark.parametrize("volatile", SHORT_AND_LONG, indirect=True)
def test_control_a_registry_that_syncs_no_blob_loses_what_it_acknowledged(volatile: Disk) -> None:
    program = (sys.executable, "-c", WITHOUT_BLOB_SYNCS)
    ledger = acknowledged_before_power_loss(volatile, seconds=2, program=program)
    with registry_running(volatile.path) as registry, Client(registry.port) as client:
        assert lost(client, ledger) != []
        assert wrong_files(registry.data) != []
