"""What the kernel tells of a running process."""

import contextlib
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


def children(pid: int) -> list[int]:
    """The processes that it started, as long as they are there."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


class Stopwatch:
    """Seconds since it was begun, without those that this thread and the processes waited for a processor.

    How long a registry takes is its own; how long it waits until the machine lets it run is not, and beside other
    load, of which nobody who runs tests knows, that is many times as long.
    """

    def __init__(self, *processes: int) -> None:
        self._queues = [Path("/proc/thread-self/schedstat"), *(Path(f"/proc/{pid}/schedstat") for pid in processes)]
        self._begun = time.monotonic()
        self._before = [_queued(queue) for queue in self._queues]
        self._last = list(self._before)

    def seconds(self) -> float:
        """As of now; a process that has ended by now waits no longer, but did until it was last asked for."""
        self._last = [max(last, _queued(queue)) for queue, last in zip(self._queues, self._last, strict=True)]
        return time.monotonic() - self._begun - (sum(self._last) - sum(self._before))


def _queued(queue: Path) -> float:
    """Seconds that a thread was ready to run and did not."""
    with contextlib.suppress(OSError):
        return int(queue.read_text().split()[1]) / 1e9
    return 0.0


def _status(pid: int, name: str) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    [line] = [line for line in lines if line.startswith(f"{name}:")]
    return int(line.split()[1]) * 1024
