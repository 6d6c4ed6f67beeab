"""Pushing a manifest: checked, then entered with its tags in one transaction."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import Executor

from estiva.digest import Algorithm, Digest
from estiva.errors import DigestInvalid, ManifestBlobUnknown
from estiva.manifest import Manifest, parse_manifest
from estiva.reference import Reference, RepositoryName, Tag
from storage.metadata import events, manifests
from storage.metadata.audit import SERVER, Actor
from storage.metadata.database import ConstraintError, Database, Work
from storage.metadata.events import Action, Event
from storage.metadata.manifests import StoredManifest

# Below this, reading a manifest costs less than handing it to a thread.
READ_INLINE = 32 * 1024


class Pushing:
    """Takes manifests in."""

    def __init__(self, database: Database, threads: Executor) -> None:
        self._database = database
        self._threads = threads
        # Reading is the interpreter's own work: two at once would each take twice as long, and twice the memory.
        self._reading = asyncio.Lock()

    async def manifest(
        self,
        name: RepositoryName,
        reference: Reference,
        tags: Sequence[Tag],
        content_type: str,
        payload: bytes,
        actor: Actor = SERVER,
    ) -> tuple[Digest, Manifest]:
        """Store the manifest under its digest and point the tags at it; durable when this returns.

        `reference` is one more tag, or the digest that the payload must have. DigestInvalid, ManifestInvalid,
        ManifestBlobUnknown. Idempotent.
        """
        if len(payload) <= READ_INLINE:
            digest, manifest = _read(reference, content_type, payload)
        else:
            loop = asyncio.get_running_loop()
            async with self._reading:
                digest, manifest = await loop.run_in_executor(self._threads, _read, reference, content_type, payload)
        all_tags = tuple(dict.fromkeys((*_own_tag(reference), *tags)))
        stored = StoredManifest(digest, manifest.media_type, payload)
        try:
            await self._database.write(lambda: _enter(name, manifest, stored, all_tags, actor))
        except ConstraintError:
            # Something it needs was deleted between the look and the entry.
            raise ManifestBlobUnknown from None
        return digest, manifest


def _enter(
    name: RepositoryName, manifest: Manifest, stored: StoredManifest, tags: Sequence[Tag], actor: Actor
) -> Work[None]:
    # Told before it is done, which is one transaction anyway: then where a tag pointed until now is still known.
    yield from events.record(name, [Event(Action.PUSH, actor, stored.digest, tag) for tag in tags or (None,)])
    yield from manifests.put(name, manifest, stored, tags)


def _read(reference: Reference, content_type: str, payload: bytes) -> tuple[Digest, Manifest]:
    algorithm = reference.algorithm if isinstance(reference, Digest) else Algorithm.SHA256
    digest = Digest.of(payload, algorithm)
    if isinstance(reference, Digest) and digest != reference:
        raise DigestInvalid(detail={"named": str(reference), "computed": str(digest)})
    return digest, parse_manifest(payload, content_type)


def _own_tag(reference: Reference) -> tuple[Tag, ...]:
    return (reference,) if isinstance(reference, Tag) else ()
