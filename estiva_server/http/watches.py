"""Noticing that a client has stopped taking or bringing bytes, from figures looked at once in a while."""

from time import monotonic


class StallWatch:
    """Notices when a write buffer has not moved for too long."""

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        self._size = 0
        self._since = 0.0

    def stalled(self, size: int, now: float) -> bool:
        """Whether the buffer, now holding `size` bytes, has held just as many for the whole timeout."""
        if size == 0 or size != self._size:
            self._size, self._since = size, now
            return False
        return now - self._since >= self._timeout


class RateWatch:
    """Notices when a body comes slower than so many bytes per second, averaged over a window."""

    def __init__(self, window: float, rate: int) -> None:
        self._window = window
        self._least = rate * window
        self.restart()

    def restart(self) -> None:
        """Begin a new window."""
        self._since = monotonic()
        self._bytes = 0

    def count(self, received: int) -> None:
        """So many bytes came."""
        self._bytes += received

    def too_slow(self, now: float) -> bool:
        """Whether a window has passed that brought too little."""
        if now - self._since < self._window:
            return False
        slow = self._bytes < self._least
        self.restart()
        return slow
