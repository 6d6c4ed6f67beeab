"""The directories of a filesystem blob store, made once and durable before the first blob needs one."""

import os
from pathlib import Path

from estiva.digest import Algorithm

_FAN_OUT = tuple(f"{number:02x}" for number in range(256))


def prepare(root: Path) -> tuple[Path, Path]:
    """Make what is missing of `root/uploads` and `root/blobs/<algorithm>/<2 hex>`; the paths of the first two.

    A commit then creates no directory, and so has one directory to sync. Nothing is trusted because it is there: a
    start that was cut short may have left directories that the disk does not hold yet, so each parent is synced
    at every start (a few milliseconds), before anything is put below it.
    """
    uploads, blobs = root / "uploads", root / "blobs"
    _make_root(root)
    _make(root, ("uploads", "blobs"))
    _make(blobs, tuple(algorithm.value for algorithm in Algorithm))
    for algorithm in Algorithm:
        _make(blobs / algorithm.value, _FAN_OUT)
    return uploads, blobs


def sync_directory(path: Path) -> None:
    """Return when the entries of a directory are on disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _make_root(root: Path) -> None:
    """Make the root and every missing parent. One that holds something was synced by whoever put it there."""
    if root.is_dir() and any(root.iterdir()):
        return
    if not root.parent.exists():
        _make_root(root.parent)
    _make(root.parent, (root.name,))


def _make(parent: Path, names: tuple[str, ...]) -> None:
    for name in sorted(set(names).difference(os.listdir(parent))):
        _make_directory(parent / name)
    sync_directory(parent)


def _make_directory(path: Path) -> None:
    try:
        path.mkdir(0o700)
    except FileExistsError:
        return  # another worker was quicker
    path.chmod(0o700)  # whatever the umask took away
