"""Brings a database to the schema that this version of the code expects (Alembic)."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import URL, create_engine, text
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from storage.metadata.opening import sqlite_file

HEAD = "0009"
LOCK = 0x657374697661
"""The advisory lock of whoever migrates: replicas that start together take turns, and the first does the work."""
LOCK_TIMEOUT = "120s"
_REVISION = "SELECT version_num FROM alembic_version"


class MigrationError(Exception):
    """The database can't be brought to this version's schema; the text is one line that says why."""


class DatabaseAwayError(MigrationError):
    """The server does not answer, or not yet: the same may succeed later."""


def migrate(url: str) -> None:
    """Upgrade the database at `url`, creating a SQLite file where there is none.

    One process at a time does this with a SQLite file; with PostgreSQL they take turns by themselves.
    MigrationError, which leaves the database as it was; DatabaseAwayError where it may help to try again.
    """
    file = sqlite_file(url)
    try:
        if file is not None:
            _migrate_file(file)
        else:
            asyncio.run(_migrate_server(url))
    except DBAPIError as error:
        raise (DatabaseAwayError if error.connection_invalidated else MigrationError)(str(error.orig)) from error
    except CommandError as error:  # a revision that this version has never heard of
        raise MigrationError(f"its schema is of another version: {error}") from error


def revision(url: str) -> str:
    """The migration that the database at `url` is at, empty before the first; nothing is changed.

    MigrationError, DatabaseAwayError where it can't be read.
    """
    file = sqlite_file(url)
    if file is not None:
        return _revision_of_file(file)
    return asyncio.run(_revision_of_server(url))


def _revision_of_file(file: Path) -> str:
    try:
        with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'").fetchall():
                return ""
            rows = connection.execute(_REVISION).fetchall()
    except sqlite3.Error as error:
        raise MigrationError(str(error)) from error
    return str(rows[0][0]) if rows else ""


async def _revision_of_server(url: str) -> str:
    import asyncpg

    try:
        connection = await asyncpg.connect(url, timeout=10, server_settings={"application_name": "estiva-doctor"})
        try:
            return str(await connection.fetchval(_REVISION) or "")
        finally:
            await connection.close()
    except asyncpg.UndefinedTableError:
        return ""
    except OSError as error:
        raise DatabaseAwayError(str(error) or "the server does not answer") from error
    except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise MigrationError(str(error)) from error


def upgrade(connection: Connection) -> None:
    """Run every migration that this database has not seen."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _migrate_file(file: Path) -> None:
    engine = create_engine(URL.create("sqlite", database=str(file)))
    try:
        with engine.connect() as connection:
            upgrade(connection)
            connection.commit()
    finally:
        engine.dispose()


async def _migrate_server(url: str) -> None:
    import asyncpg
    from sqlalchemy.ext.asyncio import create_async_engine

    async def connect() -> "asyncpg.Connection[asyncpg.Record]":
        settings = {"application_name": "estiva-migrate", "lock_timeout": LOCK_TIMEOUT, "synchronous_commit": "on"}
        return await asyncpg.connect(url, timeout=10, server_settings=settings)

    try:
        engine = create_async_engine("postgresql+asyncpg://", async_creator=connect, poolclass=NullPool)
        async with engine.connect() as connection:
            # Held until the transaction ends, which all the migrations share.
            await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": LOCK})
            await connection.run_sync(upgrade)
            await connection.commit()
    except (
        asyncpg.PostgresConnectionError,
        asyncpg.OperatorInterventionError,  # it starts, or ends
        asyncpg.TooManyConnectionsError,
        OSError,
    ) as error:
        raise DatabaseAwayError(str(error) or "the server does not answer") from error
    except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise MigrationError(str(error)) from error
