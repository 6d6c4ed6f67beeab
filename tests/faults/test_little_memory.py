"""A registry in a container of 256 MB: ten gigabytes go in and come out."""

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.cgroup import memory_limited
from tests.faults.large import MIB, digest_of_blocks, pulled, push_as_docker_does, put_whole
from tests.serving import ESTIVA, registry_running
from tests.tools import CommandFailed, run

pytestmark = pytest.mark.real

LIMIT = 256_000_000
GIB = 1024 * MIB


@pytest.mark.timeout(3000)
@pytest.mark.parametrize("gibibytes", [pytest.param(10, marks=pytest.mark.long)])
def test_ten_gigabytes_are_pushed_and_pulled_with_little_memory(gibibytes: int, figure: Callable[[str], None]) -> None:
    size = gibibytes * GIB
    digest = digest_of_blocks(b"whole", size)
    with (
        memory_limited(LIMIT) as group,
        tempfile.TemporaryDirectory(prefix="estiva-memory-") as folder,
        registry_running(Path(folder), group.command(ESTIVA)) as registry,
    ):
        assert str(registry.process.pid) in (group.folder / "cgroup.procs").read_text().split()
        assert put_whole(registry.port, "large", b"whole", size) == 201
        assert pulled(registry.port, f"/v2/large/blobs/{digest}") == (digest, size)
        assert push_as_docker_does(registry.port, "large", b"chunked", GIB) == 201
        assert registry.process.poll() is None
        assert group.killed() == 0
    figure(f"{gibibytes} GiB pushed and pulled by a registry in a control group of {LIMIT // 1_000_000} MB: whole")


def test_control_a_program_that_takes_more_is_killed() -> None:
    with memory_limited(LIMIT) as group:
        with pytest.raises(CommandFailed):
            run(group.command(sys.executable, "-c", "print(len(bytearray(600_000_000)))"))
        assert group.killed() == 1
