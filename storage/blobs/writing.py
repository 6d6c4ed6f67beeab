"""Writing all of a piece to a file."""

import errno
import os


def write_all(descriptor: int, data: memoryview, offset: int) -> None:
    """Write the piece at that offset, in as many calls as that takes; OSError, after which a part may be there."""
    written = 0
    while written < len(data):
        count = os.pwrite(descriptor, data[written:], offset + written)
        if count == 0:
            raise OSError(errno.EIO, "nothing was written")
        written += count
