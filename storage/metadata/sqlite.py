"""SQLite: reads on the event loop's own connection, writes through another that commits them in groups.

A point read takes 5-10 microseconds, less than any hop to a thread, so reads happen where they are asked for.
Writes that arrive while a commit waits for the disk share the next one: one fsync serves them all. One thread at a time
has the turn to write: the writer's own or, where nobody else is writing, the one that has just stored the content.
"""

import asyncio
import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue
from typing import Any, NamedTuple, TypeVar

from estiva.errors import RegistryError, StorageFull, Unavailable
from storage.metadata.database import ConstraintError, Rows, Statement, Work
from storage.metadata.news import News
from storage.metadata.wal_index import find_header
from storage.threads import run_in

T = TypeVar("T")

logger = logging.getLogger("estiva.metadata")

BUSY_TIMEOUT = 5.0
LARGEST_GROUP = 100
GROUPS_BESIDE = 4
"""As many a thread commits that has stored content, and then the writer's goes on: others' work keeps it no longer."""


def connect(path: Path) -> sqlite3.Connection:
    """A connection with everything the registry relies on: WAL, foreign keys, a full sync on commit."""
    connection = sqlite3.connect(
        path, timeout=BUSY_TIMEOUT, isolation_level=None, check_same_thread=False, cached_statements=512
    )
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",  # NORMAL loses acknowledged commits on power loss
        "foreign_keys=ON",
        "cache_size=-16000",
        "journal_size_limit=67108864",
        "temp_store=MEMORY",
    ):
        connection.execute(f"PRAGMA {pragma}").fetchall()
    return connection


class _Pending(NamedTuple):
    """A piece of work that waits for the writer, and whoever waits for it."""

    work: Callable[[], Work[Any]]
    durable: bool
    future: asyncio.Future[Any]
    loop: asyncio.AbstractEventLoop


_Outcome = tuple[_Pending, Any, BaseException | None]
"""A piece of work with its result, or why it was refused."""


class SQLiteDatabase:
    """A `Database` in one file, shared safely by any number of processes of one machine."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._reader = connect(path)
        self._writer = connect(path)
        self._writer_is_lost = False
        self._synchronous = True
        self._held: int | None = None
        self._entering = threading.Lock()
        """Guards the next three, and is held for no longer than it takes to look at them."""
        self._queue: list[_Pending] = []
        self._is_writing = False  # whether some thread has the turn; while none has, nothing is in the queue
        self._closing = False
        self._turns: SimpleQueue[bool] = SimpleQueue()  # to the writer's thread: the turn, or that there is no more
        self._header = find_header(path)  # mapped since the reader looked at the file
        self._news = News(self._header) if self._header is not None else None
        self._writes_news = False
        self._thread = threading.Thread(target=self._take_turns, name="sqlite-writer", daemon=True)
        self._thread.start()

    async def read(self, work: Work[T]) -> T:
        """See `Database.read`; runs to its end without giving up the loop."""
        try:
            return _drive(self._reader, work)
        except sqlite3.Error as error:
            raise _translate(error) from error

    async def write(self, work: Callable[[], Work[T]], *, durable: bool = True, serializable: bool = True) -> T:
        """See `Database.write`. One writer at a time: all work is serializable."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        if self._enqueue(_Pending(work, durable, future, loop)):
            self._turns.put(True)  # no commit on the event loop
        # Shielded: once queued the work happens, whether or not its client still waits for the answer.
        return await asyncio.shield(future)

    async def write_after(self, first: Callable[[], None], threads: Executor, work: Callable[[], Work[T]]) -> T:
        """See `Database.write_after`: that thread commits it, too, or leaves it to whoever is at it already."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        pending = _Pending(work, True, future, loop)

        def begin() -> None:
            try:
                first()
                has_turn = self._enqueue(pending)
            except BaseException as error:
                _deliver(pending, None, error)
            else:
                if has_turn:
                    self._write_some()

        run_in(threads, begin)
        return await asyncio.shield(future)

    def _enqueue(self, pending: _Pending) -> bool:
        """Have it done after everything that waits already. Unavailable once nothing more is taken.

        True where that gives the caller the turn, to use or to hand on: nobody else looks at the queue until then.
        """
        with self._entering:
            if self._closing:
                raise Unavailable("the metadata database is closing")
            self._queue.append(pending)
            has_turn, self._is_writing = not self._is_writing, True
        return has_turn

    def version(self) -> int:
        """See `Database.version`: SQLite tells of the commits of every other connection, mostly in memory."""
        if self._held is not None:
            return self._held
        if self._header is not None:
            return self._header.number()
        return self._ask_version()

    def news(self) -> int:
        """See `Database.news`; where SQLite's shared memory is not found, every commit is news."""
        return self.version() if self._news is None else self._news.number()

    def _ask_version(self) -> int:
        try:
            number: int = self._reader.execute("PRAGMA data_version").fetchone()[0]
        except sqlite3.Error as error:
            raise _translate(error) from error
        return number

    @contextmanager
    def holding_version(self) -> Iterator[None]:
        """Look at the version once for all who ask for it in this block, which must wait for nothing.

        What is committed meanwhile comes after all that the block reads the version for.
        """
        self._held = self.version()
        try:
            yield
        finally:
            self._held = None

    async def close(self) -> None:
        """See `Database.close`. Idempotent."""
        with self._entering:
            self._closing = True
            if not self._is_writing:
                self._turns.put(False)
        await asyncio.to_thread(self._thread.join)
        self._header = self._news = None  # its memory goes with the connections
        self._writer.close()
        self._reader.close()

    def _take_turns(self) -> None:
        while self._turns.get():
            while group := self._next_group():
                self._write_group(group)

    def _write_some(self) -> None:
        """Use the turn in a thread that has something else to do: for as many groups, and then the writer's goes on."""
        for _ in range(GROUPS_BESIDE):
            group = self._next_group()
            if not group:
                return
            self._write_group(group)
        self._turns.put(True)

    def _next_group(self) -> list[_Pending]:
        """What is to be done next by the thread that has the turn; with nothing left, the turn is over."""
        with self._entering:
            group = self._queue[:LARGEST_GROUP]
            del self._queue[:LARGEST_GROUP]
            if not group:
                self._is_writing = False
                if self._closing:
                    self._turns.put(False)
        return group

    def _write_group(self, group: list[_Pending]) -> None:
        """Do the works and tell whoever waits. Nothing comes out of here: the thread must outlive any trouble."""
        try:
            self._replace_lost_writer()
            self._set_synchronous(any(pending.durable for pending in group))
            self._writer.execute("BEGIN IMMEDIATE")
            self._writes_news, changes = False, self._writer.total_changes
            outcomes = self._run_all(group)
            self._commit(is_news=self._writes_news or self._writer.total_changes == changes)
        except Exception as error:
            self._roll_back()
            told = _told(error)
            outcomes = [(pending, None, told) for pending in group]
        for pending, result, refusal in outcomes:
            _deliver(pending, result, refusal)

    def _commit(self, *, is_news: bool) -> None:
        """Commit; whether that is news has to be said before, for then others may look."""
        expected = None if is_news or self._news is None else self._news.expect()
        try:
            self._writer.execute("COMMIT")
        except sqlite3.Error:
            if expected is not None and self._news is not None:
                self._news.forget(expected)
            raise
        if expected is not None and self._news is not None:
            self._news.check(expected)

    def _set_synchronous(self, full: bool) -> None:
        if full != self._synchronous:
            self._writer.execute(f"PRAGMA synchronous={'FULL' if full else 'NORMAL'}")
            self._synchronous = full

    def _run_all(self, group: list[_Pending]) -> list[_Outcome]:
        """What came of each. Where one of them is refused, all run again, each behind a savepoint of its own.

        Mostly none is, and savepoints would be a third of all statements.
        """
        try:
            return [(pending, self._do(pending), None) for pending in group]
        except Exception as error:
            trouble = isinstance(error, sqlite3.Error) and not isinstance(error, sqlite3.IntegrityError)
            if trouble or len(group) == 1:
                raise  # the whole group fails
        self._writer.execute("ROLLBACK")
        self._writer.execute("BEGIN IMMEDIATE")
        self._writes_news = True  # what is left of the group may come to nothing, and then there is no commit to expect
        return [(pending, *self._run(pending)) for pending in group]

    def _do(self, pending: _Pending) -> Any:
        return _drive(self._writer, pending.work(), self._note)

    def _note(self, statement: Statement) -> None:
        self._writes_news = self._writes_news or statement.news

    def _run(self, pending: _Pending) -> tuple[Any, BaseException | None]:
        """The work's result, or why it was rolled back; the rest of its group does not notice."""
        self._writer.execute("SAVEPOINT work")
        try:
            result = self._do(pending)
        except sqlite3.Error as error:
            if not isinstance(error, sqlite3.IntegrityError):
                raise  # the database itself is in trouble: the whole group fails
            refusal: BaseException = _told(error)
        except Exception as error:
            refusal = error
        else:
            self._writer.execute("RELEASE work")
            return result, None
        self._writer.execute("ROLLBACK TO work")
        self._writer.execute("RELEASE work")
        return None, refusal

    def _roll_back(self) -> None:
        try:
            # Some errors (a full disk) have already ended the transaction.
            if self._writer.in_transaction:
                self._writer.execute("ROLLBACK")
        except sqlite3.Error as error:
            logger.error("a transaction could not be rolled back: %s", error)
            self._writer_is_lost = True

    def _replace_lost_writer(self) -> None:
        """A connection in an unknown state is closed, which ends its transaction, and a new one takes its place."""
        if self._writer_is_lost:
            self._writer.close()
            self._writer = connect(self._path)
            self._writer_is_lost, self._synchronous = False, True


def _drive(connection: sqlite3.Connection, work: Work[T], note: Callable[[Statement], None] | None = None) -> T:
    try:
        statement = next(work)
        while True:
            if note is not None:
                note(statement)
            statement = work.send(_execute(connection, statement))
    except StopIteration as stop:
        result: T = stop.value
        return result
    finally:
        work.close()


def _execute(connection: sqlite3.Connection, statement: Statement) -> Rows:
    sql, parameters, many, *_ = statement
    if many is not None:
        connection.executemany(sql, [_with_clock(sql, values) for values in many])
        return ()
    return connection.execute(sql, _with_clock(sql, parameters)).fetchall()


def _with_clock(sql: str, parameters: Mapping[str, Any]) -> Mapping[str, Any]:
    return {**parameters, "now": time.time()} if ":now" in sql else parameters


def _deliver(pending: _Pending, result: Any, refusal: BaseException | None) -> None:
    def settle() -> None:
        if pending.future.done():
            return
        if refusal is not None:
            pending.future.set_exception(refusal)
            pending.future.exception()  # looked at: that nobody waits for it any more is no trouble to be reported
        else:
            pending.future.set_result(result)

    try:
        pending.loop.call_soon_threadsafe(settle)
    except RuntimeError:
        # The loop that asked is gone, and with it everybody who could want to know.
        return


def _told(error: Exception) -> Exception:
    """What is said of an error to whoever gave the work."""
    if isinstance(error, sqlite3.IntegrityError):
        return ConstraintError(str(error))
    return _translate(error) if isinstance(error, sqlite3.Error) else error


def _translate(error: sqlite3.Error) -> RegistryError:
    if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL:
        return StorageFull()
    return Unavailable("the metadata database can't serve this just now")
