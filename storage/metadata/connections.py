"""Connections to PostgreSQL: a bounded number, kept while they work and thrown away when in doubt.

asyncpg's own pool asks the server whenever a connection comes back to it, and waits for a server that does not
answer. This one never asks and never waits: a connection that was interrupted is cut.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING

import asyncpg

from estiva.errors import Unavailable

logger = logging.getLogger("estiva.metadata")

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]
else:
    Connection = asyncpg.Connection

CONNECT_TIMEOUT = 3.0
PATIENCE = 4.0
"""Seconds until whoever waits is told that the database does not answer."""
SILENCE = "the metadata database does not answer just now"
TROUBLE = (
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    OSError,
)
"""What tells that a connection, or the server behind it, is gone."""

# The server ends by itself what a client has left behind: locks must not be held for somebody who is gone.
SETTINGS = {
    "application_name": "estiva",
    "default_transaction_isolation": "read committed",
    "statement_timeout": "10s",
    "lock_timeout": "5s",
    "idle_in_transaction_session_timeout": "10s",
    "tcp_keepalives_idle": "30",
    "tcp_keepalives_interval": "10",
    "tcp_keepalives_count": "3",
    # Every query is an index seek. On a table that is still small a scan would seem cheaper, and would make
    # serializable transactions conflict with everybody who writes to that table.
    "enable_seqscan": "off",
    "jit": "off",
}
CHECK = "SELECT current_setting('synchronous_commit'), current_setting('fsync'), pg_is_in_recovery()"


class Connections:
    """At most `most` connections; whoever wants one more waits for its turn."""

    def __init__(self, url: str, most: int) -> None:
        self._url = url
        self._free = asyncio.Semaphore(most)
        self._idle: list[Connection] = []
        self._closed = False
        self._answers = 0

    @contextlib.asynccontextmanager
    async def lent(self) -> AsyncIterator[Connection]:
        """A connection, for one caller at a time and for PATIENCE seconds. Unavailable, also when they have passed.

        It comes back in no transaction and waiting for nothing, or terminated. Who is cancelled need not see to that.
        """
        await self.wait_for(self._free.acquire)
        try:
            connection = self._sound() or await self._connect()
            try:
                async with asyncio.timeout(PATIENCE):
                    yield connection
            except asyncio.CancelledError:
                connection.terminate()  # its answer may still come, or never
                raise
            except TimeoutError as error:
                connection.terminate()
                self._cut_idle()  # they may be no better
                raise Unavailable(SILENCE) from error
            finally:
                self._take_back(connection)
        finally:
            self._free.release()

    async def wait_for(self, turn: Callable[[], Awaitable[object]]) -> None:
        """Wait for a turn, for as long as the server answers anybody at all within PATIENCE seconds. Unavailable."""
        while True:
            answers = self._answers
            try:
                async with asyncio.timeout(PATIENCE):
                    await turn()
                    return
            except TimeoutError as error:
                if self._answers == answers:
                    raise Unavailable(SILENCE) from error

    def _take_back(self, connection: Connection) -> None:
        if connection.is_closed():
            return
        if self._closed or connection.is_in_transaction():
            connection.terminate()
        else:
            self._answers += 1
            self._idle.append(connection)

    def _cut_idle(self) -> None:
        while self._idle:
            self._idle.pop().terminate()

    async def close(self) -> None:
        """End every connection; what still runs on one fails."""
        self._closed = True
        idle, self._idle = self._idle, []
        for connection in idle:
            try:
                await connection.close(timeout=1)
            except (*TROUBLE, TimeoutError):
                connection.terminate()

    def _sound(self) -> Connection | None:
        while self._idle:
            connection = self._idle.pop()
            if not connection.is_closed():
                return connection
        return None

    async def _connect(self) -> Connection:
        if self._closed:
            raise Unavailable("the metadata database is closed")
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT):
                connection: Connection = await asyncpg.connect(
                    self._url,
                    statement_cache_size=512,
                    max_cached_statement_lifetime=0,
                    server_settings=SETTINGS,
                )
                try:
                    await _check(connection)
                except BaseException:
                    connection.terminate()
                    raise
                return connection
        except (*TROUBLE, asyncpg.PostgresError, TimeoutError, ValueError) as error:
            logger.warning("no connection to the metadata database: %s", str(error) or type(error).__name__)
            raise Unavailable("the metadata database can't be reached just now") from error


async def _check(connection: Connection) -> None:
    """See that commits on this connection will be durable, as far as we can. Unavailable on a standby."""
    row = await connection.fetchrow(CHECK)
    assert row is not None
    synchronous_commit, fsync, standby = row
    if standby:
        raise Unavailable("the metadata database is a standby")
    if synchronous_commit == "off":
        await connection.execute("SET synchronous_commit TO on")
    if fsync == "off":
        logger.warning("the PostgreSQL server runs with fsync off: a power loss may take what was acknowledged")
