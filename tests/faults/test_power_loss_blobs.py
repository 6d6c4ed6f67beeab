"""What a blob store acknowledged survives a power loss; and what a store without syncs acknowledges does not."""

import hashlib
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from estiva.digest import Digest
from storage.blobs import BlobMissingError
from storage.blobs.filesystem import FilesystemBlobStore
from tests.faults.disk import Disk, disk, kill

pytestmark = pytest.mark.real


@pytest.fixture(params=["ext4", "xfs"])
def volatile(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Disk]:
    with disk(tmp_path, request.param) as made:
        yield made


ENOUGH = 20


def acknowledged_before_power_loss(volatile: Disk, synced: str = "everything", count: int = 0) -> list[str]:
    """The keys that a store on the disk acknowledged before the power went."""
    FilesystemBlobStore(volatile.path)  # in the controls, too, the directories are there to stay
    command = [sys.executable, "-m", "tests.faults.blob_writer", str(volatile.path), synced, str(count)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        keys = [writer.stdout.readline() for _ in range(count or ENOUGH)]
        if not count:
            time.sleep(1)
        kill(writer)
        keys += writer.stdout.readlines()
    volatile.cut_power()
    return [key.decode().strip() for key in keys if key.endswith(b"\n")]


def is_whole(store: FilesystemBlobStore, key: str) -> bool:
    try:
        file = store.open_blob(key)
    except BlobMissingError:
        return False
    with file:
        content = file.read()
    return key.rpartition("/")[2].startswith(f"{Digest.of(content).hex}.")


def test_every_acknowledged_blob_is_whole_and_no_file_among_the_blobs_is_wrong(volatile: Disk) -> None:
    keys = acknowledged_before_power_loss(volatile)
    assert len(keys) >= ENOUGH
    store = FilesystemBlobStore(volatile.path)
    assert [key for key in keys if not is_whole(store, key)] == []
    blobs = volatile.path / "blobs"
    found = [str(path.relative_to(blobs)) for path in blobs.rglob("*") if path.is_file()]
    assert [key for key in found if not is_whole(store, key)] == []


def test_a_single_blob_is_whole_as_soon_as_it_is_acknowledged(volatile: Disk) -> None:
    (key,) = acknowledged_before_power_loss(volatile, count=1)
    assert is_whole(FilesystemBlobStore(volatile.path), key)


def test_the_store_takes_new_blobs_after_a_power_loss(volatile: Disk) -> None:
    acknowledged_before_power_loss(volatile)
    store = FilesystemBlobStore(volatile.path)
    store.create_upload("after")
    upload = store.open_upload("after")
    upload.write(memoryview(b"after"))
    assert is_whole(store, upload.commit(Digest.of(b"after")).key)


def test_control_a_store_that_syncs_nothing_loses_what_it_acknowledged(volatile: Disk) -> None:
    keys = acknowledged_before_power_loss(volatile, synced="nothing")
    assert len(keys) >= ENOUGH
    store = FilesystemBlobStore(volatile.path)
    # Some may be there: nobody forbids the kernel to write early.
    assert [key for key in keys if not is_whole(store, key)] != []


def test_control_a_store_that_syncs_no_directory_loses_the_name(volatile: Disk) -> None:
    (key,) = acknowledged_before_power_loss(volatile, synced="files", count=1)
    assert not is_whole(FilesystemBlobStore(volatile.path), key)
    (upload,) = (volatile.path / "uploads").iterdir()
    assert hashlib.sha256(upload.read_bytes()).hexdigest() in key
