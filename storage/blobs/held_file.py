"""An upload's file: made once, then written to by one holder at a time, whichever process that is."""

import fcntl
import os
from pathlib import Path

from storage.blobs import UploadBusyError, UploadUnknownError

_OPEN = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW


def create_file(path: Path) -> None:
    """The empty file of a new upload."""
    descriptor = os.open(path, _OPEN | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.fchmod(descriptor, 0o600)  # whatever the umask took away
    finally:
        os.close(descriptor)


def hold_file(path: Path) -> int:
    """A descriptor of an upload's file that nobody else holds, in this process or another.

    UploadUnknownError, or UploadBusyError at once. The lock goes with the descriptor, also when the process is killed.
    """
    try:
        descriptor = _open_writable(path)
    except FileNotFoundError:
        raise UploadUnknownError(path.name) from None
    try:
        _lock(descriptor, path)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _open_writable(path: Path) -> int:
    try:
        return os.open(path, _OPEN)
    except PermissionError:
        _make_writable_again(path)
        return os.open(path, _OPEN)


def _lock(descriptor: int, path: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise UploadBusyError(path.name) from None
    if not _is_still(descriptor, path):  # committed or discarded between open and lock
        raise UploadUnknownError(path.name)


def _is_still(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.lstat(path))
    except FileNotFoundError:
        return False


def _make_writable_again(path: Path) -> None:
    """A process killed in the middle of a commit may have left the upload read-only."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        _lock(descriptor, path)
        os.fchmod(descriptor, 0o600)
    finally:
        os.close(descriptor)


def is_idle(entry: os.DirEntry[str], latest: float) -> bool:
    """Whether nobody holds that upload's file and it was last written to at `latest` or before."""
    try:
        if entry.stat(follow_symlinks=False).st_mtime > latest:
            return False
        descriptor = os.open(entry.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return False  # finished meanwhile
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True
