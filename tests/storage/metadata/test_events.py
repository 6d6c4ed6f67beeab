"""Events wait for each webhook that wants them, in order, until it has been told."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from estiva.digest import Digest
from estiva.reference import RepositoryName, Tag
from storage.metadata import events, webhooks
from storage.metadata.audit import Actor
from storage.metadata.database import Database, Statement, Work
from storage.metadata.events import Action, Backlog, Delivery, Event
from storage.metadata.sqlite import SQLiteDatabase
from tests.fixtures.documents import image
from tests.fixtures.events import enter_webhook
from tests.fixtures.facts import NAME, OTHER, count, enter_blob, enter_manifest, select

ALICE = Actor("user/alice", "192.0.2.1")
DIGEST = Digest.of(b"one")


def happened(action: Action = Action.PUSH, tag: str | None = None, digest: Digest = DIGEST) -> Event:
    return Event(action, ALICE, digest, Tag(tag) if tag else None)


async def tell(database: Database, *happenings: Event, name: RepositoryName = NAME) -> None:
    await database.write(lambda: events.record(name, happenings))


async def claimed(database: Database, limit: int = 10, lease: float = 60, patience: int = 3) -> list[Delivery]:
    return await database.write(lambda: events.claim(limit, lease, patience))


async def an_hour_passes(database: Database) -> None:
    def pass_by() -> Work[None]:
        yield Statement("UPDATE deliveries SET due_at = due_at - 3601")

    await database.write(pass_by)


def shown(deliveries: Sequence[Delivery]) -> list[tuple[str, str | None]]:
    return [(delivery.action.value, delivery.tag) for delivery in deliveries]


async def test_nothing_is_written_where_no_webhook_exists(database: SQLiteDatabase) -> None:
    await tell(database, happened())
    assert await count(database, "deliveries") == 0


async def test_every_webhook_that_wants_it_is_told_of_one_event(database: SQLiteDatabase) -> None:
    first, second = await enter_webhook(database, "first"), await enter_webhook(database, "second", Action.PUSH)
    await enter_webhook(database, "deletions", Action.DELETE)
    await enter_webhook(database, "elsewhere", prefix="team/")
    await enter_webhook(database, "here", prefix="library/h")
    await tell(database, happened(tag="v1"))
    found = await claimed(database)
    assert [(delivery.webhook_id, delivery.tag) for delivery in found] == [
        (first.id, "v1"),
        (second.id, "v1"),
        (5, "v1"),
    ]
    assert len({delivery.event for delivery in found}) == 1
    assert (found[0].repository, found[0].digest, found[0].actor) == (NAME, str(DIGEST), "user/alice")


async def test_a_webhook_that_is_shut_is_told_nothing_and_what_waits_for_it_waits_on(database: SQLiteDatabase) -> None:
    hook = await enter_webhook(database)
    await tell(database, happened(tag="before"))
    await database.write(lambda: webhooks.set_enabled(hook.id, enabled=False))
    await tell(database, happened(tag="while"))
    assert await claimed(database) == []
    await database.write(lambda: webhooks.set_enabled(hook.id, enabled=True))
    assert shown(await claimed(database)) == [("PUSH", "before")]


async def test_what_the_transaction_did_not_do_nobody_is_told(database: SQLiteDatabase) -> None:
    await enter_webhook(database)

    def work() -> Work[None]:
        yield from events.record(NAME, [happened()])
        raise RuntimeError("and then it failed")

    with pytest.raises(RuntimeError):
        await database.write(work)
    assert await count(database, "deliveries") == 0


async def test_where_a_tag_pointed_before_is_told(database: SQLiteDatabase) -> None:
    await enter_webhook(database)
    await enter_blob(database, b"{}")
    old = await enter_manifest(database, image(), "latest")
    await tell(database, happened(tag="latest"), happened(tag="latest", digest=old), happened(tag="new"))
    found = []
    for _ in range(3):
        [delivery] = await claimed(database)
        found.append(delivery.previous)
        await database.write(lambda number=delivery.id: events.settle([number]))  # type: ignore[misc]
    assert found == [str(old), None, None]


async def test_one_repository_comes_in_order_and_others_do_not_wait_for_it(database: SQLiteDatabase) -> None:
    await enter_webhook(database)
    await tell(database, happened(tag="1"), happened(Action.DELETE, "1"))
    await tell(database, happened(tag="2"), name=OTHER)
    first = await claimed(database)
    assert shown(first) == [("PUSH", "1"), ("PUSH", "2")]
    assert await claimed(database) == []
    await database.write(lambda: events.settle([first[0].id]))
    assert shown(await claimed(database)) == [("DELETE", "1")]


async def test_what_fails_again_and_again_is_overtaken(database: SQLiteDatabase) -> None:
    await enter_webhook(database)
    await tell(database, happened(tag="1"), happened(tag="2"))
    for attempt in (1, 2):
        [delivery] = await claimed(database, patience=2)
        assert (delivery.tag, delivery.attempts) == ("1", attempt)
        later = 0 if attempt == 1 else 3600
        await database.write(lambda: events.postpone(delivery, later, "no", patience=2))  # noqa: B023
    assert shown(await claimed(database, patience=2)) == [("PUSH", "2")]


async def test_what_waits_behind_a_failure_is_not_due_before_it(database: SQLiteDatabase) -> None:
    await enter_webhook(database)
    await tell(database, happened(tag="1"), happened(tag="2"))
    await tell(database, happened(tag="3"), name=OTHER)
    first, other = await claimed(database)
    await database.write(lambda: events.settle([other.id]))
    await database.write(lambda: events.postpone(first, 3600, "no", patience=3))
    assert not await database.read(events.is_due())
    await an_hour_passes(database)
    assert await database.read(events.is_due())
    assert shown(await claimed(database)) == [("PUSH", "1")]


async def test_whoever_died_with_deliveries_loses_them_after_a_while(database: SQLiteDatabase) -> None:
    await enter_webhook(database)
    await tell(database, happened())
    [first] = await claimed(database, lease=3600)
    assert await claimed(database) == []
    await an_hour_passes(database)
    [second] = await claimed(database)
    assert (second.event, second.attempts) == (first.event, 2)


async def test_what_was_given_up_is_kept_can_be_tried_again_and_is_forgotten(database: SQLiteDatabase) -> None:
    hook = await enter_webhook(database)
    await tell(database, happened(tag="1"), happened(tag="2"))
    [first] = await claimed(database)
    await database.write(lambda: events.bury(first.id, "refused"))
    assert shown(await claimed(database)) == [("PUSH", "2")]
    assert (await database.read(events.backlog())).dead == 1
    [row] = await database.read(events.dead(hook.id, 0, 10))
    assert row[:6] == (first.id, first.event, "PUSH", NAME.text, str(DIGEST), "1")
    assert row[-1] == "refused"
    assert await database.write(lambda: events.forget(60)) == 0
    assert await database.write(lambda: events.revive(hook.id)) == 1
    [again] = await claimed(database)
    assert (again.event, again.attempts) == (first.event, 1)
    await database.write(lambda: events.bury(first.id, "refused"))
    assert await database.write(lambda: events.forget(-1)) == 1


async def test_the_backlog_is_counted(database: SQLiteDatabase) -> None:
    await enter_webhook(database)
    assert await database.read(events.backlog()) == Backlog(0, None, 0)
    await tell(database, happened(), happened())
    [(oldest,)] = await database.read(select("SELECT min(occurred_at) FROM deliveries"))
    assert await database.read(events.backlog()) == Backlog(2, oldest, 0)  # type: ignore[arg-type]


async def test_two_processes_never_claim_the_same(database: SQLiteDatabase, database_file: object) -> None:
    await enter_webhook(database)
    for number in range(40):
        await tell(database, happened(tag=str(number)), name=RepositoryName(f"app/{number}"))
    rounds = await asyncio.gather(*(claimed(database, limit=7) for _ in range(8)))
    numbers = [delivery.id for found in rounds for delivery in found]
    assert sorted(numbers) == sorted(set(numbers))
    assert len(numbers) == 40


async def test_a_webhook_goes_with_everything_that_waits_for_it(database: SQLiteDatabase) -> None:
    hook = await enter_webhook(database)
    await tell(database, happened())
    await database.write(lambda: webhooks.delete(hook.id))
    assert await count(database, "deliveries") == 0
    assert await database.read(webhooks.find("hook")) is None


async def test_webhooks_are_found_by_name_and_by_page(database: SQLiteDatabase) -> None:
    for name in ("c", "a", "b"):
        await enter_webhook(database, name, Action.PUSH, Action.EXPIRE, prefix="x/")
    assert [hook.name for hook in await database.read(webhooks.page("a", 5))] == ["b", "c"]
    found = await database.read(webhooks.find("b"))
    assert found is not None
    assert (found.actions, found.prefix, found.sealed_secret, found.enabled) == (
        [Action.PUSH, Action.EXPIRE], "x/", b"sealed", True,
    )  # fmt: skip
    await database.write(lambda: webhooks.set_secret(found.id, b"other"))
    assert (await database.read(webhooks.by_id(found.id)) or found).sealed_secret == b"other"
    again = await database.write(lambda: webhooks.create(found))
    assert again is None


@pytest.mark.parametrize("sql", [events.CLAIM, events.POSTPONE_LATER, events.REVIVE, events.DEAD, events.SETTLE])
async def test_no_statement_reads_all_that_waits(database_file: Path, sql: str) -> None:
    database = SQLiteDatabase(database_file)
    names = ("limit", "lease", "patience", "webhook", "repository", "id", "delay", "last")
    steps = await database.read(select(f"EXPLAIN QUERY PLAN {sql}", **dict.fromkeys(names, 1)))
    await database.close()
    scans = [str(step[3]) for step in steps if str(step[3]).startswith("SCAN")]
    assert set(scans) <= {"SCAN due"}  # the few hundred that the window inside it gives
    assert any("SEARCH" in str(step[3]) for step in steps)
