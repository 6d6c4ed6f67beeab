"""Which processors images are for, as they say themselves: an index by its platforms, an image in its configuration."""

import json
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

from estiva.digest import Digest
from estiva.errors import RegistryError
from estiva.manifest import parse_manifest
from estiva.mediatypes import INDEXES
from estiva.reference import RepositoryName
from orchestrator.definition import TaskDefinition
from orchestrator.own import OwnRegistry
from storage.metadata import manifests
from storage.metadata.database import Database

ReadBlob = Callable[[RepositoryName, Digest], Awaitable[bytes | None]]
NOTHING_IN_COMMON = "no processor that all of its images are for"
REMEMBERED = 10_000
_ALSO_RUN = {"386": "amd64", "arm": "arm64"}
"""A processor, and the one that runs its programs too."""


class Platforms:
    """Knows the images of this registry; of others, and of what does not say it, nothing."""

    def __init__(self, database: Database, own: OwnRegistry, blob: ReadBlob) -> None:
        self._database = database
        self._own = own
        self._blob = blob
        self._known: dict[Digest, frozenset[str]] = {}

    async def architectures(self, definition: TaskDefinition, digests: Mapping[str, Digest]) -> frozenset[str]:
        """Processors that all images of a task are for, as image platforms name them; empty: any."""
        await self.learn(self._own.images(definition, digests))
        return self.known(definition, digests)

    def known(self, definition: TaskDefinition, digests: Mapping[str, Digest]) -> frozenset[str]:
        """The same, as far as it has been learnt."""
        sets = [self._known.get(digest, frozenset()) for _, digest in self._own.images(definition, digests)]
        told = [one for one in sets if one]
        if not told:
            return frozenset()
        return frozenset.intersection(*told) or frozenset([NOTHING_IN_COMMON])

    async def learn(self, images: Iterable[tuple[RepositoryName, Digest]]) -> None:
        """Look at these images, if that was not done before. What cannot be read now is asked again."""
        for name, digest in images:
            if digest in self._known:
                continue
            try:
                found = await self._read(name, digest)
            except RegistryError:
                continue
            except (ValueError, RecursionError):
                found = frozenset()
            if len(self._known) >= REMEMBERED:
                self._known.clear()
            self._known[digest] = found | {_ALSO_RUN[one] for one in found if one in _ALSO_RUN}

    async def _read(self, name: RepositoryName, digest: Digest) -> frozenset[str]:
        stored = await self._database.read(manifests.find(name, digest))
        if stored is None:
            return frozenset()
        if stored.media_type in INDEXES:
            entries = json.loads(stored.payload).get("manifests", [])
            named = [_architecture(one.get("platform")) for one in entries]
            return frozenset() if None in named else frozenset(one for one in named if one and one != "unknown")
        config = parse_manifest(stored.payload, stored.media_type).blobs[0]
        content = await self._blob(name, config.digest)
        named_here = _architecture(json.loads(content)) if content else None
        return frozenset([named_here]) if named_here else frozenset()


def _architecture(value: Any) -> str | None:
    """What a platform, or a configuration, says; None where it says nothing of use."""
    said = value.get("architecture") if isinstance(value, dict) else None
    return said if isinstance(said, str) and said else None
