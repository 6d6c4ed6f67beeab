"""Listing: repositories, tags, and what refers to a manifest. Always a page at a time, by an index seek."""

from dataclasses import dataclass
from typing import Generic, TypeVar

from estiva.descriptor import Descriptor
from estiva.digest import Digest
from estiva.errors import NameUnknown
from estiva.reference import RepositoryName, Tag
from registry.known import KnownRepositories
from storage.metadata import manifests, repositories, tags
from storage.metadata.database import Database, Work

T = TypeVar("T")

LARGEST_PAGE_BYTES = 4 * 1024 * 1024
"""About how long a list of referrers may be: annotations of a single one may be as long as a manifest."""


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some entries of a longer list; `more` says that there are further ones after the last of these."""

    entries: list[T]
    more: bool


class Listing:
    """Lists what is there."""

    def __init__(self, database: Database, known: KnownRepositories | None = None) -> None:
        self._database = database
        self._known = known or KnownRepositories(database)

    async def repositories(self, last: str, limit: int, account: str = "") -> Page[str]:
        """At most `limit` names of that account's repositories after `last`, in byte order."""
        return _page(await self._database.read(repositories.page(last, limit + 1, account)), limit)

    async def exists(self, name: RepositoryName) -> bool:
        """Whether there is such a repository."""
        return await self._known.find(name) is not None

    async def tags(self, name: RepositoryName, last: str, limit: int) -> Page[str]:
        """At most `limit` tags after `last`, in byte order; NameUnknown."""

        def work() -> Work[list[str] | None]:
            if (yield from repositories.find(name)) is None:
                return None
            return (yield from tags.page(name, last, limit + 1))

        found = await self._database.read(work())
        if found is None:
            raise NameUnknown(detail={"name": name.text})
        return _page(found, limit)

    async def referrers(
        self, name: RepositoryName, subject: Digest, artifact_type: str | None, last: str, limit: int
    ) -> Page[Descriptor]:
        """At most `limit` manifests that refer to `subject`, by digest, those after digest `last`; fewer of large ones.

        Also those that a client without the referrers API listed under the tag `<algorithm>-<64 digits>`
        (specification, "Referrers Tag Schema"). Empty where subject or repository do not exist.
        """

        # Specification, "Referrers Tag Schema": the digest's encoded section is cut to 64 characters.
        tag = Tag(f"{subject.algorithm.value}-{subject.hex[:64]}")

        def work() -> Work[Page[Descriptor]]:
            direct = yield from manifests.referrer_lengths(name, subject, artifact_type, last, limit + 1)
            tagged = yield from manifests.listed_lengths(name, tag, artifact_type, last, limit + 1)
            lengths = {**tagged, **direct}
            shown = _fitting(lengths, limit)
            # Each of them is in order of digest, so those shown are its first ones.
            taken = [sum(digest <= shown[-1] for digest in some) if shown else 0 for some in (tagged, direct)]
            found = yield from manifests.listed(name, tag, artifact_type, last, taken[0])
            found += yield from manifests.referrers(name, subject, artifact_type, last, taken[1])
            entries = {str(descriptor.digest): descriptor for descriptor in found}
            return Page([entries[digest] for digest in shown], len(lengths) > len(shown))

        return await self._database.read(work())


def _fitting(lengths: dict[str, int], limit: int) -> list[str]:
    """The first of these digests, at most `limit`, that fit on one page: always one, if there is one."""
    shown: list[str] = []
    room = LARGEST_PAGE_BYTES
    for digest in sorted(lengths)[:limit]:
        room -= lengths[digest]
        if room < 0 and shown:
            break
        shown.append(digest)
    return shown


def _page(entries: list[T], limit: int) -> Page[T]:
    return Page(entries[:limit], len(entries) > limit)
