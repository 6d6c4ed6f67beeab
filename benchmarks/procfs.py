"""What a server costs, as the kernel counts it: CPU time and peak memory of a process and its children."""

from __future__ import annotations

import os
from pathlib import Path

_TICK = os.sysconf("SC_CLK_TCK")
_MOST = 10_000


def tree(pid: int) -> list[int]:
    """The process and all that descend from it."""
    found = [pid]
    for parent in found:
        if len(found) > _MOST:
            raise RuntimeError(f"process {pid} has more than {_MOST} descendants")
        for task in Path(f"/proc/{parent}/task").glob("*/children"):
            try:
                found += [int(child) for child in task.read_text().split()]
            except FileNotFoundError:
                continue  # the thread ended between the listing and the reading
    return found


def cpu_seconds(pid: int) -> float:
    """User and system time used so far, children that have ended and were waited for included."""
    return sum(ticks(_stat(process)) for process in tree(pid)) / _TICK


def _stat(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return ""  # ended a moment ago: its parent has its time


def ticks(stat: str) -> int:
    """utime + stime + cutime + cstime of one line of ``/proc/PID/stat`` (0 for an empty one)."""
    # The second field is the program's name in parentheses and may hold spaces and parentheses.
    fields = stat.rpartition(")")[2].split()
    return sum(int(field) for field in fields[11:15])


def peak_bytes(pid: int) -> int:
    """The sum of the peak resident sets (VmHWM) since the last reset."""
    return sum(_peak(process) for process in tree(pid))


def _peak(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except FileNotFoundError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))


def busy_seconds(stat: str | None = None) -> float:
    """The CPU time that the whole machine has used so far, whoever used it, from ``/proc/stat``."""
    first = (stat if stat is not None else Path("/proc/stat").read_text()).split("\n", 1)[0]
    user, nice, system, _idle, _waiting, hard, soft, *_ = (int(field) for field in first.split()[1:])
    return (user + nice + system + hard + soft) / _TICK


def reset_peak(pid: int) -> None:
    """Begin a new peak for the process and its children."""
    for process in tree(pid):
        try:
            Path(f"/proc/{process}/clear_refs").write_text("5")
        except FileNotFoundError:
            continue  # ended a moment ago
