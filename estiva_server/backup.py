"""A copy of a data directory, taken while it is in use, and put back.

The database first, then the blobs: a blob's bytes are there before a row names them, and stay in the trash after the
last row has gone, so every blob that the copied database knows is found. Blobs never change, so a backup into a
folder that holds an older one copies only what is new, and removes what the database no longer knows last. The bytes
of a blob that is known to be bad are not copied; a copy from before it went bad stays, and is put back with the rest.
"""

import contextlib
import shutil
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from estiva_server.config import Settings
from storage.durable import make_directory, sync_directory, sync_file
from storage.metadata import snapshot

DATABASE, MASTER_KEY, BLOBS = "estiva.db", "master.key", "blobs"
ADVICE = (
    "and this copies only what is in the data directory; "
    "docs/deploy.md#backup-and-restore says how the rest is backed up"
)
HOLD_AFTER_RESTORE = 7 * 86400


class BackupError(Exception):
    """There is no backup, or nothing was put back; the text is one line that says why."""


@dataclass(frozen=True, slots=True)
class Copied:
    """What a backup, or putting one back, did."""

    blobs: int
    """Blobs in the copy."""
    copied: int
    """Those of them that were not there yet."""
    copied_bytes: int
    left_out: int
    """Blobs that are known to be bad, and of which there is no older copy either."""


def refuse_elsewhere(environment: Mapping[str, str]) -> None:
    """BackupError where `ESTIVA_DATABASE_URL` or `ESTIVA_BLOBS` names a place that is not in the data directory."""
    for name in ("ESTIVA_DATABASE_URL", "ESTIVA_DATABASE_URL_FILE", "ESTIVA_BLOBS"):
        # The value is not repeated: it may hold a password.
        if environment.get(name):
            raise BackupError(f"{name} is set, {ADVICE}")


def refuse_settings_elsewhere(settings: Settings, file: Path) -> None:
    """BackupError where that file's settings keep database or blobs anywhere but in the data directory."""
    for name in ("database_url", "blobs"):
        if getattr(settings, name) is not None:
            raise BackupError(f"{file} sets {name}, {ADVICE}")


def back_up(data: Path, target: Path) -> Copied:
    """Copy the data directory's database, master key and blobs; durable when this returns. BackupError."""
    if not (data / DATABASE).is_file():
        raise BackupError(f"there is no {DATABASE} in {data}")
    with _in_plain_words():
        make_directory(target.absolute())
        draft = target / f"{DATABASE}.new"
        snapshot.copy_database(data / DATABASE, draft)
        if (data / MASTER_KEY).is_file():
            _copy_file(data / MASTER_KEY, target / MASTER_KEY)
        copied = _copy_blobs(draft, data / BLOBS, target / BLOBS)
        # Only now: until here the folder holds the older backup, whole.
        draft.replace(target / DATABASE)
        sync_directory(target)
        _remove_unknown(target / DATABASE, target / BLOBS)
    return copied


def restore(source: Path, data: Path) -> Copied:
    """Make a data directory of a backup; garbage collection holds still in it for seven days. BackupError.

    The directory must not hold a database.
    """
    if not (source / DATABASE).is_file():
        raise BackupError(f"there is no {DATABASE} in {source}")
    if (data / DATABASE).exists():
        raise BackupError(f"{data} holds a database already; move it away first")
    with _in_plain_words():
        make_directory(data.absolute())
        draft = data / f"{DATABASE}.new"
        snapshot.copy_database(source / DATABASE, draft)
        snapshot.hold(draft, HOLD_AFTER_RESTORE)
        if (source / MASTER_KEY).is_file():
            _copy_file(source / MASTER_KEY, data / MASTER_KEY)
        copied = _copy_blobs(draft, source / BLOBS, data / BLOBS, suspect=True)
        draft.replace(data / DATABASE)
        sync_directory(data)
    return copied


def _copy_blobs(database: Path, source: Path, target: Path, *, suspect: bool = False) -> Copied:
    """Bring the bytes of every good blob to the target; with `suspect`, of bad ones too where the source has them.

    The database goes on to call those bad until somebody has read them.
    """
    blobs = copied = copied_bytes = left_out = 0
    folders: set[Path] = set()
    for key, size, good in snapshot.stored_keys(database):
        present = _has(target / key, size)
        if not (good or present or (suspect and _has(source / key, size))):
            left_out += 1
            continue
        blobs += 1
        if present:
            continue
        _copy_blob(source / key, target / key, folders)
        copied += 1
        copied_bytes += size
    for folder in folders:
        sync_directory(folder)
    return Copied(blobs, copied, copied_bytes, left_out)


def _has(file: Path, size: int) -> bool:
    return file.is_file() and file.stat().st_size == size


def _copy_blob(source: Path, target: Path, folders: set[Path]) -> None:
    """Copy it into its folder, which is then one of `folders`: those that are to be synced."""
    if target.parent not in folders:
        make_directory(target.parent.absolute())
        folders.add(target.parent)
    try:
        _copy_file(source, target)
    except FileNotFoundError:
        raise BackupError(f"the bytes of a blob are gone: {source.name}; `estiva fsck` tells more") from None


def _remove_unknown(database: Path, blobs: Path) -> None:
    known = {key for key, _, _ in snapshot.stored_keys(database)}
    for file in sorted(blobs.glob("*/*/*")):
        if file.relative_to(blobs).as_posix() not in known:
            file.unlink()


def _copy_file(source: Path, target: Path) -> None:
    """Copy under another name first, so that what has the name is whole."""
    draft = target.with_name(f"{target.name}.new")
    shutil.copy2(source, draft)
    sync_file(draft)
    draft.replace(target)


@contextlib.contextmanager
def _in_plain_words() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise BackupError(f"the database cannot be copied: {error}") from error
    except OSError as error:
        raise BackupError(f"{error.filename or 'a file'}: {error.strerror}") from error
