"""Pushing a manifest: checked, then entered with its tags in one transaction."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Executor

from estiva.digest import Algorithm, Digest
from estiva.errors import DigestInvalid, ManifestBlobUnknown
from estiva.manifest import Manifest, parse_manifest
from estiva.reference import Reference, RepositoryName, Tag
from registry.pushed import OWN, Consequence, Push, Pushed
from registry.reserve import anything
from storage.metadata import events, manifests
from storage.metadata.database import ConstraintError, Database, Work
from storage.metadata.events import Action, Event
from storage.metadata.manifests import StoredManifest

# Below this, reading a manifest costs less than handing it to a thread.
READ_INLINE = 32 * 1024


class Pushing:
    """Takes manifests in."""

    def __init__(
        self,
        database: Database,
        threads: Executor,
        consequences: Sequence[Consequence] = (),
        require_room: Callable[[], None] = anything,
    ) -> None:
        self._database = database
        self._threads = threads
        self._consequences = tuple(consequences)
        self._require_room = require_room
        # Reading is the interpreter's own work: two at once would each take twice as long, and twice the memory.
        self._reading = asyncio.Lock()

    async def manifest(
        self,
        name: RepositoryName,
        reference: Reference,
        tags: Sequence[Tag],
        content_type: str,
        payload: bytes,
        push: Push = OWN,
    ) -> tuple[Digest, Manifest]:
        """Store the manifest under its digest and point the tags at it; durable when this returns.

        `reference` is one more tag, or the digest that the payload must have. DigestInvalid, ManifestInvalid,
        ManifestBlobUnknown, StorageFull. Idempotent.
        """
        self._require_room()
        digest, manifest = await self._read(reference, content_type, payload)
        await self._take(
            Pushed(name, digest, manifest, _all_tags(reference, tags), push.actor, push.is_copy), payload, push
        )
        return digest, manifest

    async def _read(self, reference: Reference, content_type: str, payload: bytes) -> tuple[Digest, Manifest]:
        if len(payload) <= READ_INLINE:
            return _read(reference, content_type, payload)
        loop = asyncio.get_running_loop()
        async with self._reading:
            return await loop.run_in_executor(self._threads, _read, reference, content_type, payload)

    async def _take(self, pushed: Pushed, payload: bytes, push: Push) -> None:
        stored = StoredManifest(pushed.digest, pushed.manifest.media_type, payload)
        try:
            await self._database.write(lambda: self._enter(pushed, stored, push))
        except ConstraintError:
            # Something it needs was deleted between the look and the entry.
            raise ManifestBlobUnknown from None

    def _enter(self, pushed: Pushed, stored: StoredManifest, push: Push) -> Work[None]:
        name, actor = pushed.name, pushed.actor
        if push.create is not None:
            yield from push.create()
        # Told before it is done, which is one transaction anyway: then where a tag pointed until now is still known.
        yield from events.record(
            name, [Event(Action.PUSH, actor, stored.digest, tag) for tag in pushed.tags or (None,)]
        )
        yield from manifests.put(name, pushed.manifest, stored, pushed.tags)
        for consequence in self._consequences:
            yield from consequence(pushed)


def _read(reference: Reference, content_type: str, payload: bytes) -> tuple[Digest, Manifest]:
    algorithm = reference.algorithm if isinstance(reference, Digest) else Algorithm.SHA256
    digest = Digest.of(payload, algorithm)
    if isinstance(reference, Digest) and digest != reference:
        raise DigestInvalid(detail={"named": str(reference), "computed": str(digest)})
    return digest, parse_manifest(payload, content_type)


def _all_tags(reference: Reference, tags: Sequence[Tag]) -> tuple[Tag, ...]:
    own = (reference,) if isinstance(reference, Tag) else ()
    return tuple(dict.fromkeys((*own, *tags)))
