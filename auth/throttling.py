"""Slows down guessing: after too many failures from one address for one name, neither is heard for a while."""

from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import monotonic

from estiva.errors import TooManyRequests

WINDOW = 60.0
PER_NAME = 10
PER_ADDRESS = 100
MOST_REMEMBERED = 100_000
LONGEST_NAME = 64
"""Longer names are nobody's: cut off here, they take no more memory than others."""
SOON = 1.0
"""Seconds to wait where only attempts that are still being checked stand in the way."""

_Key = tuple[str, str]


@dataclass(slots=True)
class Attempt:
    """A sign-in under way; `failed` is what it comes to count as, once it is known that the secret was wrong."""

    failed: bool = False


class Throttle:
    """Counts sign-ins that run, and those that failed over the last minute, in bounded memory. One per process.

    What runs counts as if it had failed, so that no more guesses are heard at once than one after the other.
    """

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._failures: OrderedDict[_Key, list[float]] = OrderedDict()
        self._running: Counter[_Key] = Counter()  # no more than there are connections

    @contextmanager
    def attempt(self, address: str, name: str) -> Iterator[Attempt]:
        """An attempt of this address at this name; TooManyRequests, with Retry-After, where it has to wait.

        It counts from now on; in the end only if it has failed.
        """
        keys = ((address, name[:LONGEST_NAME]), (address, ""))
        longest = max(map(self._wait, keys, (PER_NAME, PER_ADDRESS)))
        if longest > 0:
            raise TooManyRequests("too many failed sign-ins", headers={"Retry-After": str(int(longest) + 1)})
        attempt = Attempt()
        self._running.update(keys)
        try:
            yield attempt
        finally:
            for key in keys:
                self._end(key, failed=attempt.failed)

    def _end(self, key: _Key, *, failed: bool) -> None:
        self._running[key] -= 1
        if not self._running[key]:
            del self._running[key]
        if failed:
            moments = self._failures.pop(key, [])
            self._failures[key] = [*moments[1 - PER_ADDRESS :], self._clock()]
        while len(self._failures) > MOST_REMEMBERED:
            self._failures.popitem(last=False)

    def _wait(self, key: _Key, most: int) -> float:
        recent = [moment for moment in self._failures.get(key, []) if moment > self._clock() - WINDOW]
        if len(recent) >= most:
            return recent[-most] + WINDOW - self._clock()
        return SOON if len(recent) + self._running[key] >= most else 0.0
