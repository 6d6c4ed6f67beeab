"""Brings a database to the schema that this version of the code expects (Alembic)."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import URL, create_engine
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError

HEAD = "0007"


class MigrationError(Exception):
    """The database can't be brought to this version's schema; the text is one line that says why."""


def migrate(path: Path) -> None:
    """Upgrade the SQLite database at `path`, creating it where there is none. One process at a time does this.

    MigrationError, which leaves the database as it was.
    """
    engine = create_engine(URL.create("sqlite", database=str(path)))
    try:
        with engine.connect() as connection:
            upgrade(connection)
            connection.commit()
    except DBAPIError as error:
        raise MigrationError(str(error.orig)) from error
    except CommandError as error:  # a revision that this version has never heard of
        raise MigrationError(f"its schema is of another version: {error}") from error
    finally:
        engine.dispose()


def upgrade(connection: Connection) -> None:
    """Run every migration that this database has not seen."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
