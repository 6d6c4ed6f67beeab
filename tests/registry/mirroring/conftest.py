"""An upstream that misbehaves as it is told, and a cache of it."""

from collections.abc import AsyncIterator

import pytest

from registry import Registry
from registry.mirroring.cache import PullThroughCache
from registry.mirroring.importing import import_worker
from registry.queueing import Worker
from storage.metadata.pull_through import RuleRecord
from storage.metadata.sqlite import SQLiteDatabase
from tests.fixtures.upstream import FakeUpstream, upstream_running
from tests.registry.mirroring.pulls import ACTOR, CONFIG, IMAGE, LAYER, THEIRS


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses between tries are tested by themselves."""
    monkeypatch.setattr("registry.upstream.pacing.FIRST_PAUSE", 0.01)


@pytest.fixture
async def upstream() -> AsyncIterator[FakeUpstream]:
    async with upstream_running() as upstream:
        upstream.add_blob(THEIRS, CONFIG)
        upstream.add_blob(THEIRS, LAYER)
        upstream.add_manifest(THEIRS, IMAGE, "1")
        yield upstream


@pytest.fixture
async def cache(registry: Registry, upstream: FakeUpstream) -> AsyncIterator[PullThroughCache]:
    await registry.cache.rules.create(ACTOR, "", RuleRecord("hub", upstream.url))
    yield registry.cache
    await registry.cache.close()


@pytest.fixture
def worker(database: SQLiteDatabase, cache: PullThroughCache) -> Worker:
    return import_worker(database, cache)
