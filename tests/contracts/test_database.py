"""What every database promises (`storage.metadata.database`), told to each implementation."""

import asyncio
import contextlib
import gc
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

import asyncpg
import pytest

from estiva.errors import RegistryError, Unavailable
from estiva.reference import RepositoryName
from storage.metadata import repositories
from storage.metadata.database import ConstraintError, Database, Statement, Work
from storage.metadata.opening import open_database
from tests.fixtures.facts import NAME, count, select

Open = Callable[[], Database]

INSERT = "INSERT INTO repositories (name, created_at) VALUES (:name, :now)"
COMMIT_ELSEWHERE = """
import asyncio, sys
from estiva.reference import RepositoryName
from storage.metadata import repositories
from storage.metadata.opening import open_database

async def commit():
    database = open_database(sys.argv[1])
    await database.write(lambda: repositories.ensure(RepositoryName("elsewhere")))
    await database.close()

asyncio.run(commit())
"""


class Refused(Exception):
    """What a piece of work in these tests ends with."""


@pytest.fixture
async def opened(database_url: str) -> AsyncIterator[Open]:
    """Opens the one database anew, as another process would; all are closed in the end."""
    async with contextlib.AsyncExitStack() as ends:

        def once_more() -> Database:
            database = open_database(database_url)
            ends.push_async_callback(database.close)
            return database

        yield once_more


@pytest.fixture
def database(opened: Open) -> Database:
    return opened()


@pytest.fixture
def commit_elsewhere(database_url: str) -> Callable[[], None]:
    """Commits something from another process."""

    def commit() -> None:
        subprocess.run([sys.executable, "-c", COMMIT_ELSEWHERE, database_url], check=True, timeout=60)

    return commit


def insert(*names: str) -> Work[int]:
    """Insert these repositories one by one; how many."""
    for name in names:
        yield Statement(INSERT, {"name": name})
    return len(names)


def names() -> Work[list[str]]:
    """The names of all repositories."""
    return repositories.page("", 10_000)


class Hold(Protocol):
    """Work that does not end before it is told to; it enters a repository named `held`."""

    def work(self) -> Work[None]: ...
    async def begun(self) -> None: ...
    async def let_go(self) -> None: ...


class HeldThread:
    """Holds the thread that does the work."""

    def __init__(self) -> None:
        self._begun = threading.Event()
        self._let_go = threading.Event()

    def work(self) -> Work[None]:
        yield Statement(INSERT, {"name": "held"})
        self._begun.set()
        assert self._let_go.wait(20)

    async def begun(self) -> None:
        assert await asyncio.to_thread(self._begun.wait, 20)

    async def let_go(self) -> None:
        self._let_go.set()


class HeldLock:
    """Holds a lock in the server that the work asks for."""

    def __init__(self, other: "asyncpg.Connection[asyncpg.Record]") -> None:
        self._other = other

    def work(self) -> Work[None]:
        yield Statement(INSERT, {"name": "held"})
        yield Statement("SELECT pg_advisory_xact_lock(1)")

    async def begun(self) -> None:
        async with asyncio.timeout(20):
            while not await self._other.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"):
                await asyncio.sleep(0.01)

    async def let_go(self) -> None:
        await self._other.execute("SELECT pg_advisory_unlock(1)")


@pytest.fixture
async def hold(database_url: str) -> AsyncIterator[Hold]:
    if database_url.startswith("sqlite"):
        yield HeldThread()
        return
    other = await asyncpg.connect(database_url)
    await other.execute("SELECT pg_advisory_lock(1)")
    yield HeldLock(other)
    await other.close()


async def test_work_gets_the_rows_it_asked_for_and_its_result_comes_back(database: Database) -> None:
    def work() -> Work[tuple[object, ...]]:
        first = yield Statement("SELECT :one + 1, 'a'", {"one": 1})
        none = yield Statement("SELECT 1 WHERE 1 = 0")
        return first[0], list(none)

    assert await database.read(work()) == ((2, "a"), [])
    assert await database.write(work) == ((2, "a"), [])


@pytest.mark.parametrize("durable", [True, False])
async def test_what_was_written_is_there_for_everybody(opened: Open, durable: bool) -> None:
    writing, reading = opened(), opened()
    assert await writing.write(lambda: insert("a", "b"), durable=durable) == 2
    assert await writing.read(names()) == ["a", "b"]
    assert await reading.read(names()) == ["a", "b"]


async def test_a_statement_with_many_values_runs_once_for_each(database: Database) -> None:
    def work() -> Work[None]:
        yield Statement(INSERT, many=[{"name": name} for name in ("a", "b", "c")])
        yield Statement(INSERT, many=[])

    await database.write(work)
    assert await database.read(names()) == ["a", "b", "c"]


async def test_now_is_the_databases_clock(database: Database) -> None:
    before = time.time()
    await database.write(lambda: insert("a"))
    [(created,)] = await database.read(select("SELECT created_at FROM repositories"))
    assert isinstance(created, float)
    assert before - 1 <= created <= time.time() + 1


async def test_work_that_raises_leaves_nothing_behind(database: Database) -> None:
    def work() -> Work[None]:
        yield from insert("a", "b")
        raise Refused

    with pytest.raises(Refused):
        await database.write(work)
    assert await database.read(names()) == []


async def test_work_that_can_not_even_begin_is_refused_like_any_other(database: Database) -> None:
    def work() -> Work[None]:
        raise Refused

    with pytest.raises(Refused):
        await database.write(work)
    assert await database.write(lambda: insert("a")) == 1


async def test_a_missing_reference_is_refused_and_nothing_is_kept(database: Database) -> None:
    def work() -> Work[None]:
        yield from insert("a")
        yield Statement(
            "INSERT INTO repository_blobs (repository_id, digest, created_at) "
            "SELECT id, 'sha256:none', :now FROM repositories"
        )

    with pytest.raises(ConstraintError):
        await database.write(work)
    assert await database.read(names()) == []


async def test_a_second_row_where_one_is_allowed_is_refused_and_nothing_is_kept(database: Database) -> None:
    await database.write(lambda: insert("a"))
    with pytest.raises(ConstraintError):
        await database.write(lambda: insert("b", "a"))
    assert await database.read(names()) == ["a"]


async def test_nobody_sees_work_before_all_of_it_is_committed(opened: Open, hold: Hold) -> None:
    writing, reading = opened(), opened()
    held = asyncio.create_task(writing.write(hold.work))
    await hold.begun()
    assert await writing.read(names()) == []
    assert await reading.read(names()) == []
    await hold.let_go()
    await held
    assert await writing.read(names()) == ["held"]
    assert await reading.read(names()) == ["held"]


async def test_work_that_is_refused_does_not_touch_the_work_committed_with_it(database: Database, hold: Hold) -> None:

    def refused() -> Work[None]:
        yield from insert("never")
        raise Refused

    held = asyncio.create_task(database.write(hold.work))
    await hold.begun()
    together = [
        asyncio.create_task(database.write(lambda: insert("a"))),
        asyncio.create_task(database.write(refused)),
        asyncio.create_task(database.write(lambda: insert("b", "held"))),
        asyncio.create_task(database.write(lambda: insert("c"))),
    ]
    await asyncio.sleep(0)
    await hold.let_go()
    first, second, third, fourth = await asyncio.gather(*together, return_exceptions=True)
    await held
    assert (first, fourth) == (1, 1)
    assert isinstance(second, Refused)
    assert isinstance(third, ConstraintError)
    assert await database.read(names()) == ["a", "c", "held"]


async def test_work_sees_what_the_work_before_it_wrote(opened: Open) -> None:
    database, other = opened(), opened()
    await database.write(lambda: insert("before"))
    assert await database.write(names) == ["before"]
    assert await other.write(names) == ["before"]


async def test_many_who_write_at_once_all_get_their_turn(opened: Open) -> None:
    databases = [opened(), opened()]
    many = [RepositoryName(f"r{number % 20}") for number in range(200)]
    ids = await asyncio.gather(
        *(
            databases[number % 2].write(lambda name=name: repositories.ensure(name))  # type: ignore[misc]
            for number, name in enumerate(many)
        )
    )
    by_name = dict(zip(many, ids, strict=True))
    assert [by_name[name] for name in many] == ids
    assert await count(databases[0], "repositories") == 20


async def test_work_whose_client_has_left_is_done_all_the_same(database: Database, hold: Hold) -> None:
    held = asyncio.create_task(database.write(hold.work))
    await hold.begun()
    leaving = asyncio.create_task(database.write(lambda: insert("left")))
    await asyncio.sleep(0)
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    await hold.let_go()
    await held
    async with asyncio.timeout(10):
        while await database.read(names()) != ["held", "left"]:
            await asyncio.sleep(0.01)


async def test_work_that_is_refused_when_its_client_has_left_is_no_trouble_to_be_reported(
    database: Database, hold: Hold
) -> None:
    reported: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: reported.append(context))

    def refused() -> Work[None]:
        yield from insert("refused")
        raise Refused

    held = asyncio.create_task(database.write(hold.work))
    await hold.begun()
    leaving = asyncio.create_task(database.write(refused))
    await asyncio.sleep(0)
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    await hold.let_go()
    await held
    await database.write(lambda: insert("later"))
    del leaving
    gc.collect()
    assert await database.read(names()) == ["held", "later"]
    assert not reported


async def test_the_version_changes_with_every_commit_from_wherever(
    opened: Open, commit_elsewhere: Callable[[], None]
) -> None:
    database, other = opened(), opened()
    versions = [database.version()]
    if versions[0] is None:
        return  # a database may not be able to tell
    await database.write(lambda: insert("own"))
    versions.append(database.version())
    await other.write(lambda: insert("other"))
    versions.append(database.version())
    await other.write(lambda: insert("not durable"), durable=False)
    versions.append(database.version())
    commit_elsewhere()
    versions.append(database.version())
    assert len(set(versions)) == 5
    assert await database.read(names()) == ["elsewhere", "not durable", "other", "own"]


async def test_the_version_stays_while_nothing_is_committed(opened: Open) -> None:
    database, other = opened(), opened()
    await database.write(lambda: insert("a"))
    version = database.version()
    await database.read(names())
    await other.read(names())
    with pytest.raises(ConstraintError):
        await other.write(lambda: insert("a"))
    assert database.version() == version


async def test_facts_read_after_the_version_are_at_least_that_new(opened: Open) -> None:
    database, other = opened(), opened()
    for number in range(50):
        before = database.version()
        await other.write(lambda name=f"r{number}": insert(name))  # type: ignore[misc]
        assert before is None or database.version() != before
        assert len(await database.read(names())) == number + 1


async def test_closing_finishes_what_was_accepted(opened: Open, hold: Hold) -> None:
    database = opened()
    held = asyncio.create_task(database.write(hold.work))
    await hold.begun()
    accepted = [
        asyncio.create_task(database.write(lambda name=f"r{number}": insert(name)))  # type: ignore[misc]
        for number in range(250)
    ]
    await asyncio.sleep(0)
    closing = asyncio.create_task(database.close())
    await asyncio.sleep(0)
    await hold.let_go()
    assert await asyncio.gather(*accepted) == [1] * 250
    await asyncio.gather(held, closing)
    assert await count(opened(), "repositories") == 251


async def test_a_closed_database_refuses_instead_of_letting_anybody_wait(opened: Open) -> None:
    database = opened()
    await database.close()
    with pytest.raises(Unavailable):
        await asyncio.wait_for(database.write(lambda: insert("late")), 5)
    with pytest.raises(Unavailable):
        await database.read(names())
    await database.close()
    assert await opened().read(names()) == []


async def test_trouble_with_the_database_is_told_in_the_protocols_words(database: Database) -> None:
    def nonsense() -> Work[None]:
        yield Statement("SELECT nothing FROM nowhere")

    for attempt in (database.read(nonsense()), database.write(nonsense)):
        with pytest.raises(RegistryError) as refused:
            await attempt
        assert refused.value.status == 503
    assert await database.write(lambda: repositories.ensure(NAME)) == 1


class TestWritingAfter:
    """`write_after`: something in a thread, and then the work."""

    @pytest.fixture
    def threads(self) -> Iterator[ThreadPoolExecutor]:
        with ThreadPoolExecutor(2) as threads:
            yield threads

    async def test_the_work_begins_when_the_first_part_has_returned(
        self, database: Database, threads: ThreadPoolExecutor
    ) -> None:
        done: list[str] = []

        def first() -> None:
            assert threading.current_thread() is not threading.main_thread()
            time.sleep(0.05)
            done.append("late")

        assert await database.write_after(first, threads, lambda: insert(*done)) == 1
        assert await database.read(names()) == ["late"]

    async def test_what_the_first_part_raises_is_raised_and_nothing_is_written(
        self, database: Database, threads: ThreadPoolExecutor
    ) -> None:
        def first() -> None:
            raise Refused

        with pytest.raises(Refused):
            await database.write_after(first, threads, lambda: insert("never"))
        assert await database.read(names()) == []

    async def test_what_the_work_raises_is_raised(self, database: Database, threads: ThreadPoolExecutor) -> None:
        with pytest.raises(ConstraintError):
            await database.write_after(lambda: None, threads, lambda: insert("twice", "twice"))
        assert await database.read(names()) == []

    async def test_both_happen_though_nobody_waits_any_more(
        self, database: Database, threads: ThreadPoolExecutor
    ) -> None:
        begun, go_on = threading.Event(), threading.Event()

        def first() -> None:
            begun.set()
            assert go_on.wait(20)

        asking = asyncio.ensure_future(database.write_after(first, threads, lambda: insert("left")))
        assert await asyncio.to_thread(begun.wait, 20)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        go_on.set()
        async with asyncio.timeout(20):
            while await database.read(names()) != ["left"]:
                await asyncio.sleep(0.01)

    async def test_a_database_that_was_closed_meanwhile_takes_nothing_more(
        self, opened: Open, threads: ThreadPoolExecutor
    ) -> None:
        closing = opened()
        begun, go_on = threading.Event(), threading.Event()

        def first() -> None:
            begun.set()
            assert go_on.wait(20)

        asking = asyncio.ensure_future(closing.write_after(first, threads, lambda: insert("too late")))
        assert await asyncio.to_thread(begun.wait, 20)
        await closing.close()
        go_on.set()
        with pytest.raises(Unavailable):
            await asking
        assert await opened().read(names()) == []
