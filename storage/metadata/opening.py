"""From a URL to the database that it names."""

from pathlib import Path
from urllib.parse import urlsplit

from storage.metadata.database import Database

SQLITE = "sqlite:///"
POSTGRESQL = ("postgresql://", "postgres://")
MOST_CONNECTIONS = 10


def sqlite_file(url: str) -> Path | None:
    """The file of a SQLite URL, which has three slashes before a relative path and four before an absolute one.

    None for PostgreSQL's. ValueError for any other URL.
    """
    if url.startswith(SQLITE) and len(url) > len(SQLITE):
        return Path(url.removeprefix(SQLITE))
    if url.startswith(POSTGRESQL):
        return None
    raise ValueError("is neither sqlite:///FILE nor postgresql://USER:PASSWORD@HOST/DATABASE")


def open_database(url: str, most_connections: int = MOST_CONNECTIONS) -> Database:
    """The database, which has been migrated. Without I/O for PostgreSQL. ValueError."""
    # Each driver is loaded only where it is used: a worker's start is measured.
    file = sqlite_file(url)
    if file is not None:
        from storage.metadata.sqlite import SQLiteDatabase

        return SQLiteDatabase(file)
    from storage.metadata.postgresql import PostgreSQLDatabase

    return PostgreSQLDatabase(url, most_connections)


def shown(url: str) -> str:
    """What to call the database where others read it: without a password."""
    file = sqlite_file(url)
    if file is not None:
        return str(file)
    parts = urlsplit(url)
    return f"{parts.hostname or 'localhost'}{parts.path}"
