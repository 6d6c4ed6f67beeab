"""Which commits are news to this process: all but its own that nobody who keeps facts has to hear of.

Most commits enter content, and most of those are made by the process that asks. What it keeps of users, policies and
repositories is as true after them as before, so it need not read that again after each (decision 0025).
"""

from storage.metadata.wal_index import WalIndexHeader

_MOST_AT_ONCE = 1000


class News:
    """Counts commits that are news. `number` is for the event loop, `expect` and `forget` are for the writer."""

    def __init__(self, header: WalIndexHeader) -> None:
        self._header = header
        self._number = 0
        self._seen: int | None = None
        self._own: set[int] = set()
        self._doubtful = False

    def number(self) -> int:
        """A number that is another one after each commit that is news."""
        change = self._header.change()
        if change is None or change != self._seen:
            if not self._are_own(change):
                self._number += 1
                self._own.clear()
            self._seen = change
        if self._doubtful:
            self._doubtful = False
            self._number += 1
        return self._number

    def _are_own(self, change: int | None) -> bool:
        """Whether all commits since the last look are this process's own, and said to be no news."""
        if change is None or self._seen is None or not 0 < change - self._seen <= _MOST_AT_ONCE:
            return False
        new = range(self._seen + 1, change + 1)
        if not self._own.issuperset(new):
            return False
        self._own.difference_update(new)
        return True

    def expect(self) -> int | None:
        """The next commit is this process's own and no news: its number, None where it can't be told.

        Called by who holds the database's write lock, has changed something, and commits next.
        """
        change = self._header.change()
        if change is None:
            return None
        self._own.add(change + 1)
        return change + 1

    def check(self, expected: int) -> None:
        """It has been committed. Where SQLite found nothing to write it did not count."""
        if self._header.change() == expected - 1:
            self.forget(expected)

    def forget(self, expected: int) -> None:
        """That commit did not happen: the number will be somebody else's, and may have been taken for this one."""
        self._own.discard(expected)
        self._doubtful = True
