"""PostgreSQL: for more processes than one machine has room for.

Work runs SERIALIZABLE, as if one piece of work came after the other, unless it says that it locks by itself what it
relies on. Whatever the server refuses because of other work at the same time is run again from its start.
"""

import asyncio
import random
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any, TypeVar

import asyncpg

from estiva.errors import Unavailable
from storage.metadata.connections import TROUBLE, Connections
from storage.metadata.database import ConstraintError, Rows, Statement, Work
from storage.metadata.transactions import ConflictError, ConnectionLostError, Transaction, drive, execute, translate

T = TypeVar("T")

LONGEST_WRITE = 15.0
"""Seconds after which work that met other work again and again is given up."""
LOST = "the connection to the metadata database was lost"
MOST_CONNECTIONS = 10
MOST_REFUSALS = 3
"""A constraint may refuse work because of other work that has ended meanwhile. Only after so many times it counts."""


class PostgreSQLDatabase:
    """A `Database` on a PostgreSQL server, shared safely by any number of processes of any number of machines."""

    def __init__(self, url: str, most_connections: int = MOST_CONNECTIONS) -> None:
        self._connections = Connections(url, most_connections)
        self._closing = False
        self._writes: set[asyncio.Task[Any]] = set()
        self._following: set[asyncio.Task[Any]] = set()
        self._turn = asyncio.Lock()

    async def read(self, work: Work[T]) -> T:
        """See `Database.read`. Each statement sees what was committed when it began."""
        try:
            return await drive(work, self._select)
        except ConnectionLostError as error:
            raise Unavailable(LOST) from error

    async def write(self, work: Callable[[], Work[T]], *, durable: bool = True, serializable: bool = True) -> T:
        """See `Database.write`."""
        if self._closing:
            raise Unavailable("the metadata database is closing")
        transaction = Transaction(durable, serializable)
        task = asyncio.create_task(self._until_accepted(work, transaction))
        self._writes.add(task)
        task.add_done_callback(self._ended)
        # Shielded: once accepted the work happens, whether or not its client still waits for the answer.
        return await asyncio.shield(task)

    async def write_after(self, first: Callable[[], None], threads: Executor, work: Callable[[], Work[T]]) -> T:
        """See `Database.write_after`."""
        task = asyncio.create_task(self._write_after(first, threads, work))
        self._following.add(task)  # the loop alone would let go of one that nobody waits for
        task.add_done_callback(self._following.discard)
        return await asyncio.shield(task)

    async def _write_after(self, first: Callable[[], None], threads: Executor, work: Callable[[], Work[T]]) -> T:
        await asyncio.get_running_loop().run_in_executor(threads, first)
        return await self.write(work, serializable=False)

    def version(self) -> None:
        """See `Database.version`: what is sure to be so can only be known by asking the server."""
        return

    def news(self) -> None:
        """See `Database.news`: as `version`."""
        return

    async def close(self) -> None:
        """See `Database.close`. Idempotent."""
        self._closing = True
        if self._writes:
            await asyncio.wait(self._writes)
        await self._connections.close()

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._writes.discard(task)
        if not task.cancelled():
            task.exception()  # looked at here, because whoever asked may have left

    async def _select(self, statement: Statement) -> Rows:
        try:
            return await self._select_once(statement)
        except ConnectionLostError:
            # Idle connections die with a server that is restarted; what only selects may simply be asked again.
            return await self._select_once(statement)

    async def _select_once(self, statement: Statement) -> Rows:
        async with self._connections.lent() as connection:
            try:
                return await execute(connection, statement)
            except TROUBLE as error:
                connection.terminate()
                raise ConnectionLostError from error
            except asyncpg.PostgresError as error:
                raise translate(error) from error

    async def _until_accepted(self, work: Callable[[], Work[T]], transaction: Transaction) -> T:
        end = asyncio.get_running_loop().time() + LONGEST_WRITE
        try:
            return await self._attempt(work, transaction)
        except (ConflictError, ConnectionLostError, ConstraintError):
            pass
        # One after the other from here on: those that met in a conflict would only meet again.
        await self._connections.wait_for(self._turn.acquire)
        try:
            return await self._again(work, transaction, end)
        finally:
            self._turn.release()

    async def _again(self, work: Callable[[], Work[T]], transaction: Transaction, end: float) -> T:
        refusals = 1
        while True:
            try:
                return await self._attempt(work, transaction)
            except ConflictError:
                pass
            except ConnectionLostError:
                await asyncio.sleep(0.1)
            except ConstraintError:
                refusals += 1
                if refusals == MOST_REFUSALS:
                    raise
            if asyncio.get_running_loop().time() > end:
                raise Unavailable("too many change the same at once")
            await asyncio.sleep(random.uniform(0, 0.02))  # noqa: S311 - no secret

    async def _attempt(self, work: Callable[[], Work[T]], transaction: Transaction) -> T:
        async with self._connections.lent() as connection:
            return await transaction.run(connection, work)
