"""Which commits are news: every one of another process, and those of this process that say so."""

import sqlite3
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from storage.metadata import access, quotas, repositories
from storage.metadata.database import ConstraintError, Statement, Work
from storage.metadata.sqlite import SQLiteDatabase, connect
from tests.fixtures.facts import NAME, OTHER, enter_blob


@pytest.fixture
async def here(database_file: Path) -> AsyncIterator[SQLiteDatabase]:
    database = SQLiteDatabase(database_file)
    yield database
    await database.close()


@pytest.fixture
async def there(database_file: Path) -> AsyncIterator[SQLiteDatabase]:
    database = SQLiteDatabase(database_file)
    yield database
    await database.close()


def refused() -> Work[None]:
    yield from repositories.ensure(OTHER)
    yield Statement("INSERT INTO tags (repository_id, name, digest, tagged_at) VALUES (99, 'a', 'b', 0)")


def nothing() -> Work[None]:
    yield Statement("DELETE FROM tags WHERE name = 'none'")


async def test_a_commit_of_content_is_news_to_others_alone(here: SQLiteDatabase, there: SQLiteDatabase) -> None:
    mine, theirs, version = here.news(), there.news(), here.version()
    for content in (b"one", b"two", b"three"):
        await enter_blob(here, content)
        assert here.news() == mine
        assert there.news() != theirs
        theirs = there.news()
        assert here.version() != version
        version = here.version()
    assert (here.news(), there.news()) == (mine, theirs)


async def test_many_commits_between_two_looks_are_no_news_either(here: SQLiteDatabase) -> None:
    await enter_blob(here, b"first")
    mine = here.news()
    for number in range(50):
        await enter_blob(here, b"%d" % number)
    assert here.news() == mine


async def test_more_commits_than_are_kept_count_apart_are_news(
    here: SQLiteDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    await enter_blob(here, b"first")
    mine = here.news()
    monkeypatch.setattr("storage.metadata.news._MOST_AT_ONCE", 3)
    for number in range(4):
        await enter_blob(here, b"%d" % number)
    assert here.news() != mine


@pytest.mark.parametrize("work", [access.advance, lambda: quotas.put(NAME, 5), lambda: repositories.delete(OTHER)])
async def test_what_others_keep_facts_of_is_news_to_all(
    here: SQLiteDatabase, there: SQLiteDatabase, work: object
) -> None:
    assert callable(work)
    for name in (NAME, OTHER):
        await here.write(lambda name=name: repositories.ensure(name))  # type: ignore[misc]
    mine, theirs = here.news(), there.news()
    await here.write(work, serializable=False)
    assert here.news() != mine
    assert there.news() != theirs


async def test_news_between_commits_of_our_own_is_not_missed(here: SQLiteDatabase, there: SQLiteDatabase) -> None:
    await enter_blob(here, b"first")
    mine = here.news()
    await enter_blob(here, b"second")
    await there.write(access.advance)
    await enter_blob(here, b"third")
    assert here.news() != mine


async def test_what_was_refused_leaves_nothing_that_somebody_elses_commit_could_be_taken_for(
    here: SQLiteDatabase, there: SQLiteDatabase
) -> None:
    await enter_blob(here, b"first")
    for _ in range(3):
        mine = here.news()
        with pytest.raises(ConstraintError):
            await here.write(refused)
        await there.write(access.advance)
        assert here.news() != mine


async def test_a_commit_that_wrote_nothing_is_not_expected(here: SQLiteDatabase, there: SQLiteDatabase) -> None:
    await enter_blob(here, b"first")
    mine = here.news()
    await here.write(nothing)
    assert here.news() == mine
    await there.write(access.advance)
    assert here.news() != mine


async def test_a_commit_that_failed_is_not_expected(
    here: SQLiteDatabase, there: SQLiteDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    await enter_blob(here, b"first")
    mine = here.news()
    writer = here._writer

    class Failing:
        def __getattr__(self, name: str) -> object:
            return getattr(writer, name)

        def execute(self, sql: str, values: Mapping[str, Any] = MappingProxyType({})) -> object:
            if sql == "COMMIT":
                raise sqlite3.OperationalError("disk I/O error")
            return writer.execute(sql, dict(values))

    monkeypatch.setattr(here, "_writer", Failing())
    with pytest.raises(Exception, match="database"):
        await enter_blob(here, b"second")
    monkeypatch.setattr(here, "_writer", writer)
    await there.write(access.advance)
    assert here.news() != mine


async def test_a_plain_connection_beside_is_somebody_else(here: SQLiteDatabase, database_file: Path) -> None:
    await enter_blob(here, b"first")
    mine = here.news()
    beside = connect(database_file)
    beside.execute("UPDATE access_epoch SET epoch = epoch + 1")
    beside.close()
    assert here.news() != mine


async def test_where_shared_memory_is_not_found_every_commit_is_news(
    database_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("storage.metadata.sqlite.find_header", lambda path: None)
    database = SQLiteDatabase(database_file)
    try:
        seen = {database.news()}
        for content in (b"one", b"two"):
            await enter_blob(database, content)
            seen.add(database.news())
        assert len(seen) == 3
    finally:
        await database.close()
