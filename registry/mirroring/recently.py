"""What was done a short while ago and need not be done again yet."""

import time
from collections import OrderedDict
from collections.abc import Hashable

MOST = 10_000


class Recently:
    """When things were done last, as far as one process remembers: the last `MOST` of them."""

    def __init__(self) -> None:
        self._done: OrderedDict[Hashable, float] = OrderedDict()

    def note(self, what: Hashable) -> None:
        """It is done now."""
        self._done[what] = time.monotonic()
        self._done.move_to_end(what)
        if len(self._done) > MOST:
            self._done.popitem(last=False)

    def ever(self, what: Hashable) -> bool:
        """Whether it was done at all."""
        return what in self._done

    def within(self, what: Hashable, seconds: float) -> bool:
        """Whether it was done within the last so many seconds."""
        return time.monotonic() - self._done.get(what, float("-inf")) < seconds
