"""The audit trail is asked by who, what, whom and when, and forgets only what it is told to."""

import pytest

from storage.metadata import audit
from storage.metadata.audit import Actor, AuditRecord, Wanted
from storage.metadata.database import Database
from storage.metadata.sqlite import SQLiteDatabase
from tests.fixtures.facts import select

ALICE, BOB = Actor("user/alice", "192.0.2.1"), Actor("robot/bob")
NEWEST = 1 << 62


@pytest.fixture
async def trail(database: SQLiteDatabase) -> SQLiteDatabase:
    """Ten records, of the times 1 to 10."""
    for number in range(1, 11):
        actor, action = (ALICE, "DeleteImage") if number % 2 else (BOB, "PutPolicy")
        target = f"repository/{'one' if number % 3 else 'two'}"
        await database.write(lambda a=actor, b=action, c=target: audit.record(a, b, c, number=1))  # type: ignore[misc]
    await database.write(lambda: select("UPDATE audit SET at = id RETURNING id"))
    return database


async def asked(database: Database, before: int = NEWEST, limit: int = 100, **wanted: object) -> list[int]:
    records = await database.read(audit.query(before, limit, Wanted(**wanted)))  # type: ignore[arg-type]
    return [record.id for record in records]


async def test_everything_comes_the_latest_first_a_page_at_a_time(trail: SQLiteDatabase) -> None:
    assert await asked(trail) == list(range(10, 0, -1))
    assert await asked(trail, limit=3) == [10, 9, 8]
    assert await asked(trail, before=8, limit=3) == [7, 6, 5]


async def test_each_question_narrows_the_answer_and_all_of_them_together(trail: SQLiteDatabase) -> None:
    assert await asked(trail, actor="user/alice") == [9, 7, 5, 3, 1]
    assert await asked(trail, action="PutPolicy") == [10, 8, 6, 4, 2]
    assert await asked(trail, target="repository/two") == [9, 6, 3]
    assert await asked(trail, since=4.0, until=7.0) == [6, 5, 4]
    assert await asked(trail, actor="user/alice", target="repository/two", since=4, before=9) == []
    assert await asked(trail, actor="user/alice", target="repository/two", since=4) == [9]
    assert await asked(trail, actor="nobody") == []


async def test_a_record_has_everything_that_was_written(trail: SQLiteDatabase) -> None:
    [record] = await trail.read(audit.query(2, 1, Wanted()))
    assert record == AuditRecord(1, 1.0, "user/alice", "192.0.2.1", "DeleteImage", "repository/one", {"number": 1})


async def test_what_is_old_enough_is_forgotten_some_at_a_time(trail: SQLiteDatabase) -> None:
    [(now,)] = await trail.read(select("SELECT :now"))
    age = float(str(now)) - 7.5
    assert await trail.write(lambda: audit.forget(age, 4)) == 4
    assert await asked(trail) == [10, 9, 8, 7, 6, 5]
    assert await trail.write(lambda: audit.forget(age, 4)) == 3
    assert await trail.write(lambda: audit.forget(age, 4)) == 0
    assert await asked(trail) == [10, 9, 8]
