"""A network of this thread's own, slow and lossy, with nobody else in it."""

import contextlib
import ctypes
import os
from collections.abc import Iterator

from tests.tools import absent, find_tool, run

CLONE_NEWNET = 0x40000000
LARGEST_PACKET = 1500
"""As on a real network, so that a packet that is dropped is a small part of what is sent."""


@contextlib.contextmanager
def network_of_its_own() -> Iterator[None]:
    """This thread, and the threads and processes that it starts in the block, have a loopback interface and no more."""
    if os.geteuid() != 0:
        absent("a network of its own takes root")
    libc = ctypes.CDLL(None, use_errno=True)
    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        _demand(libc.unshare(CLONE_NEWNET))
        try:
            run([find_tool("ip"), "link", "set", "lo", "mtu", str(LARGEST_PACKET), "up"])
            yield
        finally:
            _demand(libc.setns(before, CLONE_NEWNET))
    finally:
        os.close(before)


def make_slow_and_lossy(rate: str, lost: float) -> None:
    """From now on this network carries so much (`1mbit`), and loses that share of its packets, at random."""
    run([find_tool("tc"), "qdisc", "add", "dev", "lo", "root", "tbf", "rate", rate, "burst", "16kb", "latency", "1s"])
    rule = ["-A", "INPUT", "-i", "lo", "-m", "statistic", "--mode", "random", "--probability", lost, "-j", "DROP"]
    run([find_tool("iptables"), *map(str, rule)])


def _demand(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
