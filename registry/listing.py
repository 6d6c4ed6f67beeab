"""Listing: repositories, tags, and what refers to a manifest. Always a page at a time, by an index seek."""

from dataclasses import dataclass
from typing import Generic, TypeVar

from estiva import mediatypes
from estiva.descriptor import Descriptor
from estiva.digest import Digest
from estiva.errors import NameUnknown
from estiva.manifest import parse_manifest
from estiva.reference import RepositoryName, Tag
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

    def __init__(self, database: Database) -> None:
        self._database = database

    async def repositories(self, last: str, limit: int) -> Page[str]:
        """At most `limit` repository names after `last`, in byte order."""
        return _page(await self._database.read(repositories.page(last, limit + 1)), limit)

    async def exists(self, name: RepositoryName) -> bool:
        """Whether there is such a repository."""
        return await self._database.read(repositories.find(name)) is not None

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

        def work() -> Work[Page[Descriptor]]:
            recorded = yield from manifests.referrer_sizes(name, subject, artifact_type, last, limit + 1)
            tagged = yield from _listed_under_tag(name, subject, artifact_type, last)
            sizes = {**{digest: entry.size for digest, entry in tagged.items()}, **dict(recorded)}
            shown = _fitting(sizes, limit)
            # Both are in order of digest, so those shown are the first of those recorded.
            known = sum(digest <= shown[-1] for digest, _ in recorded) if shown else 0
            found = yield from manifests.referrers(name, subject, artifact_type, last, known)
            entries = {str(descriptor.digest): descriptor for descriptor in found}
            for digest in shown:
                if digest not in entries:
                    entries[digest] = yield from tagged[digest].described(name)
            return Page([entries[digest] for digest in shown], len(sizes) > len(shown))

        return await self._database.read(work())


def _fitting(sizes: dict[str, int], limit: int) -> list[str]:
    """The first of these digests, at most `limit`, that fit on one page: always one, if there is one."""
    shown: list[str] = []
    room = LARGEST_PAGE_BYTES
    for digest in sorted(sizes)[:limit]:
        room -= sizes[digest]
        if room < 0 and shown:
            break
        shown.append(digest)
    return shown


def _page(entries: list[T], limit: int) -> Page[T]:
    return Page(entries[:limit], len(entries) > limit)


@dataclass(frozen=True, slots=True)
class _Tagged:
    """A referrer that a client listed under the tag; `size` is how much `described` reads."""

    child: Descriptor
    artifact_type: str | None
    size: int

    def described(self, name: RepositoryName) -> Work[Descriptor]:
        """The descriptor with what a referrers list must say, where the client that wrote it left that out."""
        child = self.child
        if child.artifact_type:
            return child
        annotations = child.annotations
        found = None if annotations else (yield from manifests.find(name, child.digest))
        if found is not None:
            annotations = parse_manifest(found.payload, found.media_type).annotations
        return Descriptor(child.media_type, child.digest, child.size, self.artifact_type, annotations)


def _listed_under_tag(
    name: RepositoryName, subject: Digest, artifact_type: str | None, last: str
) -> Work[dict[str, _Tagged]]:
    tag = Tag(f"{subject.algorithm.value}-{subject.hex[:64]}")
    stored = yield from manifests.find(name, tag)
    if stored is None or stored.media_type != mediatypes.OCI_INDEX:
        return {}
    # By digest, since an index may list the same manifest ten thousand times.
    children = {str(child.digest): child for child in parse_manifest(stored.payload, stored.media_type).children}
    present = {}
    for digest, child in children.items():
        known = (yield from manifests.summary(name, child.digest)) if digest > last else None
        if known is None:
            continue
        size, own_type = known
        tagged = _Tagged(child, child.artifact_type or own_type, 0 if child.artifact_type else size)
        if artifact_type in (None, tagged.artifact_type):
            present[digest] = tagged
    return present
