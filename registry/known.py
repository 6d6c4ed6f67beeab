"""What each request of a push asks of its repository, read once for as long as nobody changes it."""

from typing import NamedTuple

from estiva.reference import RepositoryName
from storage.metadata import repositories
from storage.metadata.database import Database

MOST_KEPT = 10_000


class KnownRepository(NamedTuple):
    """A repository that there is."""

    id: int
    is_limited: bool
    """Whether a quota counts what is pushed to it."""


class KnownRepositories:
    """Repositories by name, kept until a commit is news (`Database.news`); only those that exist. One per process."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._news: int | None = None
        self._kept: dict[RepositoryName, KnownRepository] = {}

    async def find(self, name: RepositoryName) -> KnownRepository | None:
        """The repository, None where there is none of that name. Waits for nothing where it is kept."""
        news = self._database.news()
        if news is None or news != self._news or len(self._kept) > MOST_KEPT:
            self._kept.clear()
            self._news = news
        kept = self._kept.get(name)
        if kept is not None:
            return kept
        found = await self._database.read(repositories.known(name))
        if found is None:
            return None
        repository = KnownRepository(*found)
        if news is not None and news == self._news:  # else it was so, and may be so no more
            self._kept[name] = repository
        return repository
