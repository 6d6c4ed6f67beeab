"""Listing: repositories, tags, and what refers to a manifest. Always a page at a time, by an index seek."""

import json
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
        """At most `limit` manifests that refer to `subject`, by digest, those after digest `last`.

        Also those that a client without the referrers API listed under the tag `sha256-<hex>` (specification,
        "Referrers Tag Schema"). Empty where subject or repository do not exist.
        """

        def work() -> Work[list[Descriptor]]:
            found = yield from manifests.referrers(name, subject, artifact_type, last, limit + 1)
            tagged = yield from _listed_under_tag(name, subject)
            wanted = [
                descriptor
                for descriptor in tagged
                if str(descriptor.digest) > last and artifact_type in (None, descriptor.artifact_type)
            ]
            by_digest = {str(descriptor.digest): descriptor for descriptor in (*wanted, *found)}
            return [by_digest[digest] for digest in sorted(by_digest)]

        return _page(await self._database.read(work()), limit)


def _page(entries: list[T], limit: int) -> Page[T]:
    return Page(entries[:limit], len(entries) > limit)


def _listed_under_tag(name: RepositoryName, subject: Digest) -> Work[list[Descriptor]]:
    tag = Tag(f"{subject.algorithm.value}-{subject.hex}"[:128])
    stored = yield from manifests.find(name, tag)
    if stored is None or stored.media_type != mediatypes.OCI_INDEX:
        return []
    index = parse_manifest(stored.payload, stored.media_type)
    present = []
    for child in index.children:
        found = yield from manifests.find(name, child.digest)
        if found is not None:
            present.append(_as_referrer(child, found))
    return present


def _as_referrer(child: Descriptor, found: manifests.StoredManifest) -> Descriptor:
    """The descriptor with what a referrers list must say, where the client that wrote it left that out."""
    if child.artifact_type:
        return child
    manifest = parse_manifest(found.payload, found.media_type)
    annotations = child.annotations or json.loads(json.dumps(dict(manifest.annotations)))
    return Descriptor(child.media_type, child.digest, child.size, manifest.artifact_type, annotations)
