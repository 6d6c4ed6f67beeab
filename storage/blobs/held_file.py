"""An upload's file: made once, then written to by one holder at a time, whichever process that is."""

import fcntl
import io
import os
import stat

from storage.blobs import UploadBusyError, UploadUnknownError

_OPEN = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW


def create_file(path: str) -> None:
    """The empty file of a new upload."""
    descriptor = os.open(path, _OPEN | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.fchmod(descriptor, 0o600)  # whatever the umask took away
    finally:
        os.close(descriptor)


def begin_file(path: str) -> tuple[io.FileIO, int]:
    """The empty file of a new upload, held as by `hold_file`. FileExistsError, UploadUnknownError, UploadBusyError.

    Another process may have found it before it was locked: it may hold something then.
    """
    file = io.FileIO(os.open(path, _OPEN | os.O_CREAT | os.O_EXCL, 0o600), "r+")
    try:
        seen = _lock(file, path)
        if stat.S_IMODE(seen.st_mode) != 0o600:
            os.fchmod(file.fileno(), 0o600)  # whatever the umask took away
    except BaseException:
        file.close()
        raise
    return file, seen.st_size


def hold_file(path: str) -> tuple[io.FileIO, int]:
    """An upload's file, open for one holder at a time, in this process or another, and how many bytes it has.

    UploadUnknownError, or UploadBusyError at once. The lock goes when the file is closed, as it is when the process
    is killed or nothing refers to it any more.
    """
    try:
        file = _open_writable(path)
    except FileNotFoundError:
        raise UploadUnknownError(os.path.basename(path)) from None
    try:
        return file, _lock(file, path).st_size
    except BaseException:
        file.close()
        raise


def _open_writable(path: str) -> io.FileIO:
    try:
        return io.FileIO(os.open(path, _OPEN), "r+")
    except PermissionError:
        _make_writable_again(path)
        return io.FileIO(os.open(path, _OPEN), "r+")


def _lock(file: io.FileIO, path: str) -> os.stat_result:
    """Lock it and tell what it is: nobody else changes it from then on."""
    try:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise UploadBusyError(os.path.basename(path)) from None
    seen = os.fstat(file.fileno())
    if not _is_at(path, seen):  # committed or discarded between open and lock
        raise UploadUnknownError(os.path.basename(path))
    return seen


def _is_at(path: str, seen: os.stat_result) -> bool:
    try:
        return os.path.samestat(seen, os.lstat(path))
    except FileNotFoundError:
        return False


def _make_writable_again(path: str) -> None:
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
