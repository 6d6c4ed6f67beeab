"""Keeping what comes from upstream: a manifest at once, with a note of what it needs that is not here yet."""

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from estiva.digest import Digest
from estiva.errors import ManifestInvalid
from estiva.manifest import Manifest, parse_manifest
from estiva.reference import Reference, RepositoryName, Tag
from registry.creating import AppliedFor, Creating
from registry.upstream.errors import UpstreamInvalid
from registry.upstream.remote import RemoteManifest
from storage.metadata import absent, events, images, manifests, pull_through, queue, repositories
from storage.metadata.audit import Actor
from storage.metadata.database import Database, Work
from storage.metadata.events import Action, Event
from storage.metadata.manifests import StoredManifest

logger = logging.getLogger("estiva.mirroring")

ITSELF = Actor("estiva")
IMPORT = "import"
"""The kind of queued work that fetches what a cached image lacks."""
IMPORT_DELAY = 1.0
"""Seconds in which whoever pulled an image begins to fetch its layers, which are then fetched once."""
MOST_MISSING = 10_000

Completed = Callable[[RepositoryName, int, Digest], Work[None]]


@dataclass(frozen=True, slots=True)
class Keeping:
    """Enters what was fetched."""

    database: Database
    creating: Creating
    completed: Completed
    """What else happens in the transaction that makes a cached image whole."""

    async def exists(self, name: RepositoryName) -> bool:
        """Whether there is such a repository."""
        return await self.database.read(repositories.find(name)) is not None

    async def is_cached(self, name: RepositoryName) -> bool:
        """Whether the repository came from an upstream."""
        return await self.database.read(pull_through.is_cached(name)) is True

    async def is_expected(self, name: RepositoryName, digest: Digest) -> bool:
        """Whether a cached manifest of the repository names the blob, which is not there."""
        return await self.database.read(absent.is_expected(name, digest))

    async def missing_blobs(self, name: RepositoryName, manifest: Digest) -> Sequence[Digest]:
        """What the cached manifest lacks."""
        return await self.database.read(absent.of_manifest(name, manifest, MOST_MISSING))

    async def repository(self, name: RepositoryName) -> None:
        """Make the repository, where there is none, as its template says."""
        await self.database.write(lambda: self._ensure(name))

    async def tag_checked(self, name: RepositoryName, tag: Tag) -> None:
        """Write down that the tag is as the upstream's."""
        await self.database.write(lambda: pull_through.tag_checked(name, tag), durable=False)

    async def blob_arrived(self, name: RepositoryName, digest: Digest) -> None:
        """Tie a blob that is now in the repository to the manifests that wait for it."""

        def work() -> Work[None]:
            repository = yield from repositories.find(name)
            if repository is not None:
                yield from self._arrived(name, repository, digest)

        await self.database.write(work)

    async def manifest(self, name: RepositoryName, reference: Reference, remote: RemoteManifest) -> None:
        """Enter a manifest from upstream, and point its tag at it. UpstreamInvalid where it is none."""
        manifest = parse(remote)
        stored = StoredManifest(remote.digest, manifest.media_type, remote.payload)

        def work() -> Work[None]:
            before = yield from manifests.find(name, reference)
            repository = yield from self._ensure(name)
            if before is None or before.digest != stored.digest:
                tag = reference if isinstance(reference, Tag) else None
                yield from events.record(name, [Event(Action.IMPORT, ITSELF, stored.digest, tag)])
            missing = yield from manifests.enter(name, repository, manifest, stored)
            yield from absent.expect(repository, stored.digest, missing)
            yield from self._arrived(name, repository, stored.digest)
            if isinstance(reference, Tag):
                yield from manifests.point(name, repository, [reference], str(stored.digest))
                yield from pull_through.tag_checked(name, reference)
            if missing and manifest.blobs:  # of an index, what is pulled comes when it is pulled
                document = {"repository": name.key, "digest": str(stored.digest)}
                yield from queue.add(IMPORT, f"{name.key}@{stored.digest}", document, IMPORT_DELAY)
            elif not missing and manifest.blobs:
                yield from self.completed(name, repository, stored.digest)

        await self.database.write(work)

    def _ensure(self, name: RepositoryName) -> Work[int]:
        found = yield from repositories.find(name)
        if found is not None:
            return found
        repository = yield from self.creating.create(name, AppliedFor.PULL_THROUGH_CACHE)
        yield from pull_through.repository_cached(repository)
        return repository

    def _arrived(self, name: RepositoryName, repository: int, digest: Digest) -> Work[None]:
        for manifest in (yield from absent.arrived(repository, digest)):
            yield from images.weigh(repository, str(manifest))
            yield from self.completed(name, repository, manifest)


def nothing_else(name: RepositoryName, repository: int, digest: Digest) -> Work[None]:
    """Nothing else happens when an image is whole."""
    yield from ()


def parse(remote: RemoteManifest) -> Manifest:
    """The manifest that the upstream sent. UpstreamInvalid where it is none that this registry takes."""
    try:
        return parse_manifest(remote.payload, _media_type(remote))
    except ManifestInvalid as error:
        raise UpstreamInvalid(f"the upstream's manifest can't be kept: {error.text}") from None


def _media_type(remote: RemoteManifest) -> str:
    """The manifest's own word where it has one: some registries send any JSON under a type of their own."""
    try:
        declared = json.loads(remote.payload).get("mediaType")
    except (ValueError, AttributeError, RecursionError):
        declared = None
    return declared if isinstance(declared, str) else remote.media_type
