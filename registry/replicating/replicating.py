"""Replication: what is asked for in the push's own transaction, and what the settings of it are."""

from dataclasses import dataclass

from estiva.digest import Digest
from estiva.errors import ManifestUnknown
from estiva.reference import Reference, RepositoryName, Tag
from registry.pushed import Pushed
from registry.replicating.configuration import ReplicationConfiguration, ReplicationInvalid, checked
from registry.upstream.challenges import is_base_url
from storage.metadata import audit, manifests, queue, registry_settings, replications
from storage.metadata.audit import Actor
from storage.metadata.database import ConstraintError, Database, Work
from storage.metadata.replications import (
    IN_PROGRESS,
    Destination,
    EndpointRecord,
    ReplicationRecord,
)

REPLICATE = "replicate"
"""The kind of queued work that brings one image, under one tag or its digest, to one destination."""
MOST_ENDPOINTS = 100
HEADER = "Estiva-Replication"
"""The header of pushes that are copies: those are not replicated again."""


@dataclass(frozen=True, slots=True)
class Replicating:
    """Keeps the settings of replication, and asks for what they want."""

    database: Database
    own: Destination

    def after_push(self, pushed: Pushed) -> Work[None]:
        """Ask for the image at every destination of its repository, in the transaction that enters it."""
        if pushed.is_copy:
            return
        configuration = yield from self._read(pushed.name.account)
        for destination in configuration.destinations(pushed.name):
            record = ReplicationRecord(destination, IN_PROGRESS)
            yield from replications.set_status(pushed.name, pushed.digest, record)
            for reference in pushed.tags or (pushed.digest,):
                yield from _ask(destination, pushed.name, reference)

    async def configuration(self, account: str) -> ReplicationConfiguration:
        """What is replicated where."""
        return await self.database.read(self._read(account))

    async def configure(self, actor: Actor, account: str, rules: ReplicationConfiguration) -> ReplicationConfiguration:
        """Replicate so from now on: images that are here already stay where they are. ReplicationInvalid."""
        configuration = checked(rules.rules, self.own)

        def work() -> Work[None]:
            yield from registry_settings.put(account, registry_settings.REPLICATION, configuration.as_text())
            yield from audit.record(actor, "PutReplicationConfiguration", "registry")

        await self.database.write(work)
        return configuration

    async def statuses(self, name: RepositoryName, reference: Reference) -> tuple[Digest, list[ReplicationRecord]]:
        """How far an image has come, destination by destination. ManifestUnknown."""
        found = await self.database.read(manifests.find(name, reference))
        if found is None:
            raise ManifestUnknown(detail={"name": name.text, "reference": str(reference)})
        return found.digest, await self.database.read(replications.statuses(name, found.digest))

    async def put_endpoint(self, actor: Actor, account: str, endpoint: EndpointRecord) -> None:
        """Say where a destination is. ReplicationInvalid."""
        if not is_base_url(endpoint.url):
            raise ReplicationInvalid("url is not the scheme and host of a registry")

        def work() -> Work[None]:
            yield from replications.put_endpoint(account, endpoint)
            place = f"endpoint/{endpoint.destination.region}/{endpoint.destination.registry_id}"
            yield from audit.record(actor, "PutReplicationEndpoint", place, url=endpoint.url)

        try:
            await self.database.write(work)
        except ConstraintError:
            raise ReplicationInvalid("there is no such credential") from None

    async def endpoints(self, account: str) -> list[EndpointRecord]:
        """Every destination that is somewhere."""
        return await self.database.read(replications.endpoints(account, MOST_ENDPOINTS))

    async def delete_endpoint(self, actor: Actor, account: str, destination: Destination) -> bool:
        """Forget where a destination is: whether that was known."""

        def work() -> Work[bool]:
            found = yield from replications.delete_endpoint(account, destination)
            place = f"endpoint/{destination.region}/{destination.registry_id}"
            yield from audit.record(actor, "DeleteReplicationEndpoint", place)
            return found

        return await self.database.write(work)

    def _read(self, account: str) -> Work[ReplicationConfiguration]:
        text = yield from registry_settings.find(account, registry_settings.REPLICATION)
        return ReplicationConfiguration.from_text(text)


def _ask(destination: Destination, name: RepositoryName, reference: Reference) -> Work[None]:
    sign = ":" if isinstance(reference, Tag) else "@"
    document = {
        "region": destination.region,
        "registry": destination.registry_id,
        "repository": name.key,
        "reference": str(reference),
    }
    subject = f"{destination.region}/{destination.registry_id}/{name.key}{sign}{reference}"
    yield from queue.add(REPLICATE, subject, document)
