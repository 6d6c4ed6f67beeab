"""Scrubbing finds whatever happens to bytes at rest, and what is found is healed by the next push."""

import asyncio
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO

import pytest

from estiva.digest import Digest
from estiva.errors import BlobUnknown
from registry import Registry
from registry.collecting import Retention
from registry.scrubbing import SCRUB, Scrubbing
from storage.blobs.filesystem import FilesystemBlobStore
from storage.blobs.names import new_storage_key
from storage.metadata import blobs, collection, soundness
from storage.metadata.database import Database, Statement, Work
from storage.metadata.soundness import END
from tests.fixtures.facts import NAME
from tests.fixtures.registry import push_blob, registry_on

CONTENT = bytes(range(256)) * 5000
DIGEST = Digest.of(CONTENT)


@pytest.fixture
def blob_store(tmp_path: Path) -> FilesystemBlobStore:
    return FilesystemBlobStore(tmp_path)


@pytest.fixture
def registry(database: Database, blob_store: FilesystemBlobStore, threads: ThreadPoolExecutor) -> Registry:
    return registry_on(database, blob_store, threads, Retention(grace=86400, trash=0))


async def file_of(database: Database, root: Path, digest: Digest = DIGEST) -> Path:
    found = await database.read(blobs.find(NAME, digest))
    assert found is not None
    path = root / "blobs" / found.key
    path.chmod(0o644)
    return path


def flip(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(1000)
        file.write(b"\xff\xff")


DAMAGE: dict[str, Callable[[Path], object]] = {
    "a flipped bit": flip,
    "cut short": lambda path: os.truncate(path, 1000),
    "empty": lambda path: os.truncate(path, 0),
    "too long": lambda path: path.write_bytes(path.read_bytes() + b"more"),
    "zeros": lambda path: path.write_bytes(bytes(len(CONTENT))),
    "gone": Path.unlink,
}


@pytest.mark.parametrize("damage", DAMAGE)
async def test_what_happens_to_bytes_is_found_and_healed_by_the_next_push(
    registry: Registry, database: Database, tmp_path: Path, damage: str
) -> None:
    await push_blob(registry, CONTENT)
    await push_blob(registry, b"sound")
    DAMAGE[damage](await file_of(database, tmp_path))
    assert await registry.scrubbing.begin(0)
    done = await registry.scrubbing.run()
    assert (done.read, done.missing + done.corrupt, done.finished) == (2, 1, True)
    with pytest.raises(BlobUnknown):
        await registry.pulling.blob(NAME, DIGEST)
    (bad,) = await registry.scrubbing.bad()
    assert (bad.digest, bad.state) == (str(DIGEST), "missing" if damage == "gone" else "corrupt")

    await push_blob(registry, CONTENT)
    assert await registry.scrubbing.bad() == []
    with await registry.pulling.open(await registry.pulling.blob(NAME, DIGEST)) as file:
        assert file.read() == CONTENT
    assert await registry.scrubbing.begin(0)
    assert (await registry.scrubbing.run()).corrupt == 0
    assert (await registry.collecting.run()).removed == 1  # the bad bytes


async def test_what_was_taken_for_bad_and_is_not_is_served_again(
    registry: Registry, database: Database, tmp_path: Path
) -> None:
    await push_blob(registry, CONTENT)
    path = await file_of(database, tmp_path)
    away = path.rename(tmp_path / "away")
    await registry.scrubbing.begin(0)
    assert (await registry.scrubbing.run()).missing == 1
    away.rename(path)
    await registry.scrubbing.begin(0)
    assert (await registry.scrubbing.run()).healed == 1
    assert (await registry.pulling.blob(NAME, DIGEST)).size == len(CONTENT)


async def test_a_walk_goes_on_where_it_stopped_and_is_shared(
    registry: Registry, database: Database, blob_store: FilesystemBlobStore, threads: ThreadPoolExecutor
) -> None:
    for number in range(50):
        await push_blob(registry, b"%d" % number)
    other = Scrubbing(database, blob_store, threads)
    await registry.scrubbing.begin(0)
    first = await registry.scrubbing.run(seconds=1e-9)
    assert not first.finished
    assert await other.begin(3600)  # the one under way, not another
    rest = await other.run()
    assert first.read + rest.read == 50
    assert not await registry.scrubbing.begin(3600)  # not before its time


async def test_what_a_scrub_took_whose_process_died_is_read_by_another_when_its_lease_is_over(
    registry: Registry, database: Database, blob_store: FilesystemBlobStore, threads: ThreadPoolExecutor
) -> None:
    for number in range(50):
        await push_blob(registry, b"%d" % number)
    other = Scrubbing(database, blob_store, threads)
    await registry.scrubbing.begin(0)
    dead = await database.write(lambda: soundness.take(SCRUB, 20, lease=3600))
    assert dead is not None
    assert (await other.run()).read == 30
    assert await other.begin(3600)  # not all of it was read
    assert (await other.run()).read == 0
    await database.write(lambda: soundness.keep(dead.name, 0))
    assert (await other.run()).read == 20
    assert not await other.begin(3600)
    assert await other.begin(0)
    assert (await other.run()).read == 50


async def test_a_walk_that_begins_anew_leaves_nothing_of_the_last(registry: Registry, database: Database) -> None:
    for number in range(30):
        await push_blob(registry, b"%d" % number)
    await registry.scrubbing.begin(0)
    await database.write(lambda: soundness.take(SCRUB, 20, lease=3600))
    await registry.scrubbing.run()
    assert await registry.scrubbing.begin(0)
    assert (await registry.scrubbing.run()).read == 30
    assert not await registry.scrubbing.begin(3600)


class Slow(FilesystemBlobStore):
    """Opens no blob before it may."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.may = threading.Event()

    def open_blob(self, key: str) -> BinaryIO:
        assert self.may.wait(90)
        return super().open_blob(key)


async def test_the_lease_of_a_blob_that_takes_long_is_renewed(
    registry: Registry, database: Database, threads: ThreadPoolExecutor, tmp_path: Path
) -> None:
    def until() -> Work[float]:
        rows = yield Statement("SELECT MAX(value) FROM collection_state WHERE name LIKE 'scrub/%'")
        return float(rows[0][0] or 0)

    await push_blob(registry, CONTENT)
    slow = Slow(tmp_path)
    await registry.scrubbing.begin(0)
    reading = asyncio.create_task(Scrubbing(database, slow, threads, lease=0.3).run())
    seen: set[float] = set()
    deadline = time.monotonic() + 60
    while len(seen) < 3:
        assert time.monotonic() < deadline
        seen |= {moment} if (moment := await database.read(until())) else set()
        await asyncio.sleep(0.01)
    slow.may.set()
    assert (await reading).read == 1


async def test_a_reading_keeps_to_its_rate(registry: Registry) -> None:
    await push_blob(registry, CONTENT)
    await push_blob(registry, CONTENT * 2)
    await registry.scrubbing.begin(0)
    begin = time.monotonic()
    await registry.scrubbing.run(rate=4 * len(CONTENT))
    assert time.monotonic() - begin > 0.5


@pytest.mark.timeout(600)
async def test_rows_and_keys_are_held_against_each_other(
    registry: Registry, database: Database, tmp_path: Path
) -> None:
    contents = [b"%d" % number for number in range(1200)]
    for content in contents:
        await push_blob(registry, content)
    (await file_of(database, tmp_path, Digest.of(b"7"))).unlink()
    os.truncate(await file_of(database, tmp_path, Digest.of(b"1100")), 1)
    orphan = tmp_path / "blobs" / new_storage_key(Digest.of(b"orphan"))
    orphan.write_bytes(b"orphan")

    done = await registry.scrubbing.compare()
    assert (done.rows, done.keys, done.missing, done.corrupt, done.orphans, done.after) == (1200, 1200, 1, 1, 1, END)
    assert {bad.state for bad in await registry.scrubbing.bad()} == {"missing", "corrupt"}
    (trash,) = await database.read(collection.expired_trash(0, 10))
    assert trash.key == f"sha256/{orphan.parent.name}/{orphan.name}"
    await registry.collecting.run()
    assert not orphan.exists()


async def test_a_key_that_is_young_may_be_about_to_get_its_row(
    registry: Registry, database: Database, blob_store: FilesystemBlobStore, threads: ThreadPoolExecutor, tmp_path: Path
) -> None:
    young = tmp_path / "blobs" / new_storage_key(Digest.of(b"young"))
    young.write_bytes(b"young")
    os.utime(young, (0, 0))  # however old its content may be
    done = await Scrubbing(database, blob_store, threads, orphan_age=3600).compare()
    assert (done.orphans, done.young) == (0, 1)


async def test_what_can_be_no_blob_is_told_of_once_and_left_alone(
    registry: Registry, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("registry.scrubbing.COMPARED_AT_ONCE", 2)
    for number in range(7):
        await push_blob(registry, b"%d" % number)
    strange = [
        tmp_path / "blobs" / name for name in ("lost+found", "sha256/notes.txt", "sha256/ab/x", "sha512/00/\x7f")
    ]
    for path in strange:
        path.write_bytes(b"strange")
    done = await registry.scrubbing.compare()
    assert (done.foreign, done.orphans, done.missing, done.corrupt) == (4, 0, 0, 0)
    assert all(path.read_bytes() == b"strange" for path in strange)
    assert "none of them: 'sha256/notes.txt'" in caplog.text


async def test_where_the_storage_is_away_nothing_is_called_missing(
    registry: Registry, database: Database, tmp_path: Path
) -> None:
    await push_blob(registry, CONTENT)
    found = await registry.pulling.blob(NAME, DIGEST)
    (tmp_path / "blobs").rename(tmp_path / "away")
    with pytest.raises(OSError, match="No such file"):
        await registry.pulling.open(found)
    (tmp_path / "away").rename(tmp_path / "blobs")
    (await registry.pulling.open(await registry.pulling.blob(NAME, DIGEST))).close()
