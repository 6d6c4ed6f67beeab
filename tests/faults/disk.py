"""A disk whose power can be cut: a file system in a file, of which a copy shows what had reached the disk.

Whoever wrote to it is killed first; what is in the page cache then is what a power loss takes. The file behind the
mount holds only what was synced or written back, so a copy of it, mounted in its place, is the disk after the loss.
The kernel writes back by itself after 30 seconds: all of it must happen sooner than that.
"""

import contextlib
import filecmp
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from tests.tools import absent, find_tool, run

SIZE = 512 * 1024 * 1024
WRITE_BACK = 25.0
# Without this ext4 commits its journal, and every name in it, each five seconds. XFS mounts no copy while the original
# is mounted, which it may be for a while longer where anybody made a mount namespace meanwhile, as containers do.
OPTIONS = {"ext4": "loop,commit=300", "xfs": "loop,nouuid"}


class Disk:
    """A mounted file system; `path` is where."""

    def __init__(self, folder: Path, kind: str) -> None:
        self.path = folder / "disk"
        self._folder = folder
        self.kind = kind
        self._image = folder / "image"
        self._written_since = 0.0

    def make(self) -> None:
        """Make the file system and mount it."""
        make = find_tool(f"mkfs.{self.kind}")
        self.path.mkdir()
        with self._image.open("wb") as image:
            image.truncate(SIZE)
        run([make, "-q", self._image])
        self.mount()

    def mount(self) -> None:
        """Mount it."""
        run(["mount", "-t", self.kind, "-o", OPTIONS[self.kind], self._image, self.path])
        self._written_since = time.monotonic()

    def written_from_now(self) -> None:
        """What was written before is not what the power loss is about: it may have reached the disk."""
        self._written_since = time.monotonic()

    def unmount(self) -> None:
        """Unmount it."""
        run(["umount", self.path])

    def cut_power(self) -> None:
        """Lose what has not reached the disk since `written_from_now`. Whoever wrote has been killed before."""
        after = self._copied_in_one_moment()
        self.unmount()
        after.rename(self._image)
        self.mount()

    def _copied_in_one_moment(self) -> Path:
        """A copy of the file behind the mount as it was at one moment, as a disk is when its power goes.

        Memory that others want makes the kernel write back sooner. A copy taken meanwhile would have the names that
        were written after it had read the place of their contents; two copies in a row that are the same do not.
        """
        after, next_one = (self._folder / f"image-after-power-loss-{which}" for which in ("a", "b"))
        _copy(self._image, after)
        while True:
            assert time.monotonic() - self._written_since < WRITE_BACK, "the kernel may have written back by itself"
            _copy(self._image, next_one)
            if filecmp.cmp(after, next_one, shallow=False):
                next_one.unlink()
                return after
            after, next_one = next_one, after


def _copy(image: Path, target: Path) -> None:
    run(["cp", "--sparse=always", image, target])


@contextlib.contextmanager
def disk(folder: Path, kind: str) -> Iterator[Disk]:
    """A new disk of that kind of file system; the test is skipped (in CI: fails) where none can be mounted."""
    if os.geteuid() != 0 or not Path("/dev/loop-control").exists():
        absent("cutting a disk's power takes root and loop devices")
    made = Disk(folder, kind)
    made.make()
    try:
        yield made
    finally:
        if made.path.is_mount():
            made.unmount()


def kill(process: subprocess.Popen[bytes]) -> None:
    """End a process as a power loss does: at once, and nothing more comes from it."""
    process.kill()
    process.wait(10)
