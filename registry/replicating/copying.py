"""Bringing one image to one destination: what it is made of first, itself last, only what is missing."""

import logging
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass

from estiva.digest import Digest
from estiva.errors import RegistryError
from estiva.manifest import parse_manifest
from estiva.reference import Reference, RepositoryName, Tag, parse_reference
from registry.mirroring.credentials import UpstreamCredentials
from registry.mirroring.upstreams import Upstreams
from registry.pulling import Pulling
from registry.queueing import Hopeless, NotNow, Worker
from registry.replicating.replicating import HEADER, REPLICATE, Replicating
from registry.uploading import Uploading
from registry.upstream.errors import UpstreamError
from registry.upstream.receiving import ReceivingRegistry
from storage.metadata import events, replications
from storage.metadata.audit import Actor
from storage.metadata.database import Database, Work
from storage.metadata.events import Action, Event
from storage.metadata.manifests import StoredManifest
from storage.metadata.queue import QueuedWork
from storage.metadata.replications import COMPLETE, FAILED, Destination, ReplicationRecord

logger = logging.getLogger("estiva.replicating")

ITSELF = Actor("estiva")
LEASE = 20.0
"""Seconds after which another process goes on with what one that died had begun."""
DEEPEST = 8
"""How many indexes may be in each other."""


@dataclass(frozen=True, slots=True)
class Copying:
    """Does the queued work that `Replicating.after_push` asks for."""

    database: Database
    replicating: Replicating
    pulling: Pulling
    uploading: Uploading
    upstreams: Upstreams
    credentials: UpstreamCredentials
    threads: Executor
    count: Callable[[str], None]

    def worker(self) -> Worker:
        """What does it, once it is due."""
        return Worker(self.database, REPLICATE, self.copy, self.give_up, lease=LEASE)

    async def copy(self, work: QueuedWork) -> None:
        """Bring the image there. NotNow, Hopeless."""
        name, destination, reference = _read(work)
        stored = await self.pulling.find_manifest(name, reference)
        if stored is None:
            return  # deleted meanwhile, or the tag is another's by now: that one asked for itself
        try:
            receiving = await self._receiving(name.account, destination)
            await self._image(receiving, name, stored, destination)
            if isinstance(reference, Tag) and await receiving.tag(name, reference) != stored.digest:
                await receiving.put_manifest(name, reference, stored.media_type, stored.payload)
        except UpstreamError as error:
            # Also what was refused: rights and quotas are things that people put right.
            raise NotNow(str(error), error.retry_after or 0.0) from None
        except RegistryError as error:
            raise NotNow(error.text) from None
        await self.database.write(lambda: completed(name, stored.digest, reference, destination))
        self.count("complete")

    async def give_up(self, work: QueuedWork, text: str) -> None:
        """Say in the image's status that it did not come there."""
        name, destination, reference = _read(work)
        stored = await self.pulling.find_manifest(name, reference)
        if stored is not None:
            await self._set(name, stored.digest, ReplicationRecord(destination, FAILED, text[:500]))
        self.count("failed")

    async def _receiving(self, account: str, destination: Destination) -> ReceivingRegistry:
        endpoint = await self.database.read(replications.find_endpoint(account, destination))
        if endpoint is None:
            raise Hopeless(f"nobody has said where registry {destination.registry_id} in {destination.region} is")
        name = endpoint.credential
        credential = await self.credentials.find(account, name) if name is not None else None
        own = self.replicating.own
        headers = {HEADER: f"{account or own.registry_id}/{own.region}"}
        return ReceivingRegistry(self.upstreams.at(endpoint.url, credential).remote, headers, self.threads)

    async def _image(
        self,
        receiving: ReceivingRegistry,
        name: RepositoryName,
        stored: StoredManifest,
        destination: Destination,
        depth: int = 0,
    ) -> None:
        if depth > DEEPEST:
            raise Hopeless(f"indexes are nested deeper than {DEEPEST} levels")
        there = name.within("")
        if await receiving.has_manifest(there, stored.digest):
            return
        manifest = parse_manifest(stored.payload, stored.media_type)
        for child in manifest.children:
            found = await self.pulling.find_manifest(name, child.digest)
            if found is not None:
                await self._image(receiving, name, found, destination, depth + 1)
        for digest in dict.fromkeys(one.digest for one in (*manifest.blobs, *manifest.children)):
            await self._blob(receiving, name, digest, destination)
        await receiving.put_manifest(there, stored.digest, stored.media_type, stored.payload)

    async def _blob(
        self, receiving: ReceivingRegistry, name: RepositoryName, digest: Digest, destination: Destination
    ) -> None:
        blob, there = await self.pulling.find_blob(name, digest), name.within("")
        if blob is None or await receiving.has_blob(there, digest):
            return  # a child manifest, or a layer that clients fetch from elsewhere
        source = await self._source(name, digest, destination)
        with await self.pulling.open(blob) as file:
            await receiving.push_blob(there, digest, blob.size, file, source)

    async def _source(self, name: RepositoryName, digest: Digest, destination: Destination) -> RepositoryName | None:
        """Another repository of ours that has the blob and goes to the same place: there it may be already."""
        configuration = await self.replicating.configuration(name.account)
        for other in await self.uploading.holders(digest):
            same_account = other.account == name.account
            if other != name and same_account and destination in configuration.destinations(other):
                return other.within("")
        return None

    async def _set(self, name: RepositoryName, digest: Digest, record: ReplicationRecord) -> None:
        await self.database.write(lambda: replications.set_status(name, digest, record))


def completed(name: RepositoryName, digest: Digest, reference: Reference, destination: Destination) -> Work[None]:
    """Set the image's status and tell whoever wants to know."""
    tag = reference if isinstance(reference, Tag) else None
    there = {"destinationRegion": destination.region, "destinationRegistry": destination.registry_id}
    yield from events.record(name, [Event(Action.REPLICATE, ITSELF, digest, tag, there)])
    yield from replications.set_status(name, digest, ReplicationRecord(destination, COMPLETE))


def _read(work: QueuedWork) -> tuple[RepositoryName, Destination, Reference]:
    document = work.document
    destination = Destination(document["region"], document["registry"])
    return RepositoryName.of_key(document["repository"]), destination, parse_reference(document["reference"])
