"""Replication to a registry that refuses, fails or is nowhere, and which repositories it is about."""

import json
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from estiva.digest import Digest
from estiva.manifest import parse_manifest
from estiva.mediatypes import OCI_MANIFEST
from estiva.reference import RepositoryName, Tag
from registry import Registry
from registry.pushed import Pushed
from registry.queueing import Worker
from registry.replicating.configuration import ReplicationConfiguration, ReplicationInvalid, checked
from registry.replicating.copying import Copying
from storage.metadata.audit import Actor
from storage.metadata.database import Database
from storage.metadata.replications import COMPLETE, FAILED, IN_PROGRESS, Destination, EndpointRecord
from tests.fixtures.documents import image
from tests.fixtures.facts import NAME, select
from tests.fixtures.registry import push_blob, push_manifest
from tests.fixtures.upstream import FakeUpstream, upstream_running

ACTOR = Actor("user/test")
THERE = Destination("eu-west-1", "000000000000")
OWN = Destination("us-east-1", "000000000000")


def rule(*prefixes: str, destination: Destination = THERE) -> dict[str, object]:
    filters = [{"filter": prefix, "filterType": "PREFIX_MATCH"} for prefix in prefixes]
    there = {"region": destination.region, "registryId": destination.registry_id}
    return {"destinations": [there], **({"repositoryFilters": filters} if filters else {})}


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses between tries are tested by themselves."""
    monkeypatch.setattr("registry.upstream.pacing.FIRST_PAUSE", 0.01)


@pytest.fixture
async def there() -> AsyncIterator[FakeUpstream]:
    async with upstream_running() as there:
        yield there


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as threads:
        yield threads


@pytest.fixture
async def worker(
    database: Database, registry: Registry, there: FakeUpstream, threads: ThreadPoolExecutor
) -> AsyncIterator[Worker]:
    """What copies to `there`, and gives up after three times without waiting in between."""
    cache, replicating = registry.cache, registry.replicating
    await replicating.put_endpoint(ACTOR, "", EndpointRecord(THERE, there.url))
    await replicating.configure(ACTOR, "", ReplicationConfiguration([rule()]))
    copying = Copying(
        database=database,
        replicating=replicating,
        pulling=registry.pulling,
        uploading=registry.uploading,
        upstreams=cache.upstreams,
        credentials=cache.credentials,
        threads=threads,
        count=lambda result: None,
    )
    yield replace(copying.worker(), attempts=3, first_delay=0)
    await cache.close()


async def pushed(database: Database, registry: Registry, *, is_copy: bool = False) -> Digest:
    """An image, and what its push asks for."""
    await push_blob(registry, b"{}", NAME)
    payload = image(b"{}")
    digest = await push_manifest(registry, payload, "1", name=NAME)
    push = Pushed(NAME, digest, parse_manifest(payload, OCI_MANIFEST), (Tag("1"),), ACTOR, is_copy)
    await database.write(lambda: registry.replicating.after_push(push))
    return digest


async def status(registry: Registry) -> list[tuple[str, str | None]]:
    _, found = await registry.replicating.statuses(NAME, Tag("1"))
    return [(one.status, one.failure) for one in found]


@pytest.mark.parametrize("answer", [401, 403, 404, 429, 500])
async def test_a_destination_that_refuses_for_good_fails_with_what_it_said(
    database: Database, registry: Registry, there: FakeUpstream, worker: Worker, answer: int
) -> None:
    await pushed(database, registry)
    assert await status(registry) == [(IN_PROGRESS, None)]
    there.status = answer
    await worker()
    ((state, failure),) = await status(registry)
    assert state == FAILED
    assert f"answers {answer}" in (failure or "")
    assert await database.read(select("SELECT id FROM queued_work")) == []


async def test_one_that_had_failed_is_complete_once_it_is_pushed_again_and_comes(
    database: Database, registry: Registry, there: FakeUpstream, worker: Worker
) -> None:
    digest = await pushed(database, registry)
    there.status = 500
    await worker()
    assert (await status(registry))[0][0] == FAILED
    there.status = None
    there.add_manifest(NAME.text, image(b"{}"), "1")  # all of it is there by now: nothing has to be sent
    assert await pushed(database, registry) == digest
    await worker()
    assert await status(registry) == [(COMPLETE, None)]


async def test_a_copy_is_not_replicated_on(database: Database, registry: Registry, worker: Worker) -> None:
    await pushed(database, registry, is_copy=True)
    assert await status(registry) == []
    assert await database.read(select("SELECT id FROM queued_work")) == []


async def test_what_was_deleted_meanwhile_asks_nobody(
    database: Database, registry: Registry, there: FakeUpstream, worker: Worker
) -> None:
    await pushed(database, registry)
    await registry.deleting.image(NAME, None, Tag("1"), ACTOR, permit=None)
    await worker()
    assert there.asked.total() == 0
    assert await database.read(select("SELECT id FROM queued_work")) == []


@pytest.mark.parametrize(
    ("rules", "name", "goes"),
    [
        ([rule()], "any/thing", [THERE]),
        ([rule("team/")], "team/app", [THERE]),
        ([rule("team/")], "teams/app", []),
        ([rule("team")], "teams/app", [THERE]),
        ([rule("a", "team/a")], "team/app", [THERE]),
        ([rule("team/"), rule()], "team/app", [THERE]),
        ([rule("x/"), rule("team/", destination=OWN)], "team/app", [OWN]),
        ([], "team/app", []),
    ],
    ids=["no-filter", "prefix", "not", "part-of-name", "one-of-two", "once", "of-its-rule", "none"],
)
def test_filters_say_which_repositories_go_where(
    rules: list[dict[str, object]], name: str, goes: list[Destination]
) -> None:
    assert ReplicationConfiguration(rules).destinations(RepositoryName(name)) == goes


@pytest.mark.parametrize(
    "rules",
    [
        [rule(destination=OWN)],
        [{"destinations": []}],
        [{**rule(), "deleteReplication": {"enabled": True}}],
        [rule()] * 11,
        [rule(*(f"p{number}" for number in range(101)))],
        [rule(destination=Destination(f"r-{number}", "000000000000")) for number in range(26)],
    ],
    ids=["itself", "nowhere", "deletions", "rules", "filters", "places"],
)
def test_what_can_not_be_followed_is_refused(rules: list[dict[str, object]]) -> None:
    with pytest.raises(ReplicationInvalid):
        checked(json.loads(json.dumps(rules)), OWN)
