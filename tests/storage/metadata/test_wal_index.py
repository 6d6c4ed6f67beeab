"""A version that is read in memory must tell of every commit that `PRAGMA data_version` tells of, and not seldom."""

import ctypes
import random
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from estiva.errors import Unavailable
from estiva.reference import RepositoryName
from storage.metadata import repositories, sqlite, wal_index
from storage.metadata.sqlite import SQLiteDatabase
from storage.metadata.wal_index import WalIndexHeader, find_header
from tests.fixtures.facts import count

INSERT = "INSERT INTO repositories (name, created_at) VALUES ('r' || hex(randomblob(8)), 0)"
DELETE = "DELETE FROM repositories WHERE id = (SELECT min(id) FROM repositories)"
RENAME = "UPDATE repositories SET created_at = created_at + 1 WHERE id = (SELECT max(id) FROM repositories)"
MANY = """
WITH n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000)
INSERT INTO repositories (name, created_at) SELECT 'r' || hex(randomblob(8)), 0 FROM n
"""
CHECKPOINTS = tuple(f"PRAGMA wal_checkpoint({how})" for how in ("PASSIVE", "FULL", "RESTART", "TRUNCATE"))
COMMITTER = f"""
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=90)
connection.execute("PRAGMA synchronous=OFF")
for number, line in enumerate(sys.stdin):
    if number % 7 == 6:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    connection.execute({INSERT!r})
    print("committed", flush=True)
"""


@pytest.fixture
async def database(database_file: Path) -> AsyncIterator[SQLiteDatabase]:
    database = SQLiteDatabase(database_file)
    yield database
    await database.close()


@pytest.fixture
def header(database: SQLiteDatabase, database_file: Path) -> WalIndexHeader:
    found = find_header(database_file)
    assert found is not None, "the header is not to be found on this system: it would always be PRAGMA that is asked"
    return found


@pytest.fixture
async def header_bytes(header: WalIndexHeader) -> bytearray:
    """The header as it is, in memory that nobody else looks at."""
    return bytearray(header._copies.raw)


@pytest.fixture
def outsiders(database_file: Path) -> Iterator[tuple[sqlite3.Connection, sqlite3.Connection]]:
    """Two connections of somebody else; what one commits, SQLite tells the other."""
    with closing(_connect(database_file)) as one, closing(_connect(database_file)) as two:
        yield one, two


def _connect(database_file: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(database_file, isolation_level=None, timeout=90)
    connection.execute("PRAGMA journal_mode=WAL").fetchall()
    connection.execute("PRAGMA synchronous=OFF").fetchall()  # what others see of a commit does not depend on the disk
    connection.execute("PRAGMA cache_size=20").fetchall()  # so that large transactions spill into the log early
    return connection


def pragma(connection: sqlite3.Connection) -> int:
    number: int = connection.execute("PRAGMA data_version").fetchone()[0]
    return number


def _roll_back(connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN IMMEDIATE")
    connection.execute(MANY)
    connection.execute("ROLLBACK")


STEPS: tuple[Callable[[sqlite3.Connection], object], ...] = (
    *(lambda on, sql=sql: on.execute(sql).fetchall() for sql in (INSERT, DELETE, RENAME, *CHECKPOINTS, "VACUUM")),
    *(lambda on, sql=sql: on.execute(sql).fetchall() for sql in (INSERT, DELETE, MANY, "PRAGMA user_version=7")),
    _roll_back,
)


async def test_it_is_found_and_asked_for_every_database(database: SQLiteDatabase, header: WalIndexHeader) -> None:
    assert header.is_known()
    asked: list[str] = []
    database._reader.set_trace_callback(asked.append)
    database.version()
    assert asked == []


@pytest.mark.parametrize("seed", range(4))
async def test_it_has_changed_wherever_sqlite_says_that_anything_was_committed(
    database: SQLiteDatabase, outsiders: tuple[sqlite3.Connection, sqlite3.Connection], seed: int
) -> None:
    chance = random.Random(seed)
    committing, told = outsiders
    changes = 0
    for _ in range(40):
        version, by_sqlite = database.version(), pragma(told)
        chance.choice(STEPS)(committing)
        if pragma(told) != by_sqlite:
            assert database.version() != version
            changes += 1
    assert changes > 10


async def test_a_log_that_begins_anew_and_grows_as_long_as_before_is_not_taken_for_the_old_one(
    database: SQLiteDatabase, outsiders: tuple[sqlite3.Connection, sqlite3.Connection]
) -> None:
    committing, _ = outsiders
    seen = set()
    for number in range(40):
        committing.execute(CHECKPOINTS[2 + number % 2]).fetchall()
        committing.execute(RENAME if number else INSERT)
        seen.add(database.version())
    assert len(seen) == 40


async def test_it_stays_as_it_is_while_others_read_or_give_up(
    database: SQLiteDatabase, outsiders: tuple[sqlite3.Connection, sqlite3.Connection]
) -> None:
    committing, _ = outsiders
    committing.execute(INSERT)
    version = database.version()
    _roll_back(committing)
    committing.execute("SELECT count(*) FROM repositories").fetchall()
    assert database.version() == version


async def test_what_another_process_was_promised_is_seen_at_once(database: SQLiteDatabase, database_file: Path) -> None:
    command = [sys.executable, "-c", COMMITTER, str(database_file)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for number in range(100):
            version = database.version()
            print("go", file=process.stdin, flush=True)
            assert process.stdout.readline() == "committed\n"
            assert database.version() != version
            assert await count(database, "repositories") == number + 1
        process.stdin.close()
        assert process.wait(90) == 0


async def test_a_process_that_is_killed_while_it_commits_leaves_nothing_unseen(
    database: SQLiteDatabase, database_file: Path
) -> None:
    known = 0
    for _ in range(3):
        command = [sys.executable, "-c", COMMITTER, str(database_file)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            version = database.version()
            process.stdin.write("go\n" * 500)
            process.stdin.flush()
            assert process.stdout.readline() == "committed\n"
            assert database.version() != version
            process.kill()
        version = database.version()
        now = await count(database, "repositories")
        assert now > known
        known = now
        await database.write(partial(repositories.ensure, RepositoryName(f"after/{known}")))
        assert database.version() != version
        known += 1


async def test_a_closed_database_does_not_look_at_memory_that_is_gone(database: SQLiteDatabase) -> None:
    await database.close()
    with pytest.raises(Unavailable):
        database.version()


async def test_one_of_several_that_are_open_may_be_closed(database: SQLiteDatabase, database_file: Path) -> None:
    other = SQLiteDatabase(database_file)
    await other.close()
    version = database.version()
    await database.write(lambda: repositories.ensure(RepositoryName("a")))
    assert database.version() != version


@pytest.mark.parametrize("maps", ["", "absent", "another"])
async def test_where_it_is_not_to_be_found_sqlite_is_asked(
    database_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, maps: str
) -> None:
    listed = tmp_path / "maps"
    if maps != "absent":
        listed.write_text(f"7f00-7f80 rw-s 00000000 fe:00 1 {tmp_path}/another.db-shm\n" if maps else "")
    monkeypatch.setattr(wal_index, "_MAPS", listed)
    database = sqlite.SQLiteDatabase(database_file)
    asked: list[str] = []
    database._reader.set_trace_callback(asked.append)
    with closing(_connect(database_file)) as outsider:
        version = database.version()
        assert database.version() == version
        outsider.execute(INSERT)
        assert database.version() != version
    assert asked == ["PRAGMA data_version"] * 3
    await database.close()


def test_two_copies_that_differ_are_never_the_same_again(header_bytes: bytearray) -> None:
    header = WalIndexHeader(ctypes.addressof((ctypes.c_char * 96).from_buffer(header_bytes)))
    settled = header.number()
    assert header.number() == settled
    header_bytes[48 + 8] += 1  # a commit writes the second copy first
    assert not header.is_known()
    torn = [header.number() for _ in range(3)]
    header_bytes[8] += 1
    assert len({settled, *torn, header.number()}) == 5
    assert header.number() == header.number()


@pytest.mark.parametrize("at", [0, 12])
def test_a_header_of_another_kind_is_left_alone(header_bytes: bytearray, at: int) -> None:
    header_bytes[at] ^= 1
    header_bytes[48 + at] ^= 1
    assert not WalIndexHeader(ctypes.addressof((ctypes.c_char * 96).from_buffer(header_bytes))).is_known()
