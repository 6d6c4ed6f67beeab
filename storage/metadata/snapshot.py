"""A copy of a SQLite database while it is in use, and what can be asked of such a copy without opening it for use."""

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from storage.durable import sync_file

HOLD = """
INSERT INTO collection_state (name, value) VALUES ('hold', unixepoch() + ?), ('hold since', unixepoch())
ON CONFLICT (name) DO UPDATE SET value = excluded.value
"""


def copy_database(source: Path, target: Path) -> None:
    """SQLite's own online backup: consistent, however many write meanwhile; one file, on disk.

    sqlite3.Error, OSError.
    """
    target.unlink(missing_ok=True)
    with contextlib.closing(sqlite3.connect(source)) as original, contextlib.closing(sqlite3.connect(target)) as copy:
        original.backup(copy)
        copy.execute("PRAGMA journal_mode=DELETE").fetchall()
    target.chmod(0o600)
    sync_file(target)


def hold(database: Path, seconds: float) -> None:
    """Let garbage collection hold still in this database for so many seconds from now. sqlite3.Error."""
    with contextlib.closing(sqlite3.connect(database)) as connection, connection:
        connection.execute(HOLD, [seconds])


def stored_keys(database: Path) -> Iterator[tuple[str, int, bool]]:
    """The storage keys of all blobs, their lengths, and whether they are good as far as is known. sqlite3.Error."""
    with contextlib.closing(sqlite3.connect(database)) as connection:
        for key, size, state in connection.execute("SELECT store_key, size, state FROM blobs"):
            yield key, size, state == "live"
