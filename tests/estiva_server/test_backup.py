"""A backup taken while everybody pushes, put back: everything it knows is there."""

import asyncio
import os
import sqlite3
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from typer.testing import CliRunner

from estiva.cli.app import build
from estiva.digest import Digest
from estiva_server.backup import BackupError, back_up, restore
from registry import Registry
from registry.collecting import Retention
from storage.blobs.filesystem import FilesystemBlobStore
from storage.metadata import collection
from storage.metadata.sqlite import SQLiteDatabase
from tests.fixtures.documents import image
from tests.fixtures.facts import NAME
from tests.fixtures.registry import push_blob, push_manifest, registry_on

LAYERS = [os.urandom(5000) for _ in range(30)]


@pytest.fixture
def data(database_file: Path) -> Path:
    return database_file.parent


@pytest.fixture
async def database(database_file: Path) -> AsyncIterator[SQLiteDatabase]:
    """What `estiva backup` copies: the database of a data directory."""
    database = SQLiteDatabase(database_file)
    yield database
    await database.close()


@pytest.fixture
def registry(database: SQLiteDatabase, data: Path, threads: ThreadPoolExecutor) -> Registry:
    return registry_on(database, FilesystemBlobStore(data), threads, Retention(grace=0, trash=3600))


async def check(data: Path, threads: ThreadPoolExecutor) -> int:
    """How many blobs the directory has; all are what they should be, both ways."""
    database = SQLiteDatabase(data / "estiva.db")
    try:
        registry = registry_on(database, FilesystemBlobStore(data), threads)
        await registry.scrubbing.begin(0)
        read = await registry.scrubbing.run()
        compared = await registry.scrubbing.compare()
        assert (read.missing, read.corrupt, compared.missing, compared.corrupt) == (0, 0, 0, 0)
        assert await database.read(collection.is_held())
        return read.read
    finally:
        await database.close()


async def test_what_is_put_back_is_sound_though_everybody_pushed_and_collected_meanwhile(
    registry: Registry, data: Path, threads: ThreadPoolExecutor, tmp_path: Path
) -> None:
    pushing, number = True, 0

    async def push() -> None:
        nonlocal number
        while pushing:
            number += 1
            layer = b"layer %d" % number
            for content in (layer, LAYERS[number % 30], b"{}"):
                await push_blob(registry, content)
            if number % 3:
                await push_manifest(registry, image(b"{}", layer, LAYERS[number % 30]), f"t{number}")
            await registry.collecting.run()

    async def more_is_pushed() -> None:
        enough = number + 10
        async with asyncio.timeout(60):
            while number < enough:
                await asyncio.sleep(0.01)

    pusher = asyncio.create_task(push())
    await more_is_pushed()
    first = await asyncio.to_thread(back_up, data, tmp_path / "backup")
    await more_is_pushed()
    second = await asyncio.to_thread(back_up, data, tmp_path / "backup")
    pushing = False
    await asyncio.gather(pusher, return_exceptions=True)
    assert first.copied == first.blobs > 0
    assert 0 < second.copied < second.blobs
    restored = restore(tmp_path / "backup", tmp_path / "again")
    assert await check(tmp_path / "again", threads) == restored.blobs == second.blobs


async def test_what_the_database_no_longer_knows_leaves_the_backup(
    registry: Registry, data: Path, threads: ThreadPoolExecutor, tmp_path: Path
) -> None:
    await push_blob(registry, b"layer")
    back_up(data, tmp_path / "backup")
    await registry.collecting.run()
    done = back_up(data, tmp_path / "backup")
    assert (done.blobs, done.copied) == (0, 0)
    assert list((tmp_path / "backup" / "blobs").glob("*/*/*")) == []


async def rotten(registry: Registry, data: Path, content: bytes) -> None:
    """Let the bytes of that blob go bad, and be found to be."""
    (file,) = (data / "blobs").rglob(f"{Digest.of(content).hex}.*")
    file.chmod(0o644)
    file.write_bytes(bytes(len(content)))
    await registry.scrubbing.begin(0)
    assert (await registry.scrubbing.run()).corrupt == 1


async def test_a_backup_keeps_its_good_copy_of_a_blob_that_went_bad_and_so_does_what_is_restored(
    registry: Registry, data: Path, threads: ThreadPoolExecutor, tmp_path: Path
) -> None:
    await push_blob(registry, b"layer")
    back_up(data, tmp_path / "backup")
    await rotten(registry, data, b"layer")
    done = back_up(data, tmp_path / "backup")
    assert (done.blobs, done.copied, done.left_out) == (1, 0, 0)
    assert restore(tmp_path / "backup", tmp_path / "again").copied == 1
    database = SQLiteDatabase(tmp_path / "again" / "estiva.db")
    try:
        restored = registry_on(database, FilesystemBlobStore(tmp_path / "again"), threads)
        await restored.scrubbing.begin(0)
        assert (await restored.scrubbing.run()).healed == 1
        assert await restored.scrubbing.bad() == []
    finally:
        await database.close()
    assert await check(tmp_path / "again", threads) == 1


async def test_a_blob_that_was_bad_before_the_first_backup_is_left_out_and_told(
    registry: Registry, data: Path, tmp_path: Path
) -> None:
    for content in (b"good", b"bad"):
        await push_blob(registry, content)
    await rotten(registry, data, b"bad")
    done = await asyncio.to_thread(CliRunner().invoke, build(), ["backup", "--data", str(data), str(tmp_path / "b")])
    assert done.exit_code == 0
    assert "backed up 1 blobs" in done.stdout
    assert "left out 1 blobs that are known to be bad" in done.stderr
    restored = restore(tmp_path / "b", tmp_path / "again")
    assert (restored.blobs, restored.left_out) == (1, 1)


async def test_a_backup_that_is_cut_off_leaves_the_older_one_whole(
    registry: Registry, data: Path, threads: ThreadPoolExecutor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await push_blob(registry, b"old")
    back_up(data, tmp_path / "backup")
    await push_blob(registry, b"new")
    monkeypatch.setattr("shutil.copy2", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(BackupError, match="No space left"):
        back_up(data, tmp_path / "backup")
    monkeypatch.undo()
    restore(tmp_path / "backup", tmp_path / "again")
    assert await check(tmp_path / "again", threads) == 1


async def test_a_blob_whose_bytes_are_gone_is_named(registry: Registry, data: Path, tmp_path: Path) -> None:
    await push_blob(registry, b"layer")
    (file,) = (data / "blobs").rglob(f"{Digest.of(b'layer').hex}.*")
    file.unlink()
    with pytest.raises(BackupError, match=Digest.of(b"layer").hex):
        back_up(data, tmp_path / "backup")
    assert not (tmp_path / "backup" / "estiva.db").exists()


def test_nothing_is_overwritten_and_nothing_is_made_of_nothing(data: Path, tmp_path: Path) -> None:
    with pytest.raises(BackupError, match="there is no"):
        back_up(tmp_path / "nowhere", tmp_path / "backup")
    with pytest.raises(BackupError, match="there is no"):
        restore(tmp_path / "nowhere", tmp_path / "again")
    back_up(data, tmp_path / "backup")
    with pytest.raises(BackupError, match="holds a database already"):
        restore(tmp_path / "backup", data)


def test_the_copied_database_is_one_file(data: Path, tmp_path: Path) -> None:
    back_up(data, tmp_path / "backup")
    assert {path.name for path in (tmp_path / "backup").iterdir()} == {"estiva.db"}
    with closing(sqlite3.connect(tmp_path / "backup" / "estiva.db")) as copy:
        assert copy.execute("PRAGMA integrity_check").fetchone() == ("ok",)


async def test_a_repository_is_as_it_was(registry: Registry, data: Path, tmp_path: Path) -> None:
    await push_blob(registry, b"{}")
    digest = await push_manifest(registry, image(b"{}"), "latest")
    back_up(data, tmp_path / "backup")
    restore(tmp_path / "backup", tmp_path / "again")
    database = SQLiteDatabase(tmp_path / "again" / "estiva.db")
    with ThreadPoolExecutor(2) as threads:
        again = registry_on(database, FilesystemBlobStore(tmp_path / "again"), threads)
        assert (await again.pulling.manifest(NAME, digest)).payload == image(b"{}")
    await database.close()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ESTIVA_DATABASE_URL", "postgresql://estiva:hidden@db/estiva"),
        ("ESTIVA_DATABASE_URL_FILE", "/run/secrets/hidden"),
        ("ESTIVA_BLOBS", "s3://hidden/blobs"),
    ],
)
@pytest.mark.parametrize("command", ["backup", "restore"])
def test_a_backup_of_what_is_not_in_the_data_directory_is_refused(
    command: str, name: str, value: str, data: Path, tmp_path: Path
) -> None:
    done = CliRunner().invoke(build(), [command, "--data", str(data), str(tmp_path / "backup")], env={name: value})

    assert done.exit_code == 1
    assert done.output.startswith(f"estiva: {name} is set")
    assert done.output.count("\n") == 1
    assert "hidden" not in done.output
    assert not (tmp_path / "backup").exists()


async def test_the_settings_file_says_which_directory_is_backed_up_and_restored_soundly(
    registry: Registry, data: Path, threads: ThreadPoolExecutor, tmp_path: Path
) -> None:
    await push_blob(registry, b"{}")
    await push_manifest(registry, image(b"{}"), "latest")
    config = tmp_path / "estiva.toml"
    for directory, command in ((data, "backup"), (tmp_path / "again", "restore")):
        config.write_text(f'data = "{directory}"\n')
        done = CliRunner().invoke(build(), [command, "--config", str(config), str(tmp_path / "backup")])
        assert (done.exit_code, done.output.partition(";")[0].endswith(" 1 blobs")) == (0, True), done.output
    assert await check(tmp_path / "again", threads) == 1


@pytest.mark.parametrize(
    ("name", "value"), [("database_url", "postgresql://estiva:hidden@db/estiva"), ("blobs", "s3://hidden/blobs")]
)
@pytest.mark.parametrize("command", ["backup", "restore"])
def test_what_the_settings_file_keeps_elsewhere_is_refused_with_advice(
    command: str, name: str, value: str, tmp_path: Path
) -> None:
    config = tmp_path / "estiva.toml"
    config.write_text(f'{name} = "{value}"\n')
    done = CliRunner().invoke(build(), [command, "--config", str(config), str(tmp_path / "backup")])
    assert done.exit_code == 1
    assert f"sets {name}, and this copies only" in done.output
    assert "docs/deploy.md#backup-and-restore" in done.output
    assert "hidden" not in done.output
    assert not (tmp_path / "backup").exists()


def test_a_settings_file_that_makes_no_sense_is_told_in_one_line(tmp_path: Path) -> None:
    done = CliRunner().invoke(build(), ["backup", "--config", str(tmp_path / "none.toml"), str(tmp_path / "backup")])
    assert (done.exit_code, done.output.count("\n")) == (1, 1)
    assert done.output.startswith("estiva: no configuration file")
