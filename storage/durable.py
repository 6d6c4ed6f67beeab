"""Directories that survive a power loss: a new name is on disk before anything is put below it."""

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path


def make_directory(path: Path) -> None:
    """Make a directory, only its owner's, and every missing parent; on disk when this returns.

    One that holds something is left alone: what made it came here too, before it put anything into it.
    """
    if path.is_dir() and any(path.iterdir()):
        return
    if not path.parent.exists():
        make_directory(path.parent)
    _make(path)
    # Who may not even read the parent was given this directory by somebody else.
    with contextlib.suppress(PermissionError):
        sync_directory(path.parent)


def make_directories(parent: Path, names: Iterable[str]) -> None:
    """Make what is missing of these directories; all are on disk when this returns, also those that were there.

    A start that was cut short may have made some that the disk does not hold yet.
    """
    for name in sorted(set(names).difference(os.listdir(parent))):
        _make(parent / name)
    sync_directory(parent)


def sync_directory(path: Path | str) -> None:
    """Return when the entries of a directory are on disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_entry(file: str) -> None:
    """Return when a file's name is on disk; OSError, and the name, which may or may not be there, is taken back."""
    try:
        sync_directory(os.path.dirname(file))
    except OSError:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(file)
        raise


def sync_file(path: Path) -> None:
    """Return when a file's content is on disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _make(path: Path) -> None:
    try:
        path.mkdir(0o700)
    except FileExistsError:
        if not path.is_dir():
            raise
        return  # it was there, or another worker was quicker
    path.chmod(0o700)  # whatever the umask took away
