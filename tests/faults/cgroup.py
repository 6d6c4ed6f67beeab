"""A control group that gives its processes no more than so much memory, page cache included."""

import contextlib
import os
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.tools import absent

ROOT = Path("/sys/fs/cgroup")
ENTER = ("sh", "-c", 'echo $$ > "$0/cgroup.procs" && exec "$@"')


@dataclass(frozen=True)
class Group:
    """A control group of version 1 or 2."""

    folder: Path

    def command(self, *program: str | Path) -> list[str | Path]:
        """The command that runs that program in it."""
        return [*ENTER, self.folder, *program]

    def killed(self) -> int:
        """How many processes were killed for want of memory."""
        second = self.folder / "memory.events"
        lines = (second if second.exists() else self.folder / "memory.oom_control").read_text().splitlines()
        return sum(int(line.split()[1]) for line in lines if line.startswith("oom_kill "))


@contextlib.contextmanager
def memory_limited(most: int) -> Iterator[Group]:
    """A new group with that many bytes, until the block ends; the test is skipped (in CI: fails) where none can be."""
    second = (ROOT / "cgroup.controllers").exists()
    parent, limit = (ROOT, "memory.max") if second else (ROOT / "memory", "memory.limit_in_bytes")
    folder = parent / f"estiva-{uuid.uuid4().hex}"
    if os.geteuid() != 0 or not parent.exists():
        absent("limiting memory takes root and control groups")
    folder.mkdir()
    try:
        (folder / limit).write_text(str(most))
        yield Group(folder)
    finally:
        folder.rmdir()
