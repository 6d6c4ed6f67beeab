"""Referrers through the cache: what an upstream has that refers to a cached image is brought here, then listed.

An upstream without the referrers API is asked for the tag under which clients list referrers for such registries
(specification, "Referrers Tag Schema").
"""

import asyncio
import logging

from estiva.digest import Digest
from estiva.errors import ManifestUnknown, RegistryError, Unavailable
from estiva.manifest import Manifest
from estiva.reference import Reference, RepositoryName, Tag
from registry.listing import Listing
from registry.mirroring.cache import BUDGET, Importer, PullThroughCache, in_a_task, refusal
from registry.mirroring.keeping import parse
from registry.mirroring.rules import Rule
from registry.mirroring.upstreams import Upstream
from registry.upstream.errors import UpstreamAbsent, UpstreamError, UpstreamRefused, UpstreamUnavailable
from registry.upstream.remote import RemoteRegistry

logger = logging.getLogger("estiva.mirroring")

FIRST_BUDGET = 10.0
"""Seconds that whoever asks first waits for the upstream."""
MOST_REFERRERS = 200
"""How many referrers of one image are brought here."""


async def bring_referrers(
    cache: PullThroughCache, listing: Listing, name: RepositoryName, subject: Digest, importer: Importer
) -> None:
    """Return when what the upstream has that refers to the cached image is here, or need not be asked for.

    Where the upstream can't be asked now, what is here does. TooManyRequests and Unavailable where nothing is.
    """
    rule = await cache.rules.of(name)
    if rule is None or not await _is_cached(cache, name, subject):
        return
    key = ("referrers", name, subject)
    if cache.recently.within(key, cache.fresh_for) or not await importer.may_import():
        return
    await in_a_task()
    known = cache.recently.ever(key) or bool((await listing.referrers(name, subject, None, "", 1)).entries)
    upstream = await cache.upstreams.of(rule)
    try:
        if known and upstream.resting:
            return
        async with asyncio.timeout(BUDGET if known else FIRST_BUDGET):
            await cache.flights.join(key, lambda: _bring(cache, rule, upstream, name, subject))
        cache.recently.note(key)
    except (UpstreamError, RegistryError, TimeoutError) as error:
        logger.warning("%s: referrers of %s: %s", rule.host, name, str(error) or "no answer in time")
        if isinstance(error, TimeoutError):
            upstream.rest()
        if not known:
            raise _refusal(rule, error) from None


async def _is_cached(cache: PullThroughCache, name: RepositoryName, subject: Digest) -> bool:
    return await cache.keeping.is_cached(name) and await cache.pulling.find_manifest(name, subject) is not None


async def _bring(
    cache: PullThroughCache, rule: Rule, upstream: Upstream, name: RepositoryName, subject: Digest
) -> None:
    remote, theirs = upstream.remote, rule.upstream_name(name)
    try:
        listed = await remote.referrers(theirs, subject)
        if listed is None:
            listed = await _tagged(cache, remote, name, theirs, subject)
        for digest in listed[:MOST_REFERRERS]:
            if await cache.pulling.find_manifest(name, digest) is None:
                await _keep(cache, remote, name, theirs, digest)
    except UpstreamRefused as error:
        logger.info("%s does not let us have referrers of %s: %s", rule.host, subject, error)
    except UpstreamUnavailable as error:
        upstream.rest(error.retry_after)
        raise
    upstream.woke()


async def _tagged(
    cache: PullThroughCache, remote: RemoteRegistry, name: RepositoryName, theirs: RepositoryName, subject: Digest
) -> list[Digest]:
    """What the tag lists that stands for the referrers API; the tag is kept here too."""
    kept = await _keep(cache, remote, name, theirs, Tag(f"{subject.algorithm.value}-{subject.hex[:64]}"))
    return [child.digest for child in kept.children] if kept is not None else []


async def _keep(
    cache: PullThroughCache,
    remote: RemoteRegistry,
    name: RepositoryName,
    theirs: RepositoryName,
    reference: Reference,
) -> Manifest | None:
    """Fetch and keep a manifest; None where the upstream has none."""
    try:
        found = await remote.manifest(theirs, reference)
    except UpstreamAbsent:
        return None
    await cache.keeping.manifest(name, reference, found)
    return parse(found)


def _refusal(rule: Rule, error: Exception) -> RegistryError:
    if isinstance(error, UpstreamError):
        return refusal(rule, error, ManifestUnknown)
    if isinstance(error, RegistryError):
        return error
    return Unavailable(f"the upstream registry {rule.host} does not answer", retry_after=10)
