"""What only SQLite has: its settings, its file, its ways to fail. The rest is `tests/contracts/test_database.py`."""

import asyncio
import sqlite3
import struct
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from estiva.errors import StorageFull, Unavailable
from estiva.reference import RepositoryName
from storage.metadata import repositories, sqlite
from storage.metadata.database import Statement, Work
from storage.metadata.migrations import migrate
from storage.metadata.sqlite import LARGEST_GROUP, SQLiteDatabase
from tests.fixtures.facts import count, select

FULL, NORMAL = 2, 1


@pytest.fixture
async def database(database_file: Path) -> AsyncIterator[SQLiteDatabase]:
    database = SQLiteDatabase(database_file)
    yield database
    await database.close()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for a lock for long."""
    monkeypatch.setattr(sqlite, "BUSY_TIMEOUT", 0.05)


@pytest.fixture
def outsider(database_file: Path) -> Iterator[sqlite3.Connection]:
    """A connection of somebody else."""
    with closing(sqlite3.connect(database_file, isolation_level=None)) as connection:
        yield connection


def ensure(name: str) -> Work[int]:
    return repositories.ensure(RepositoryName(name))


def commits(database_file: Path) -> int:
    """How many transactions the write-ahead log holds: frames that end one tell the database's size."""
    log = Path(f"{database_file}-wal").read_bytes()
    page_size = struct.unpack(">I", log[8:12])[0]
    sizes = (struct.unpack(">I", log[at + 4 : at + 8])[0] for at in range(32, len(log), 24 + page_size))
    return sum(1 for size in sizes if size)


@pytest.mark.parametrize(
    ("pragma", "value"), [("foreign_keys", 1), ("journal_mode", "wal"), ("synchronous", FULL), ("temp_store", 2)]
)
async def test_readers_and_the_writer_have_the_settings_that_everything_relies_on(
    database: SQLiteDatabase, pragma: str, value: object
) -> None:
    assert await database.read(select(f"PRAGMA {pragma}")) == [(value,)]
    assert await database.write(lambda: select(f"PRAGMA {pragma}")) == [(value,)]


async def test_a_commit_waits_for_the_disk_unless_it_need_not_be_durable(database: SQLiteDatabase) -> None:
    durable = [
        await database.write(lambda: select("PRAGMA synchronous"), durable=wanted)
        for wanted in (True, False, False, True, True)
    ]
    assert durable == [[(FULL,)], [(NORMAL,)], [(NORMAL,)], [(FULL,)], [(FULL,)]]


async def test_one_durable_work_makes_the_commit_of_its_whole_group_durable(database: SQLiteDatabase) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def hold() -> Work[None]:
        yield Statement("SELECT 1")
        begun.set()
        assert go_on.wait(20)

    held = asyncio.create_task(database.write(hold, durable=False))
    assert await asyncio.to_thread(begun.wait, 20)
    group = [
        asyncio.create_task(database.write(lambda: select("PRAGMA synchronous"), durable=number == 7))
        for number in range(10)
    ]
    await asyncio.sleep(0)
    go_on.set()
    assert await asyncio.gather(*group) == [[(FULL,)]] * 10
    await held


async def test_works_that_wait_for_the_disk_share_the_next_commit(
    database: SQLiteDatabase, database_file: Path
) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def hold() -> Work[None]:
        yield from ensure("held")
        begun.set()
        assert go_on.wait(20)

    held = asyncio.create_task(database.write(hold))
    assert await asyncio.to_thread(begun.wait, 20)
    waiting = [
        asyncio.create_task(database.write(lambda name=f"r{number}": ensure(name)))  # type: ignore[misc]
        for number in range(2 * LARGEST_GROUP)
    ]
    await asyncio.sleep(0)
    go_on.set()
    await asyncio.gather(held, *waiting)
    assert commits(database_file) == 1 + 2
    assert await count(database, "repositories") == 2 * LARGEST_GROUP + 1


async def test_a_full_disk_is_told_as_such_and_ends_when_there_is_room_again(database: SQLiteDatabase) -> None:
    [(pages,)] = await database.write(lambda: select("PRAGMA page_count"))
    assert await database.write(lambda: select(f"PRAGMA max_page_count={pages}")) == [(pages,)]

    def large() -> Work[None]:
        yield Statement("INSERT INTO repositories (name, created_at) VALUES (:name, :now)", {"name": "x" * 100_000})

    with pytest.raises(StorageFull):
        await database.write(large)
    assert await count(database, "repositories") == 0
    await database.write(lambda: select("PRAGMA max_page_count=1000000"))
    await database.write(large)
    assert await count(database, "repositories") == 1


async def test_on_a_full_disk_nothing_of_the_whole_group_is_kept_and_all_are_told(database: SQLiteDatabase) -> None:
    [(pages,)] = await database.write(lambda: select("PRAGMA page_count"))
    await database.write(lambda: select(f"PRAGMA max_page_count={pages}"))
    begun, go_on = threading.Event(), threading.Event()

    def hold() -> Work[None]:
        yield Statement("SELECT 1")
        begun.set()
        assert go_on.wait(20)

    def large() -> Work[None]:
        yield Statement("INSERT INTO repositories (name, created_at) VALUES (:name, :now)", {"name": "x" * 100_000})

    held = asyncio.create_task(database.write(hold))
    assert await asyncio.to_thread(begun.wait, 20)
    group = [asyncio.create_task(database.write(work)) for work in (lambda: ensure("small"), large)]
    await asyncio.sleep(0)
    go_on.set()
    outcomes = await asyncio.gather(*group, return_exceptions=True)
    await held
    assert [type(outcome) for outcome in outcomes] == [StorageFull, StorageFull]
    assert await count(database, "repositories") == 0


@pytest.mark.usefixtures("impatient")
async def test_a_database_that_somebody_else_has_locked_is_unavailable_for_writing_only(
    database: SQLiteDatabase, outsider: sqlite3.Connection
) -> None:
    outsider.execute("BEGIN IMMEDIATE")
    outsider.execute("INSERT INTO repositories (name, created_at) VALUES ('theirs', 0)")
    with pytest.raises(Unavailable) as refused:
        await database.write(lambda: ensure("ours"))
    assert refused.value.headers == {"Retry-After": "2"}
    assert await count(database, "repositories") == 0
    outsider.execute("COMMIT")
    await database.write(lambda: ensure("ours"))
    assert await count(database, "repositories") == 2


async def test_a_short_lock_is_waited_for(database: SQLiteDatabase, outsider: sqlite3.Connection) -> None:
    outsider.execute("BEGIN IMMEDIATE")
    waiting = asyncio.create_task(database.write(lambda: ensure("ours")))
    await asyncio.sleep(0.2)
    assert not waiting.done()
    outsider.execute("COMMIT")
    assert await waiting == 1


async def test_damage_to_the_file_is_unavailable(database: SQLiteDatabase, database_file: Path) -> None:
    roots = await database.read(select("SELECT rootpage FROM sqlite_master WHERE tbl_name = 'repositories'"))
    [(page_size,)] = await database.read(select("PRAGMA page_size"))
    assert isinstance(page_size, int)
    with database_file.open("r+b") as file:
        for (page,) in roots:
            assert isinstance(page, int)
            file.seek((page - 1) * page_size)
            file.write(b"\xff" * page_size)
    with pytest.raises(Unavailable):
        await database.read(repositories.page("", 1))
    with pytest.raises(Unavailable):
        await database.write(lambda: ensure("a"))


def test_what_was_committed_survives_the_death_of_the_process(database_file: Path) -> None:
    script = """
import asyncio, os, signal, sys
from pathlib import Path
from estiva.reference import RepositoryName
from storage.metadata import repositories
from storage.metadata.sqlite import SQLiteDatabase

async def commit():
    database = SQLiteDatabase(Path(sys.argv[1]))
    await database.write(lambda: repositories.ensure(RepositoryName("durable")))
    await database.write(lambda: repositories.ensure(RepositoryName("other")), durable=False)
    os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(commit())
"""
    ended = subprocess.run([sys.executable, "-c", script, str(database_file)], timeout=60, check=False)
    assert ended.returncode == -9
    with closing(sqlite3.connect(database_file)) as connection:
        assert connection.execute("SELECT name FROM repositories ORDER BY name").fetchall() == [
            ("durable",),
            ("other",),
        ]


def test_migrating_again_changes_nothing(database_file: Path) -> None:
    with closing(sqlite3.connect(database_file)) as connection:
        before = list(connection.iterdump())
        migrate(f"sqlite:///{database_file}")
        assert list(connection.iterdump()) == before


def test_every_foreign_key_is_looked_up_by_an_index(database_file: Path) -> None:
    """Else deleting one row would read all rows that might refer to it."""
    with closing(sqlite3.connect(database_file)) as connection:
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        checked = 0
        for table in tables:
            keys: dict[int, list[str]] = {}
            for number, _, _, column, *_ in connection.execute(f"PRAGMA foreign_key_list({table})"):
                keys.setdefault(number, []).append(column)
            indexed = [
                [column for _, _, column in connection.execute(f"PRAGMA index_info({index})")]
                for _, index, *_ in connection.execute(f"PRAGMA index_list({table})").fetchall()
            ]
            # A single integer primary key is the table's own order, and needs no index.
            indexed.append(
                [column for _, column, *_, place in connection.execute(f"PRAGMA table_info({table})") if place]
            )
            for columns in keys.values():
                checked += 1
                assert any(set(index[: len(columns)]) == set(columns) for index in indexed), (table, columns)
        assert checked == 29


def test_nothing_is_called_back_when_the_loop_that_asked_is_gone(database_file: Path) -> None:
    hold = threading.Event()

    def slow() -> Work[int]:
        assert hold.wait(20)
        return (yield from ensure("late"))

    async def ask_and_leave() -> SQLiteDatabase:
        database = SQLiteDatabase(database_file)
        task = asyncio.create_task(database.write(slow))
        await asyncio.sleep(0.05)
        task.cancel()
        return database

    database = asyncio.run(ask_and_leave())
    hold.set()
    asyncio.run(database.close())
    with closing(sqlite3.connect(database_file)) as connection:
        assert connection.execute("SELECT name FROM repositories").fetchall() == [("late",)]


async def test_the_version_is_held_for_a_block_and_looked_at_again_after_it(
    database_file: Path, outsider: sqlite3.Connection
) -> None:
    database = SQLiteDatabase(database_file)
    before = database.version()
    with database.holding_version():
        outsider.execute("INSERT INTO repositories (name, created_at) VALUES ('a', 0)")
        assert database.version() == before
    assert database.version() != before
    await database.close()
