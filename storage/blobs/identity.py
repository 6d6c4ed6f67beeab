"""Whether a file is still what it was, as far as its file system knows: without reading it."""

import contextlib
import os
import struct
import time
from typing import BinaryIO

Identity = bytes
"""Inode, length, and the times of the last change of content and of inode; empty for what is no real file."""

_PACKED = struct.Struct("=Qqqq")


def identity_of(descriptor: int) -> Identity:
    """The identity of an open file. OSError."""
    found = os.fstat(descriptor)
    return _PACKED.pack(found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def identity_of_opened(file: BinaryIO) -> Identity:
    """The same of what a blob store has opened: empty where its bytes are elsewhere, or in memory."""
    try:
        descriptor = file.fileno()
    except OSError:
        return b""
    return identity_of(descriptor)


def mark(descriptor: int) -> int:
    """Give an open file a time of change that no change gives it: what was set, to be compared by `is_marked`.

    The kernel's clock for files goes in steps of milliseconds, so that two changes within one leave the same time. What
    is written after this leaves the time of a step, and not the nanosecond that was set here.
    """
    moment = time.time_ns()
    with contextlib.suppress(OSError):  # where that is not allowed, `is_marked` says no
        os.utime(descriptor, ns=(moment, moment))
    return moment


def is_marked(descriptor: int, moment: int) -> bool:
    """Whether nothing was written to the file since `mark`, and its file system tells times that exactly. OSError."""
    return os.fstat(descriptor).st_mtime_ns == moment
