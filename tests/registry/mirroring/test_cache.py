"""The pull-through cache against an upstream that misbehaves."""

import asyncio
import time
from dataclasses import replace

import pytest

from estiva.digest import Digest
from estiva.errors import BlobUnknown, Denied, ManifestUnknown, TooManyRequests, Unavailable
from estiva.mediatypes import OCI_INDEX, OCI_MANIFEST
from estiva.reference import RepositoryName, Tag
from registry import Registry
from registry.mirroring.arriving import ArrivingBlob
from registry.mirroring.cache import PullThroughCache, RemoteSize
from registry.queueing import Worker
from registry.upstream.errors import UpstreamInvalid, UpstreamUnavailable
from registry.upstream.tokens import Credential
from storage.metadata import events
from storage.metadata.blobs import BlobRecord
from storage.metadata.database import Database
from storage.metadata.events import Action
from storage.metadata.pull_through import RuleRecord
from tests.fixtures.documents import image, index
from tests.fixtures.events import enter_webhook
from tests.fixtures.registry import push_blob, push_manifest
from tests.fixtures.upstream import BASIC, FakeUpstream, upstream_running
from tests.registry.mirroring.pulls import ACTOR, CONFIG, IMAGE, LAYER, NAME, TAG, THEIRS, Anybody, content, pull


async def test_an_image_comes_through_and_is_kept(cache: PullThroughCache, upstream: FakeUpstream) -> None:
    assert await pull(cache) == IMAGE
    assert await content(cache, Digest.of(LAYER)) == LAYER
    upstream.status = 500
    assert await content(cache, Digest.of(LAYER)) == LAYER
    assert (await cache.manifest(NAME, Digest.of(IMAGE), Anybody())).stored.payload == IMAGE


async def test_twenty_first_pulls_at_once_fetch_each_thing_once(
    cache: PullThroughCache, upstream: FakeUpstream
) -> None:
    upstream.slow = 0.2
    assert await asyncio.gather(*(pull(cache) for _ in range(20))) == [IMAGE] * 20
    layers = await asyncio.gather(*(content(cache, Digest.of(LAYER)) for _ in range(20)))
    assert layers == [LAYER] * 20
    assert upstream.fetched("manifests") == 1
    assert upstream.fetched("blobs") == 1


async def test_a_reader_gets_bytes_before_the_upstream_has_sent_them_all(
    cache: PullThroughCache, upstream: FakeUpstream
) -> None:
    await pull(cache)
    upstream.slow = 0.5
    found = await cache.blob(NAME, Digest.of(LAYER), Anybody())
    assert isinstance(found, ArrivingBlob)
    pieces = found.read(0, found.size)
    began = time.monotonic()
    await anext(pieces)
    first = time.monotonic() - began
    assert b"".join([piece async for piece in pieces])[-1:] == LAYER[-1:]
    assert time.monotonic() - began - first > 0.3


async def test_a_reader_that_leaves_stops_nothing(cache: PullThroughCache, upstream: FakeUpstream) -> None:
    await pull(cache)
    upstream.slow = 0.2
    found = await cache.blob(NAME, Digest.of(LAYER), Anybody())
    assert isinstance(found, ArrivingBlob)
    pieces = found.read(0, found.size)
    await anext(pieces)
    await pieces.aclose()
    await found.stored()
    assert isinstance(await cache.blob(NAME, Digest.of(LAYER), Anybody()), BlobRecord)


async def test_a_part_of_what_is_on_its_way_can_be_read(cache: PullThroughCache, upstream: FakeUpstream) -> None:
    await pull(cache)
    upstream.slow = 0.1
    found = await cache.blob(NAME, Digest.of(LAYER), Anybody())
    assert isinstance(found, ArrivingBlob)
    part = b"".join([piece async for piece in found.read(1_000_000, 5000)])
    assert part == LAYER[1_000_000:1_005_000]


async def test_a_blob_that_breaks_off_is_taken_up_where_it_did(cache: PullThroughCache, upstream: FakeUpstream) -> None:
    await pull(cache)
    upstream.truncated = 2
    assert await content(cache, Digest.of(LAYER)) == LAYER
    assert upstream.fetched("blobs") == 3


async def test_a_blob_that_breaks_off_for_good_is_not_kept(cache: PullThroughCache, upstream: FakeUpstream) -> None:
    await pull(cache)
    upstream.truncated, upstream.ranges = 100, False
    with pytest.raises((UpstreamUnavailable, UpstreamInvalid)):
        await content(cache, Digest.of(LAYER))
    assert await cache.pulling.find_blob(NAME, Digest.of(LAYER)) is None
    upstream.truncated = 0
    assert await content(cache, Digest.of(LAYER)) == LAYER


async def test_a_blob_of_another_digest_is_never_given_whole_and_never_kept(
    cache: PullThroughCache, upstream: FakeUpstream
) -> None:
    await pull(cache)
    upstream.lies = True
    found = await cache.blob(NAME, Digest.of(LAYER), Anybody())
    assert isinstance(found, ArrivingBlob)
    seen = bytearray()

    async def read() -> None:
        async for piece in found.read(0, found.size):
            seen.extend(piece)

    with pytest.raises(UpstreamInvalid):
        await read()
    assert len(seen) < len(LAYER)
    assert await cache.pulling.find_blob(NAME, Digest.of(LAYER)) is None


async def test_a_manifest_of_another_digest_is_refused(cache: PullThroughCache, upstream: FakeUpstream) -> None:
    upstream.lies = True
    with pytest.raises(Unavailable):
        await pull(cache)
    assert await cache.pulling.find_manifest(NAME, TAG) is None


async def test_a_tag_that_moved_upstream_moves_here(cache: PullThroughCache, upstream: FakeUpstream) -> None:
    await pull(cache)
    other = image(CONFIG)
    upstream.add_manifest(THEIRS, other, "1")
    assert await pull(cache) == other


async def test_a_fresh_tag_asks_nobody(cache: PullThroughCache, upstream: FakeUpstream) -> None:
    cache = replace(cache, fresh_for=60)
    await pull(cache)
    before = upstream.asked.total()
    served = await cache.manifest(NAME, TAG, Anybody())
    assert upstream.asked.total() == before
    assert 0 < served.good_for <= 60


@pytest.mark.parametrize("trouble", ["429", "500", "503", "hangs", "gone"])
async def test_what_is_here_is_given_within_two_seconds_whatever_the_upstream_does(
    cache: PullThroughCache, upstream: FakeUpstream, trouble: str
) -> None:
    await pull(cache)
    upstream.hangs = trouble == "hangs"
    upstream.status = int(trouble) if trouble.isdigit() else 404 if trouble == "gone" else None
    for patience in (2.0, 0.5):  # the second time nobody waits for an upstream that has just failed
        began = time.monotonic()
        assert await pull(cache) == IMAGE
        assert time.monotonic() - began < patience


@pytest.mark.parametrize(
    ("status", "headers", "error"),
    [
        (404, {}, ManifestUnknown),
        (403, {}, ManifestUnknown),
        (429, {"Retry-After": "30"}, TooManyRequests),
    ],
)
async def test_what_is_not_here_is_refused_in_words_that_name_the_upstream(
    cache: PullThroughCache, upstream: FakeUpstream, status: int, headers: dict[str, str], error: type[Exception]
) -> None:
    upstream.status, upstream.headers = status, headers
    with pytest.raises(error) as refused:
        await pull(cache)
    assert f"127.0.0.1:{upstream.port}" in str(refused.value)
    if status == 429:
        assert refused.value.headers["Retry-After"] == "30"  # type: ignore[attr-defined]


async def test_a_blob_that_the_upstream_lacks_is_unknown(cache: PullThroughCache) -> None:
    await pull(cache)
    with pytest.raises(BlobUnknown):
        await cache.blob(NAME, Digest.of(b"nowhere"), Anybody())


async def test_a_look_at_a_blob_fetches_nothing(cache: PullThroughCache, upstream: FakeUpstream) -> None:
    await pull(cache)
    assert await cache.look_at(NAME, Digest.of(LAYER), Anybody()) == RemoteSize(len(LAYER))
    assert upstream.fetched("blobs") == 0


async def test_whoever_may_not_import_gets_what_is_here_and_nothing_else(
    cache: PullThroughCache, upstream: FakeUpstream
) -> None:
    with pytest.raises(Denied):
        await cache.manifest(NAME, TAG, Anybody(allowed=False))
    assert upstream.asked.total() == 0
    await pull(cache)
    upstream.add_manifest(THEIRS, image(CONFIG), "1")
    assert (await cache.manifest(NAME, TAG, Anybody(allowed=False))).stored.payload == IMAGE
    with pytest.raises(Denied):
        await cache.blob(NAME, Digest.of(LAYER), Anybody(allowed=False))


async def test_what_was_pulled_is_completed_in_the_background(
    cache: PullThroughCache, upstream: FakeUpstream, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("registry.mirroring.keeping.IMPORT_DELAY", 0)
    await pull(cache)
    await worker()
    upstream.status = 500
    assert await content(cache, Digest.of(LAYER)) == LAYER
    assert await content(cache, Digest.of(CONFIG)) == CONFIG
    assert await cache.keeping.missing_blobs(NAME, Digest.of(IMAGE)) == []


async def test_of_an_index_only_what_is_asked_for_comes(
    cache: PullThroughCache, upstream: FakeUpstream, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("registry.mirroring.keeping.IMPORT_DELAY", 0)
    other = image(b'{"architecture":"arm64"}')
    both = index(IMAGE, other)
    upstream.add_manifest(THEIRS, other)
    upstream.add_manifest(THEIRS, both, "multi", media_type=OCI_INDEX)
    assert await pull(cache, tag=Tag("multi")) == both
    assert (await cache.manifest(NAME, Digest.of(IMAGE), Anybody())).stored.media_type == OCI_MANIFEST
    await worker()
    assert upstream.fetched("manifests") == 2
    assert await cache.keeping.missing_blobs(NAME, Digest.of(both)) == [Digest.of(other)]


async def test_a_layer_that_another_repository_of_the_upstream_has_is_not_fetched_again(
    cache: PullThroughCache, upstream: FakeUpstream
) -> None:
    await pull(cache)
    await content(cache, Digest.of(LAYER))
    upstream.add_manifest("team/other", IMAGE, "1")
    second = RepositoryName("hub/team/other")
    await pull(cache, second)
    assert await content(cache, Digest.of(LAYER), second) == LAYER
    assert upstream.fetched("blobs") == 1


async def test_a_layer_of_ones_own_is_not_shown_because_an_upstream_lists_its_digest(
    cache: PullThroughCache, registry: Registry, upstream: FakeUpstream
) -> None:
    secret = await push_blob(registry, b"a private layer", RepositoryName("private"))
    upstream.add_manifest("team/evil", image(CONFIG, b"a private layer"), "1")
    evil = RepositoryName("hub/team/evil")
    await pull(cache, evil)
    with pytest.raises(BlobUnknown):
        await cache.blob(evil, secret, Anybody())


async def test_a_tag_that_was_pushed_here_is_never_the_upstreams(
    cache: PullThroughCache, registry: Registry, upstream: FakeUpstream
) -> None:
    await push_blob(registry, b"{}", NAME)
    own = await push_manifest(registry, image(), "1", name=NAME)
    assert Digest.of(await pull(cache)) == own
    assert upstream.asked.total() == 0


async def test_the_root_rule_is_not_about_repositories_of_ones_own(
    registry: Registry, upstream: FakeUpstream, cache: PullThroughCache
) -> None:
    await registry.cache.rules.create(ACTOR, "", RuleRecord("ROOT", upstream.url))
    own = RepositoryName("team/own")
    await push_blob(registry, b"{}", own)
    upstream.add_manifest("team/own", IMAGE, "1")
    with pytest.raises(ManifestUnknown):
        await pull(cache, own)
    assert await pull(cache, RepositoryName("team/app")) == IMAGE


@pytest.mark.parametrize("kind", ["basic", "bearer"])
async def test_it_signs_in_as_the_upstream_asks_and_once(
    registry: Registry, upstream: FakeUpstream, cache: PullThroughCache, kind: str
) -> None:
    upstream.signing_in = kind
    await registry.cache.credentials.put(ACTOR, "", "team", Credential("robot", "secret"))
    await registry.cache.rules.update(ACTOR, "", RuleRecord("hub", "", credential="team"))
    await pull(cache)
    await asyncio.gather(*(content(cache, digest) for digest in (Digest.of(LAYER), Digest.of(CONFIG))))
    tokens = [count for key, count in upstream.asked.items() if key.startswith("token")]
    assert tokens == ([1] if kind == "bearer" else [])


async def test_credentials_are_not_sent_to_a_realm_of_somebody_else(
    registry: Registry, upstream: FakeUpstream, cache: PullThroughCache
) -> None:
    async with upstream_running() as thief:
        upstream.signing_in, upstream.realm = "bearer", f"{thief.url}/token"
        await registry.cache.credentials.put(ACTOR, "", "team", Credential("robot", "secret"))
        await registry.cache.rules.update(ACTOR, "", RuleRecord("hub", "", credential="team"))
        with pytest.raises(ManifestUnknown):
            await pull(cache)
        assert thief.authorizations == []
        # Unless the operator has named it.
        await registry.cache.credentials.put(ACTOR, "", "team", Credential("robot", "secret", thief.url))
        assert await pull(cache) == IMAGE
        assert thief.authorizations == [("/token", BASIC)]


async def test_a_redirect_to_another_host_gets_the_blob_without_the_credentials(
    registry: Registry, upstream: FakeUpstream, cache: PullThroughCache
) -> None:
    async with upstream_running() as storage:
        storage.blobs, upstream.redirect = upstream.blobs, storage.url
        upstream.signing_in = "basic"
        await registry.cache.credentials.put(ACTOR, "", "team", Credential("robot", "secret"))
        await registry.cache.rules.update(ACTOR, "", RuleRecord("hub", "", credential="team"))
        await pull(cache)
        assert await content(cache, Digest.of(LAYER)) == LAYER
        assert {authorization for _, authorization in storage.authorizations} == {None}


async def test_a_namespace_finds_the_repository_that_mirrors(cache: PullThroughCache, upstream: FakeUpstream) -> None:
    host = f"127.0.0.1:{upstream.port}"
    assert await cache.rules.for_namespace("", host, RepositoryName("team/app")) == NAME
    assert await cache.rules.for_namespace("", "quay.io", RepositoryName("team/app")) is None


async def test_an_upstream_on_this_machine_is_not_spoken_to_unless_that_is_allowed(upstream: FakeUpstream) -> None:
    from registry.upstream.network import Network
    from registry.upstream.remote import RemoteRegistry

    remote = RemoteRegistry(Network(private=False), f"https://localhost:{upstream.port}")
    with pytest.raises(UpstreamUnavailable, match="no address that may be spoken to"):
        await remote.ping()
    assert upstream.asked.total() == 0


async def test_what_comes_is_told_once_and_again_when_the_tag_moves(
    cache: PullThroughCache, upstream: FakeUpstream, database: Database
) -> None:
    await enter_webhook(database, "first", Action.IMPORT)
    for _ in range(2):
        await pull(cache)
    (told,) = await database.write(lambda: events.claim(10, 60, 0))
    assert (told.action, told.digest, told.tag) == (Action.IMPORT, str(Digest.of(IMAGE)), "1")
    other = image(CONFIG)
    upstream.add_manifest(THEIRS, other, "1")
    await pull(cache)
    (told,) = await database.write(lambda: events.claim(10, 60, 0))
    assert (told.digest, told.tag, told.previous) == (str(Digest.of(other)), "1", str(Digest.of(IMAGE)))
