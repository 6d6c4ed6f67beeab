"""One transaction on a PostgreSQL connection, and what its server's refusals mean."""

import logging
from collections.abc import Awaitable, Callable
from functools import lru_cache
from typing import TypeVar

import asyncpg

from estiva.errors import RegistryError, RequestInvalid, StorageFull, Unavailable
from storage.metadata.connections import TROUBLE, Connection
from storage.metadata.database import ConstraintError, Rows, Statement, Work
from storage.metadata.placeholders import numbered

T = TypeVar("T")

logger = logging.getLogger("estiva.metadata")

_translated = lru_cache(maxsize=4096)(numbered)


class ConflictError(Exception):
    """Other work at the same time was in the way; nothing was kept, and the work can be run again."""


class ConnectionLostError(Exception):
    """The connection broke before anything was committed; the work can be run again on another one."""


class Transaction:
    """Runs pieces of work, each in a transaction of this kind."""

    def __init__(self, durable: bool, serializable: bool) -> None:
        level = "SERIALIZABLE" if serializable else "READ COMMITTED"
        self._begin = f"BEGIN ISOLATION LEVEL {level}"
        if not durable:
            self._begin += "; SET LOCAL synchronous_commit TO off"

    async def run(self, connection: Connection, work: Callable[[], Work[T]]) -> T:
        """The work's result, committed. ConflictError, ConnectionLostError, ConstraintError; Unavailable, StorageFull.

        After Unavailable it may have been committed: the connection broke while the server was at it.
        """
        committing = False
        try:
            await connection.execute(self._begin)
            result = await drive(work(), lambda statement: execute(connection, statement))
            committing = True
            await connection.execute("COMMIT")
            return result
        except TROUBLE as error:
            connection.terminate()
            if committing:
                raise Unavailable("the metadata database was lost during a commit") from error
            raise ConnectionLostError from error
        except asyncpg.PostgresError as error:
            await _roll_back(connection)
            raise translate(error) from error
        except Exception:
            await _roll_back(connection)
            raise


async def drive(work: Work[T], run: Callable[[Statement], Awaitable[Rows]]) -> T:
    """The work's result, when `run` has run each of its statements."""
    try:
        statement = next(work)
        while True:
            statement = work.send(await run(statement))
    except StopIteration as stop:
        result: T = stop.value
        return result
    finally:
        work.close()


async def execute(connection: Connection, statement: Statement) -> Rows:
    """The statement's rows."""
    sql, names = _translated(statement.sql + (f" FOR {statement.lock}" if statement.lock else ""))
    if statement.many is not None:
        if statement.many:
            await connection.executemany(sql, [[values[name] for name in names] for values in statement.many])
        return ()
    rows = await connection.fetch(sql, *[statement.parameters[name] for name in names])
    return [tuple(row) for row in rows]


def translate(error: asyncpg.PostgresError) -> Exception:
    """What the server's refusal means to whoever gave the work."""
    if isinstance(error, asyncpg.TransactionRollbackError):
        return ConflictError(str(error))
    if isinstance(error, asyncpg.IntegrityConstraintViolationError):
        return ConstraintError(str(error))
    return _told(error)


def _told(error: asyncpg.PostgresError) -> RegistryError:
    if isinstance(error, asyncpg.DiskFullError):
        return StorageFull()
    if isinstance(error, asyncpg.CharacterNotInRepertoireError):
        return RequestInvalid("a text holds a character that can't be stored")
    logger.error("the metadata database refused a statement: %s %s", error.sqlstate, error)
    return Unavailable("the metadata database can't serve this just now")


async def _roll_back(connection: Connection) -> None:
    try:
        await connection.execute("ROLLBACK")
    except (*TROUBLE, asyncpg.PostgresError):
        connection.terminate()
