"""When images were last pulled: noted in memory, written down in batches, off the way of those who pull."""

import time
from collections import OrderedDict
from collections.abc import Mapping

from estiva.digest import Digest
from estiva.reference import RepositoryName
from storage.metadata import events, images
from storage.metadata.audit import Actor
from storage.metadata.database import Database, Work
from storage.metadata.events import Action, Event

AT_MOST_EVERY = 3600.0
"""Seconds between two times that are written down for one image: it need not be known better."""
MOST_REMEMBERED = 100_000

SOMEBODY = Actor("")
"""Who pulled: any number of principals, none of whom is noted."""


class Pulls:
    """Remembers which images were pulled. One per process."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._noted: dict[tuple[str, str], float] = {}
        self._written: OrderedDict[tuple[str, str], float] = OrderedDict()

    def note(self, name: RepositoryName, digest: Digest) -> None:
        """Somebody pulls that image. Synchronous and quick."""
        if len(self._noted) < MOST_REMEMBERED:
            self._noted[name.key, str(digest)] = time.time()

    async def write(self) -> int:
        """Write down what was noted, except what was written down shortly before: how many."""
        noted, self._noted = self._noted, {}
        due = {key: at for key, at in noted.items() if at - self._written.get(key, 0.0) >= AT_MOST_EVERY}
        if not due:
            return 0
        # Losing a minute of this to a power failure is no loss: the image is pulled again.
        await self._database.write(lambda: _written(due), durable=False)
        self._written.update(due)
        while len(self._written) > MOST_REMEMBERED:
            self._written.popitem(last=False)
        return len(due)


def _written(due: Mapping[tuple[str, str], float]) -> Work[None]:
    yield from images.pulled(due)
    for key, digest in sorted(due):
        yield from events.record(RepositoryName.of_key(key), [Event(Action.PULL, SOMEBODY, Digest.parse(digest))])
