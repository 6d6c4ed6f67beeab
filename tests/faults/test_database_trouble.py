"""A metadata database whose disk fails in the middle: refused plainly, and the next write finds it working again."""

import asyncio
import sqlite3
import threading
from pathlib import Path
from typing import Any

import pytest

from estiva.errors import Unavailable
from estiva.reference import RepositoryName
from storage.metadata import repositories, sqlite
from storage.metadata.database import Statement, Work
from storage.metadata.migrations import migrate
from storage.metadata.sqlite import SQLiteDatabase

PATIENCE = 60


class Failing:
    """A connection that answers some statements with an error of the disk; `spared` transactions go well before."""

    def __init__(self, connection: sqlite3.Connection, *statements: str, spared: int = 0) -> None:
        self.connection = connection
        self.statements = statements
        self.spared = spared

    def __getattr__(self, name: str) -> Any:
        return getattr(self.connection, name)

    def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
        if self.spared:
            self.spared -= sql == "COMMIT"
        elif sql in self.statements:
            raise sqlite3.OperationalError("disk I/O error")
        return self.connection.execute(sql, *parameters)


@pytest.fixture
def database(tmp_path: Path) -> SQLiteDatabase:
    migrate(f"sqlite:///{tmp_path / 'estiva.db'}")
    return SQLiteDatabase(tmp_path / "estiva.db")


async def enter(database: SQLiteDatabase, name: str) -> int:
    return await asyncio.wait_for(database.write(lambda: repositories.ensure(RepositoryName(name))), PATIENCE)


def refuse() -> Work[None]:
    yield Statement("SELECT 1")
    raise LookupError


async def enter_together(
    database: SQLiteDatabase, *entered: str, refused: bool = False
) -> list[int | BaseException | None]:
    """What comes of each when all are committed together: the writer is kept at work until all of them wait.

    With `refused`, one more comes last that is refused.
    """
    begun, go_on = threading.Event(), threading.Event()

    def hold() -> Work[None]:
        yield Statement("SELECT 1")
        begun.set()
        assert go_on.wait(20)

    held = asyncio.create_task(database.write(hold))
    assert await asyncio.to_thread(begun.wait, 20)
    waiting: list[asyncio.Task[int] | asyncio.Task[None]] = [
        asyncio.create_task(enter(database, name)) for name in entered
    ]
    if refused:
        waiting.append(asyncio.create_task(database.write(refuse)))
    async with asyncio.timeout(20):
        while len(database._queue) < len(waiting):
            await asyncio.sleep(0)
    go_on.set()
    await held
    return await asyncio.gather(*waiting, return_exceptions=True)


async def names(database: SQLiteDatabase) -> list[str]:
    return await database.read(repositories.page("", 100))


@pytest.mark.parametrize("refused", [False, True], ids=["none of the works is refused", "one of the works is refused"])
@pytest.mark.parametrize("failing", [("COMMIT",), ("COMMIT", "ROLLBACK"), ("BEGIN IMMEDIATE",)], ids=" and ".join)
async def test_a_write_that_fails_is_refused_and_the_next_one_works(
    database: SQLiteDatabase, failing: tuple[str, ...], refused: bool
) -> None:
    await assert_all_fail_and_the_next_works(database, failing, refused)


@pytest.mark.parametrize(
    "failing", [("ROLLBACK",), ("SAVEPOINT work",), ("RELEASE work",), ("ROLLBACK TO work",)], ids=" and ".join
)
async def test_a_write_fails_too_that_would_have_to_run_again_without_one_that_is_refused(
    database: SQLiteDatabase, failing: tuple[str, ...]
) -> None:
    await assert_all_fail_and_the_next_works(database, failing, refused=True)


async def test_a_work_that_is_refused_takes_nobody_with_it(database: SQLiteDatabase) -> None:
    told = await enter_together(database, "one", "two", refused=True)
    assert [type(outcome) for outcome in told] == [int, int, LookupError]
    assert await names(database) == ["one", "two"]
    await database.close()


async def assert_all_fail_and_the_next_works(database: SQLiteDatabase, failing: tuple[str, ...], refused: bool) -> None:
    assert await enter(database, "before") == 1
    database._writer = Failing(database._writer, *failing, spared=1)  # type: ignore[assignment]
    lost = await enter_together(database, "lost", "too", refused=refused)
    assert {type(outcome) for outcome in lost} == {Unavailable}
    if isinstance(database._writer, Failing):
        database._writer.statements = ()
    await enter(database, "after")
    assert await names(database) == ["after", "before"]
    await database.close()


async def test_a_disk_that_stays_bad_is_told_every_time_and_never_hangs(
    database: SQLiteDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: Path) -> sqlite3.Connection:
        raise sqlite3.OperationalError("unable to open database file")

    database._writer = Failing(database._writer, "COMMIT", "ROLLBACK")  # type: ignore[assignment]
    with pytest.raises(Unavailable):
        await enter(database, "lost")
    with monkeypatch.context() as patched:
        patched.setattr(sqlite, "connect", refuse)
        for _ in range(3):
            with pytest.raises(Unavailable):
                await enter(database, "lost")
    await enter(database, "after")
    assert await names(database) == ["after"]
    await database.close()


async def test_a_work_that_asks_for_what_no_database_takes_fails_alone(database: SQLiteDatabase) -> None:
    def odd() -> Work[None]:
        yield Statement("SELECT :value", {"value": object()})

    def half_a_character() -> Work[None]:
        yield Statement("SELECT :value", {"value": "\ud800"})

    for work in (odd, half_a_character):
        with pytest.raises(Exception):  # noqa: B017, PT011 - of whatever kind: it comes back to who asked
            await asyncio.wait_for(database.write(work), PATIENCE)
    await enter(database, "after")
    assert await names(database) == ["after"]
    await database.close()
