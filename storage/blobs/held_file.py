"""An upload's file: made once, then written to by one holder at a time, whichever process that is."""

import fcntl
import io
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


def begin_file(path: Path) -> io.FileIO:
    """The empty file of a new upload, held as by `hold_file`. FileExistsError, UploadUnknownError, UploadBusyError.

    Another process may have found it before it was locked: it may hold something then.
    """
    file = io.FileIO(os.open(path, _OPEN | os.O_CREAT | os.O_EXCL, 0o600), "r+")
    try:
        os.fchmod(file.fileno(), 0o600)  # whatever the umask took away
        _lock(file, path)
    except BaseException:
        file.close()
        raise
    return file


def hold_file(path: Path) -> io.FileIO:
    """An upload's file, open for one holder at a time, in this process or another.

    UploadUnknownError, or UploadBusyError at once. The lock goes when the file is closed, as it is when the process
    is killed or nothing refers to it any more.
    """
    try:
        file = _open_writable(path)
    except FileNotFoundError:
        raise UploadUnknownError(path.name) from None
    try:
        _lock(file, path)
    except BaseException:
        file.close()
        raise
    return file


def _open_writable(path: Path) -> io.FileIO:
    try:
        return io.FileIO(os.open(path, _OPEN), "r+")
    except PermissionError:
        _make_writable_again(path)
        return io.FileIO(os.open(path, _OPEN), "r+")


def _lock(file: io.FileIO, path: Path) -> None:
    try:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise UploadBusyError(path.name) from None
    if not _is_still(file, path):  # committed or discarded between open and lock
        raise UploadUnknownError(path.name)


def _is_still(file: io.FileIO, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), os.lstat(path))
    except FileNotFoundError:
        return False


def _make_writable_again(path: Path) -> None:
    """A process killed in the middle of a commit may have left the upload read-only."""
    with io.FileIO(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)) as file:
        _lock(file, path)
        os.fchmod(file.fileno(), 0o600)


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
