"""Referrers of cached images: what the upstream has is listed here, and stays when the upstream is gone."""

from dataclasses import replace

import pytest

from estiva.digest import Digest
from estiva.errors import TooManyRequests, Unavailable
from estiva.mediatypes import OCI_INDEX
from registry import Registry
from registry.mirroring.cache import PullThroughCache
from registry.mirroring.referring import bring_referrers
from tests.fixtures.documents import described, image, index
from tests.fixtures.registry import push_blob, push_manifest
from tests.fixtures.upstream import FakeUpstream
from tests.registry.mirroring.pulls import CONFIG, IMAGE, NAME, THEIRS, Anybody, pull

SUBJECT = Digest.of(IMAGE)
SIGNATURE = image(CONFIG, subject=described(IMAGE), artifactType="application/x-signature")
FALLBACK = f"sha256-{SUBJECT.hex}"
PAGES = f"/v2/{THEIRS}/referrers/{SUBJECT}?last={{last}}"


@pytest.fixture
def signed(upstream: FakeUpstream) -> FakeUpstream:
    """The upstream, whose image has a signature that its referrers API lists."""
    upstream.add_manifest(THEIRS, SIGNATURE)
    upstream.referrers = {(THEIRS, str(SUBJECT)): [SIGNATURE]}
    return upstream


async def listed(registry: Registry, cache: PullThroughCache, importer: Anybody | None = None) -> list[str]:
    await bring_referrers(cache, registry.listing, NAME, SUBJECT, importer or Anybody())
    page = await registry.listing.referrers(NAME, SUBJECT, None, "", 100)
    return [str(entry.digest) for entry in page.entries]


async def test_what_refers_to_a_cached_image_upstream_is_listed_here_and_stays(
    registry: Registry, cache: PullThroughCache, signed: FakeUpstream
) -> None:
    await pull(cache)
    assert await listed(registry, cache) == [str(Digest.of(SIGNATURE))]
    signed.status = 500
    assert await listed(registry, cache) == [str(Digest.of(SIGNATURE))]
    assert (await cache.manifest(NAME, Digest.of(SIGNATURE), Anybody())).stored.payload == SIGNATURE


async def test_an_upstream_without_the_api_is_asked_for_the_tag_that_lists_them(
    registry: Registry, cache: PullThroughCache, upstream: FakeUpstream
) -> None:
    upstream.add_manifest(THEIRS, SIGNATURE)
    upstream.add_manifest(THEIRS, index(SIGNATURE), FALLBACK, media_type=OCI_INDEX)
    await pull(cache)
    assert await listed(registry, cache) == [str(Digest.of(SIGNATURE))]


@pytest.mark.parametrize("following", [PAGES, f"{{url}}{PAGES}", "?last={last}"], ids=["path", "url", "query"])
async def test_referrers_come_page_after_page_however_the_next_one_is_named(
    registry: Registry, cache: PullThroughCache, upstream: FakeUpstream, following: str
) -> None:
    signatures = [image(CONFIG, subject=described(IMAGE), annotations={"n": str(number)}) for number in range(3)]
    for signature in signatures:
        upstream.add_manifest(THEIRS, signature)
    upstream.referrers, upstream.following = {(THEIRS, str(SUBJECT)): signatures}, following
    await pull(cache)
    assert sorted(await listed(registry, cache)) == sorted(str(Digest.of(signature)) for signature in signatures)


async def test_pages_elsewhere_are_not_asked_for(
    registry: Registry, cache: PullThroughCache, signed: FakeUpstream
) -> None:
    assert signed.referrers is not None
    signed.referrers[THEIRS, str(SUBJECT)].append(IMAGE)
    signed.following = "http://elsewhere.invalid" + PAGES
    await pull(cache)
    assert await listed(registry, cache) == [str(Digest.of(SIGNATURE))]


async def test_an_image_without_any_has_none(
    registry: Registry, cache: PullThroughCache, upstream: FakeUpstream
) -> None:
    await pull(cache)
    assert await listed(registry, cache) == []


async def test_they_are_asked_for_once_in_a_while(
    registry: Registry, cache: PullThroughCache, signed: FakeUpstream
) -> None:
    cache = replace(cache, fresh_for=60)
    await pull(cache)
    await listed(registry, cache)
    before = signed.asked.total()
    assert await listed(registry, cache) == [str(Digest.of(SIGNATURE))]
    assert signed.asked.total() == before


async def test_one_that_comes_later_is_seen(registry: Registry, cache: PullThroughCache, signed: FakeUpstream) -> None:
    await pull(cache)
    await listed(registry, cache)
    second = image(CONFIG, subject=described(IMAGE), artifactType="application/x-sbom")
    signed.add_manifest(THEIRS, second)
    assert signed.referrers is not None
    signed.referrers[THEIRS, str(SUBJECT)].append(second)
    assert set(await listed(registry, cache)) == {str(Digest.of(SIGNATURE)), str(Digest.of(second))}


@pytest.mark.parametrize(("status", "error"), [(500, Unavailable), (429, TooManyRequests)])
async def test_nobody_is_told_that_there_are_none_where_the_upstream_does_not_say(
    registry: Registry, cache: PullThroughCache, signed: FakeUpstream, status: int, error: type[Exception]
) -> None:
    await pull(cache)
    signed.status = status
    with pytest.raises(error):
        await listed(registry, cache)


async def test_whoever_may_not_import_is_shown_what_is_here(
    registry: Registry, cache: PullThroughCache, signed: FakeUpstream
) -> None:
    await pull(cache)
    before = signed.asked.total()
    assert await listed(registry, cache, Anybody(allowed=False)) == []
    assert signed.asked.total() == before


async def test_of_an_image_of_ones_own_no_upstream_is_asked(
    registry: Registry, cache: PullThroughCache, signed: FakeUpstream
) -> None:
    await push_blob(registry, CONFIG, NAME)
    await push_manifest(registry, image(CONFIG), "own", name=NAME)
    assert await listed(registry, cache) == []
    assert signed.asked.total() == 0


async def test_one_that_is_listed_and_not_there_is_left_out(
    registry: Registry, cache: PullThroughCache, signed: FakeUpstream
) -> None:
    await pull(cache)
    other = image(CONFIG, subject=described(IMAGE), artifactType="application/x-other")
    assert signed.referrers is not None
    signed.referrers[THEIRS, str(SUBJECT)].append(other)  # listed, and not there
    assert await listed(registry, cache) == [str(Digest.of(SIGNATURE))]
