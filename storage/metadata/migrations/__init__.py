"""Brings a database to the schema that this version of the code expects (Alembic)."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

from storage.metadata.opening import sqlite_file

HEAD = "0010"
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
    if _up_to_date(url):
        return
    # Imported here: Alembic and SQLAlchemy are a quarter of what a start of the server costs, and most need neither.
    from storage.metadata.migrations.upgrading import upgrade_database

    upgrade_database(url)


def _up_to_date(url: str) -> bool:
    try:
        return revision(url) == HEAD
    except DatabaseAwayError:
        raise
    except MigrationError:
        return False  # no file yet, say; why else it can't be read, the upgrade finds out


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
