"""How much content may be in memory on its way to the bucket."""

import errno
import threading
from time import monotonic

MIB = 1024 * 1024
ALL = 384 * MIB
PATIENCE = 20.0


class UploadMemory:
    """A number of bytes that the uploads of one process share. Used from many threads."""

    def __init__(self, size: int = ALL, patience: float = PATIENCE) -> None:
        self._left = size
        self._patience = patience
        self._changed = threading.Condition()

    def take(self, size: int) -> None:
        """Wait until there is so much. OSError (EAGAIN) when others keep it for too long."""
        end = monotonic() + self._patience
        with self._changed:
            while self._left < size:
                if not self._changed.wait(end - monotonic()):
                    raise OSError(errno.EAGAIN, "too many uploads at once for the memory they may have")
            self._left -= size

    def give(self, size: int) -> None:
        """Give it back."""
        with self._changed:
            self._left += size
            self._changed.notify_all()
