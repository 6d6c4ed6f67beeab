"""Pulling through: what is here is given at once, what is not is fetched from the upstream of its rule, and kept.

A tag that is here is compared with the upstream's every now and then, within `BUDGET`; an upstream that refuses for
now, fails or says nothing costs nobody more than that, and what is here is given. What the upstream has deleted stays.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf
from typing import Protocol

from estiva.digest import Digest
from estiva.errors import BlobUnknown, ManifestUnknown, RegistryError, TooManyRequests, Unavailable
from estiva.reference import Reference, RepositoryName, Tag
from registry.mirroring.arriving import ArrivingBlob
from registry.mirroring.credentials import UpstreamCredentials
from registry.mirroring.fetching import Fetching
from registry.mirroring.flights import Flights
from registry.mirroring.keeping import Keeping
from registry.mirroring.recently import Recently
from registry.mirroring.rules import PullThroughRules, Rule
from registry.mirroring.upstreams import Upstream, Upstreams
from registry.pulling import Pulling
from registry.uploading import Uploading
from registry.upstream.errors import UpstreamAbsent, UpstreamError, UpstreamRefused, UpstreamUnavailable
from storage.metadata import pull_through
from storage.metadata.blobs import BlobRecord
from storage.metadata.database import Database
from storage.metadata.manifests import StoredManifest

logger = logging.getLogger("estiva.mirroring")

BUDGET = 1.5
"""Seconds that a pull waits for the upstream when what it wants is here already."""
PATIENCE = 60.0
"""Seconds that a pull waits for the upstream's first word on what is not here."""

Count = Callable[[str], None]


class Importer(Protocol):
    """Whoever pulls, as far as fetching goes."""

    async def may_import(self) -> bool:
        """Whether policy lets them have something fetched."""
        ...

    async def require_import(self, exists: bool) -> None:
        """Return where it does, and lets them have the repository created unless it exists. Unauthorized, Denied."""
        ...


@dataclass(frozen=True, slots=True)
class Served:
    """A manifest, and for how many seconds it may be given again while nothing changes here."""

    stored: StoredManifest
    good_for: float = inf


@dataclass(frozen=True, slots=True)
class RemoteSize:
    """The length of a blob that is not here."""

    size: int


@dataclass(frozen=True, slots=True)
class PullThroughCache:
    """Pulls from what is here and from upstreams. One per process: each makes at most one fetch of anything."""

    database: Database
    pulling: Pulling
    uploading: Uploading
    rules: PullThroughRules
    credentials: UpstreamCredentials
    upstreams: Upstreams
    keeping: Keeping
    fetching: Fetching
    flights: Flights[None]
    fresh_for: float
    count: Count
    recently: Recently = field(default_factory=Recently)

    async def manifest(self, name: RepositoryName, reference: Reference, importer: Importer) -> Served:
        """The manifest; ManifestUnknown, TooManyRequests, Unavailable, and what `Importer.require_import` raises."""
        rule = await self.rules.of(name)
        if rule is None:
            return Served(await self.pulling.manifest(name, reference))
        stored = await self.pulling.find_manifest(name, reference)
        if stored is None:
            return await self._missing_manifest(rule, name, reference, importer)
        if isinstance(reference, Digest):
            self.count("hit")
            return Served(stored)
        return await self._tagged(rule, name, reference, stored, importer)

    async def blob(self, name: RepositoryName, digest: Digest, importer: Importer) -> BlobRecord | ArrivingBlob:
        """The blob, here or on its way.

        BlobUnknown, TooManyRequests, Unavailable, and what `Importer.require_import` raises.
        """
        found = await self.pulling.find_blob(name, digest)
        if found is not None:
            return found
        rule = await self._rule_for_fetching(name, digest, importer)
        if await self._mounted(rule, name, digest):
            return await self.pulling.blob(name, digest)
        try:
            arriving = await self.arriving(rule, name, digest)
            if await arriving.known_size() is None:
                await arriving.stored()
        except UpstreamError as error:
            raise refusal(rule, error, BlobUnknown) from None
        # Where its length is known only now, or it was all there before anybody looked, it is in the store.
        return arriving if arriving.is_coming else await self.pulling.blob(name, digest)

    async def look_at(self, name: RepositoryName, digest: Digest, importer: Importer) -> BlobRecord | RemoteSize:
        """The blob, here, or its length at the upstream, without fetching it. As `blob`."""
        found = await self.pulling.find_blob(name, digest)
        if found is not None:
            return found
        rule = await self._rule_for_fetching(name, digest, importer)
        if await self._mounted(rule, name, digest):
            return await self.pulling.blob(name, digest)
        upstream = await self.upstreams.of(rule)
        try:
            size = await upstream.remote.blob_size(rule.upstream_name(name), digest)
            if size is not None:
                return RemoteSize(size)
            await (await self.arriving(rule, name, digest)).stored()
        except UpstreamError as error:
            raise refusal(rule, error, BlobUnknown) from None
        return await self.pulling.blob(name, digest)

    async def arriving(self, rule: Rule, name: RepositoryName, digest: Digest) -> ArrivingBlob:
        """The blob on its way from the upstream; its size, read first, raises UpstreamErrors."""
        upstream = await self.upstreams.of(rule)

        async def prepare() -> None:
            await self.keeping.repository(name)

        async def stored() -> None:
            await self.keeping.blob_arrived(name, digest)
            self.count("fetched blob")

        return self.fetching.begin(name, digest, upstream.remote, rule.upstream_name(name), prepare, stored)

    async def complete(self, name: RepositoryName, manifest: Digest) -> None:
        """Fetch every blob that the cached manifest lacks. UpstreamError for the first that can't be had."""
        rule = await self.rules.of(name)
        if rule is None:
            return
        for digest in await self.keeping.missing_blobs(name, manifest):
            if await self.pulling.find_blob(name, digest) is not None or await self._mounted(rule, name, digest):
                await self.keeping.blob_arrived(name, digest)
            else:
                await (await self.arriving(rule, name, digest)).stored()

    async def close(self) -> None:
        """End every fetch, and let go of every connection."""
        await self.flights.close()
        await self.fetching.close()
        await self.upstreams.close()

    async def _tagged(
        self, rule: Rule, name: RepositoryName, tag: Tag, stored: StoredManifest, importer: Importer
    ) -> Served:
        age = await self.database.read(pull_through.tag_age(name, tag))
        if age is None:  # somebody pushed it here: it is not the upstream's to change
            return Served(stored)
        if 0 <= age < self.fresh_for:
            self.count("hit")
            return Served(stored, self.fresh_for - age)
        upstream = await self.upstreams.of(rule)
        if upstream.resting or not await importer.may_import():
            self.count("stale")
            return Served(stored, 0)
        return await self._compared(rule, upstream, name, tag, stored)

    async def _compared(
        self, rule: Rule, upstream: Upstream, name: RepositoryName, tag: Tag, stored: StoredManifest
    ) -> Served:
        await in_a_task()
        try:
            async with asyncio.timeout(BUDGET):
                await self.flights.join((name, tag), lambda: self._refresh(rule, upstream, name, tag, stored.digest))
        except (UpstreamError, RegistryError, TimeoutError) as error:
            if isinstance(error, TimeoutError):
                upstream.rest()
            logger.warning("%s: %s is given as it was: %s", rule.host, name, str(error) or "no answer in time")
            self.count("stale")
            return Served(stored, 0)
        self.count("revalidated")
        found = await self.pulling.find_manifest(name, tag)
        return Served(found or stored, self.fresh_for)

    async def _refresh(self, rule: Rule, upstream: Upstream, name: RepositoryName, tag: Tag, known: Digest) -> None:
        theirs = rule.upstream_name(name)
        try:
            if await upstream.remote.digest_of(theirs, tag) == known:
                await self.keeping.tag_checked(name, tag)
            else:
                await self.keeping.manifest(name, tag, await upstream.remote.manifest(theirs, tag))
        except UpstreamAbsent:
            # What was deleted there is still wanted here. Asking each time would not bring it back.
            await self.keeping.tag_checked(name, tag)
        except UpstreamUnavailable as error:
            upstream.rest(error.retry_after)
            raise
        upstream.woke()

    async def _missing_manifest(
        self, rule: Rule, name: RepositoryName, reference: Reference, importer: Importer
    ) -> Served:
        await importer.require_import(await self.keeping.exists(name))
        await in_a_task()
        upstream = await self.upstreams.of(rule)

        async def fetch() -> None:
            remote = await upstream.remote.manifest(rule.upstream_name(name), reference)
            await self.keeping.manifest(name, reference, remote)
            upstream.woke()

        try:
            async with asyncio.timeout(PATIENCE):
                await self.flights.join((name, reference), fetch)
        except TimeoutError:
            raise Unavailable(f"the upstream registry {rule.host} does not answer") from None
        except UpstreamError as error:
            if isinstance(error, UpstreamUnavailable):
                upstream.rest(error.retry_after)
            raise refusal(rule, error, ManifestUnknown) from None
        self.count("miss")
        return Served(await self.pulling.manifest(name, reference), self.fresh_for)

    async def _rule_for_fetching(self, name: RepositoryName, digest: Digest, importer: Importer) -> Rule:
        rule = await self.rules.of(name)
        if rule is None:
            raise BlobUnknown(detail={"digest": str(digest)})
        await importer.require_import(await self.keeping.exists(name))
        await in_a_task()
        return rule

    async def _mounted(self, rule: Rule, name: RepositoryName, digest: Digest) -> bool:
        """Whether a repository of the same upstream had the blob, so that it need not come again.

        Only for what a manifest of this repository names, and from nowhere else: an upstream that lists the digest of
        somebody's private layer does not get it shown.
        """
        if not await self.keeping.is_expected(name, digest):
            return False
        held = await self.uploading.holders(digest)
        sources = [one for one in held if rule.covers(one) and await self.keeping.is_cached(one)]
        if not sources or not await self.uploading.mount(name, digest, sources):
            return False
        await self.keeping.blob_arrived(name, digest)
        return True


async def in_a_task() -> None:
    """Return in a task: connections try for answers without one first, and give that up where something waits."""
    await asyncio.sleep(0)


def refusal(rule: Rule, error: UpstreamError, unknown: type[RegistryError]) -> RegistryError:
    """What a client is told when its pull needs the upstream and the upstream does not give."""
    logger.warning("%s: %s", rule.host, error)
    detail = {"upstream": rule.host, "reason": str(error)}
    if isinstance(error, UpstreamAbsent):
        return unknown(f"the upstream registry {rule.host} does not have it", detail=detail)
    if isinstance(error, UpstreamRefused):
        return unknown(f"the upstream registry {rule.host} does not let this registry have it", detail=detail)
    if error.status == 429:
        seconds = max(int(error.retry_after or 10), 1)
        text = f"the upstream registry {rule.host} has had too many requests"
        return TooManyRequests(text, detail=detail, headers={"Retry-After": str(seconds)})
    return Unavailable(f"the upstream registry {rule.host} can't give it now", detail=detail, retry_after=10)
