"""Who commits: the writer's thread, or one that has stored content. Nothing is lost between them."""

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from estiva.errors import Unavailable
from estiva.reference import RepositoryName
from storage.metadata import repositories
from storage.metadata.database import ConstraintError, Statement, Work
from storage.metadata.sqlite import GROUPS_BESIDE, LARGEST_GROUP, SQLiteDatabase
from tests.fixtures.facts import select

LONG = 90
WRITER = "sqlite-writer"
ROUNDS = 30
TASKS = 30
CLOSED_AFTER = 100


class Refused(Exception):
    """What some of the works raise."""


@pytest.fixture
async def database(database_file: Path) -> AsyncIterator[SQLiteDatabase]:
    database = SQLiteDatabase(database_file)
    yield database
    await database.close()


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(6, thread_name_prefix="storing") as threads:
        yield threads


class Held:
    """A work that keeps whoever does it until it is let go; may be done only once."""

    def __init__(self) -> None:
        self._begun, self._go_on = threading.Event(), threading.Event()

    def work(self) -> Work[str]:
        yield Statement("SELECT 1")
        self._begun.set()
        assert self._go_on.wait(LONG)
        return threading.current_thread().name

    async def begun(self) -> None:
        assert await asyncio.to_thread(self._begun.wait, LONG)

    def let_go(self) -> None:
        self._go_on.set()


def thread_name() -> Work[str]:
    yield Statement("SELECT 1")
    return threading.current_thread().name


def nothing() -> None:
    """What there is to store."""


def ensure(*names: str) -> Work[str]:
    for name in names:
        yield Statement("INSERT INTO repositories (name, created_at) VALUES (:name, :now)", {"name": name})
    return names[0]


def refuse(name: str) -> Work[str]:
    yield from repositories.ensure(RepositoryName(name))
    raise Refused


def fail() -> None:
    raise Refused


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(LONG):
        while not condition():
            await asyncio.sleep(0.001)


async def test_who_has_stored_content_commits_it_where_nobody_is_writing(
    database: SQLiteDatabase, threads: ThreadPoolExecutor
) -> None:
    assert (await database.write_after(nothing, threads, thread_name)).startswith("storing")


async def test_the_event_loop_never_commits(database: SQLiteDatabase) -> None:
    assert await database.write(thread_name) == WRITER


async def test_who_has_stored_content_waits_for_nobody_who_is_writing(database: SQLiteDatabase) -> None:
    held = Held()
    writing = asyncio.create_task(database.write(held.work))
    await held.begun()
    with ThreadPoolExecutor(1) as threads:
        storing = [asyncio.create_task(database.write_after(nothing, threads, thread_name)) for _ in range(3)]
        await until(lambda: len(database._queue) == 3)
        held.let_go()
        assert await asyncio.gather(writing, *storing) == [WRITER] * 4


async def test_others_work_does_not_keep_who_has_stored_content_for_ever(
    database: SQLiteDatabase, threads: ThreadPoolExecutor
) -> None:
    held = Held()
    storing = asyncio.create_task(database.write_after(nothing, threads, held.work))
    await held.begun()
    beside = (GROUPS_BESIDE - 1) * LARGEST_GROUP
    waiting = [asyncio.create_task(database.write(thread_name)) for _ in range(beside + LARGEST_GROUP + 1)]
    await asyncio.sleep(0)
    held.let_go()
    name = await storing
    assert await asyncio.gather(*waiting) == [name] * beside + [WRITER] * (LARGEST_GROUP + 1)


async def test_closing_finishes_what_waits_for_who_has_stored_content(
    database_file: Path, threads: ThreadPoolExecutor
) -> None:
    database, held = SQLiteDatabase(database_file), Held()
    storing = asyncio.create_task(database.write_after(nothing, threads, held.work))
    await held.begun()
    accepted = [asyncio.create_task(database.write(lambda name=f"r{n}": ensure(name))) for n in range(3)]  # type: ignore[misc]
    await asyncio.sleep(0)
    closing = asyncio.create_task(database.close())
    await asyncio.sleep(0)
    with pytest.raises(Unavailable):
        await database.write(lambda: ensure("late"))
    assert not closing.done()
    held.let_go()
    await asyncio.wait_for(asyncio.gather(storing, closing), LONG)
    assert await asyncio.gather(*accepted) == ["r0", "r1", "r2"]
    assert await _names(database_file) == {"r0", "r1", "r2"}


def ask(database: SQLiteDatabase, threads: ThreadPoolExecutor, name: str, kind: int) -> Awaitable[str]:
    """One of the ways to write, the last three of which are refused: see `TOLD`."""
    match kind:
        case 0:
            return database.write(lambda: ensure(name))
        case 1 | 2:
            return database.write_after(nothing, threads, lambda: ensure(name))
        case 3:
            return database.write(lambda: refuse(name))
        case 4:
            return database.write_after(fail, threads, lambda: ensure(name))
        case _:
            return database.write_after(nothing, threads, lambda: ensure(name, name))


TOLD = (str, str, str, Refused, Refused, ConstraintError)
"""What comes of each of the ways, unless the database is closing."""


async def test_of_many_who_write_while_it_closes_each_is_told_what_came_of_it(
    database_file: Path, threads: ThreadPoolExecutor
) -> None:
    database = SQLiteDatabase(database_file)
    acknowledged: set[str] = set()

    async def ask_much(task: int) -> None:
        for number in range(ROUNDS):
            kind = (task + number) % len(TOLD)
            [told] = await asyncio.gather(ask(database, threads, f"r{task}-{number}", kind), return_exceptions=True)
            assert type(told) is TOLD[kind] or (isinstance(told, Unavailable) and database._closing)
            if isinstance(told, str):
                acknowledged.add(told)

    asking = [asyncio.create_task(ask_much(task)) for task in range(TASKS)]
    await until(lambda: len(acknowledged) >= CLOSED_AFTER)
    await asyncio.wait_for(asyncio.gather(database.close(), *asking), LONG)
    assert database._queue == []
    assert await _names(database_file) == acknowledged


async def _names(database_file: Path) -> set[str]:
    database = SQLiteDatabase(database_file)
    try:
        return {str(name) for (name,) in await database.read(select("SELECT name FROM repositories"))}
    finally:
        await database.close()
