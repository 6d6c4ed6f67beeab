"""Runs the migrations that a database has not seen."""

import asyncio
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import URL, create_engine, text
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from storage.metadata.migrations import DatabaseAwayError, MigrationError
from storage.metadata.opening import sqlite_file

LOCK = 0x657374697661
"""The advisory lock of whoever migrates: replicas that start together take turns, and the first does the work."""
LOCK_TIMEOUT = "120s"


def upgrade_database(url: str) -> None:
    """What `storage.metadata.migrations.migrate` promises, of a database that may need it."""
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
