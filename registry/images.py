"""Images as a repository's owner sees them: described, listed, removed with their tags."""

from collections.abc import Callable
from typing import TypeVar

from estiva.digest import Digest
from estiva.errors import ManifestUnknown, NameUnknown
from estiva.reference import RepositoryName, Tag
from registry.deleting import TagElsewhere
from registry.listing import Page
from storage.metadata import images, repositories
from storage.metadata.database import Database, Work
from storage.metadata.images import ImageRecord, TagStatus

T = TypeVar("T")


class Images:
    """Describes and removes images."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def page(self, name: RepositoryName, last: str, limit: int, status: TagStatus) -> Page[ImageRecord]:
        """At most `limit` images after digest `last`, with all tags of each. NameUnknown."""
        found = await self._read(name, lambda repository: images.page(repository, last, limit + 1, status))
        return Page(found[:limit], len(found) > limit)

    async def listed(
        self, name: RepositoryName, after: tuple[str, str], limit: int, status: TagStatus
    ) -> Page[tuple[str, str | None]]:
        """At most `limit` pairs of digest and tag after that pair; images without a tag have None. NameUnknown."""
        found = await self._read(name, lambda repository: images.listed(repository, after, limit + 1, status))
        return Page(found[:limit], len(found) > limit)

    async def find(self, name: RepositoryName, digest: Digest | None, tag: Tag | None) -> ImageRecord:
        """The image of that digest, or tag, or both. NameUnknown, ManifestUnknown, TagElsewhere."""

        def work(repository: int) -> Work[ImageRecord]:
            found = yield from images.find(repository, (yield from _digest(repository, digest, tag)))
            if found is None:
                raise ManifestUnknown
            return found

        return await self._read(name, work)

    async def _read(self, name: RepositoryName, work: Callable[[int], Work[T]]) -> T:
        def found() -> Work[T]:
            return (yield from work((yield from _repository(name))))

        return await self._database.read(found())


def _repository(name: RepositoryName) -> Work[int]:
    repository = yield from repositories.find(name)
    if repository is None:
        raise NameUnknown(detail={"name": name.text})
    return repository


def _digest(repository: int, digest: Digest | None, tag: Tag | None) -> Work[str]:
    if tag is None:
        return str(digest)
    found = yield from images.digest_of(repository, tag.text)
    if found is None:
        raise ManifestUnknown
    if digest is not None and found != str(digest):
        raise TagElsewhere
    return found
