"""What the kernel tells of a running process."""

import time
from collections.abc import Callable
from pathlib import Path


def resident(pid: int) -> int:
    """Bytes of its memory that are in RAM."""
    return _status(pid, "VmRSS")


def peak(pid: int) -> int:
    """The most that `resident` was since `forget_peak`."""
    return _status(pid, "VmHWM")


def forget_peak(pid: int) -> None:
    """Begin a new peak."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def descriptors(pid: int) -> int:
    """How many files and sockets it has open."""
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def threads(pid: int) -> int:
    """How many threads it has."""
    return len(list(Path(f"/proc/{pid}/task").iterdir()))


def settles(measure: Callable[[], int], most: int, patience: float = 10) -> int:
    """The measure once it is at most `most`; the last one when patience ends."""
    deadline = time.monotonic() + patience
    while (value := measure()) > most and time.monotonic() < deadline:
        time.sleep(0.05)
    return value


def _status(pid: int, name: str) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    [line] = [line for line in lines if line.startswith(f"{name}:")]
    return int(line.split()[1]) * 1024
