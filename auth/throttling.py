"""Slows down guessing: after too many failures from one address for one name, neither is heard for a while."""

from collections import OrderedDict
from collections.abc import Callable
from time import monotonic

from estiva.errors import TooManyRequests

WINDOW = 60.0
PER_NAME = 10
PER_ADDRESS = 100
MOST_REMEMBERED = 100_000
LONGEST_NAME = 64
"""Longer names are nobody's: cut off here, they take no more memory than others."""


class Throttle:
    """Counts failed sign-ins over the last minute, in bounded memory. One per process."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._failures: OrderedDict[tuple[str, str], list[float]] = OrderedDict()

    def check(self, address: str, name: str) -> None:
        """Return where this address may try this name; TooManyRequests, with Retry-After, where it has to wait."""
        waits = (self._wait((address, name[:LONGEST_NAME]), PER_NAME), self._wait((address, ""), PER_ADDRESS))
        longest = max(waits)
        if longest > 0:
            raise TooManyRequests("too many failed sign-ins", headers={"Retry-After": str(int(longest) + 1)})

    def failed(self, address: str, name: str) -> None:
        """Count a failure."""
        for key in ((address, name[:LONGEST_NAME]), (address, "")):
            moments = self._failures.pop(key, [])
            moments.append(self._clock())
            self._failures[key] = moments[-PER_ADDRESS:]
        while len(self._failures) > MOST_REMEMBERED:
            self._failures.popitem(last=False)

    def _wait(self, key: tuple[str, str], most: int) -> float:
        recent = [moment for moment in self._failures.get(key, []) if moment > self._clock() - WINDOW]
        return recent[-most] + WINDOW - self._clock() if len(recent) >= most else 0.0
