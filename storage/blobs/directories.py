"""The directories of a filesystem blob store, made once and durable before the first blob needs one."""

from pathlib import Path

from estiva.digest import Algorithm
from storage.durable import make_directories, make_directory

FAN_OUT = tuple(f"{number:02x}" for number in range(256))


def prepare(root: Path) -> tuple[Path, Path]:
    """Make what is missing of `root/uploads` and `root/blobs/<algorithm>/<2 hex>`; the paths of the first two.

    A commit then creates no directory, and so has one directory to sync. Cheap where everything is there: one
    listing and one sync for each of four parents.
    """
    uploads, blobs = root / "uploads", root / "blobs"
    make_directory(root)
    make_directories(root, ("uploads", "blobs"))
    make_directories(blobs, [algorithm.value for algorithm in Algorithm])
    for algorithm in Algorithm:
        make_directories(blobs / algorithm.value, FAN_OUT)
    return uploads, blobs
