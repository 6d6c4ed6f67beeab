import os
import subprocess
import sys
from time import process_time

import pytest

from benchmarks import procfs


def test_a_stat_line_gives_the_times_of_the_process_and_of_its_ended_children() -> None:
    line = "7 (a (b) 1 2) S 1 7 7 0 -1 0 0 0 0 0 100 20 3 4 20 0 1 0 5 0 0"
    assert procfs.ticks(line) == 127


def test_a_process_that_has_ended_counts_nothing_itself() -> None:
    assert procfs.ticks("") == 0


def test_cpu_time_grows_by_what_was_used() -> None:
    before, begun = procfs.cpu_seconds(os.getpid()), process_time()
    while process_time() - begun < 0.1:
        pass
    assert procfs.cpu_seconds(os.getpid()) - before == pytest.approx(0.1, abs=0.05)


def test_the_machines_busy_time_leaves_out_idling_and_waiting_for_disks() -> None:
    ticks = os.sysconf("SC_CLK_TCK")
    assert procfs.busy_seconds("cpu  1 20 300 7777 8888 4000 50000 9 0 0\ncpu0 5 5") == 54321 / ticks


def test_the_tree_holds_children_and_grandchildren() -> None:
    child = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'print(1, flush=True); input()'])"
    with subprocess.Popen([sys.executable, "-c", child], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()  # the grandchild has told that it is there
        assert len(procfs.tree(process.pid)) == 2
        process.communicate(b"\n")


def test_a_reset_peak_forgets_what_was_freed() -> None:
    size = 64 << 20
    held = bytearray(os.urandom(1 << 20) * 64)
    high = procfs.peak_bytes(os.getpid())
    assert high > len(held) == size
    del held
    procfs.reset_peak(os.getpid())
    assert procfs.peak_bytes(os.getpid()) < high - size // 2
