"""A database is brought to this version's schema, and one that is there already costs next to nothing."""

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from storage.metadata.migrations import HEAD, MigrationError, migrate, revision

MIGRATE = """
import sys
from storage.metadata.migrations import migrate
migrate(sys.argv[1])
print(*sorted({"alembic", "sqlalchemy"} & sys.modules.keys()))
"""


def imported_by_migrating(url: str) -> list[str]:
    """Which of the two heavy libraries a new process needed to migrate that database."""
    told = subprocess.run([sys.executable, "-c", MIGRATE, url], check=True, capture_output=True, text=True, timeout=90)
    return told.stdout.split()


def set_revision(file: Path, name: str) -> None:
    with closing(sqlite3.connect(file)) as database, database:
        database.execute("UPDATE alembic_version SET version_num = ?", (name,))


def test_a_database_that_is_up_to_date_is_left_alone_without_loading_what_migrates(database_url: str) -> None:
    assert imported_by_migrating(database_url) == []


def test_a_new_file_gets_the_schema_of_this_version(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'new.db'}"
    assert imported_by_migrating(url) == ["alembic", "sqlalchemy"]
    assert revision(url) == HEAD
    assert imported_by_migrating(url) == []


def test_a_database_of_a_version_nobody_knows_is_refused_and_left_as_it_is(database_file: Path) -> None:
    set_revision(database_file, "9999")
    before = database_file.read_bytes()
    with pytest.raises(MigrationError, match="its schema is of another version"):
        migrate(f"sqlite:///{database_file}")
    assert database_file.read_bytes() == before


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "estiva.db").write_bytes(b"no database at all" * 100)
    with pytest.raises(MigrationError, match="not a database"):
        migrate(f"sqlite:///{tmp_path / 'estiva.db'}")
