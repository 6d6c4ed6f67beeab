import io
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from estiva.digest import Digest
from storage.blobs.file_upload import WORTH_MARKING
from storage.blobs.filesystem import FilesystemBlobStore
from storage.blobs.identity import identity_of, identity_of_opened, is_marked, mark

CONTENT = b"content"
LARGE = bytes(WORTH_MARKING)


@pytest.fixture
def file(tmp_path: Path) -> Iterator[int]:
    """The descriptor of an open file."""
    with (tmp_path / "file").open("w+b", buffering=0) as opened:
        opened.write(CONTENT)
        yield opened.fileno()


@pytest.fixture
def blob_store(tmp_path: Path) -> FilesystemBlobStore:
    return FilesystemBlobStore(tmp_path)


def commit(blob_store: FilesystemBlobStore, content: bytes = LARGE) -> tuple[str, bytes]:
    """A new blob's key, and its identity as the commit tells it."""
    upload = blob_store.begin_upload("an-upload")
    upload.write(memoryview(content))
    stored = upload.commit(Digest.of(content))
    return stored.key, stored.identity


def test_no_write_after_the_mark_goes_unseen_however_soon_it_comes(file: int) -> None:
    for _ in range(1000):
        marked = mark(file)
        assert is_marked(file, marked)
        before = identity_of(file)
        os.pwrite(file, b"C", 0)
        assert not is_marked(file, marked)
        assert identity_of(file) != before


def test_the_length_and_the_inode_are_part_of_it(file: int, tmp_path: Path) -> None:
    before = identity_of(file)
    os.ftruncate(file, 3)
    assert identity_of(file) != before
    copy = tmp_path / "copy"
    copy.write_bytes(CONTENT[:3])
    times = os.fstat(file)
    os.utime(copy, ns=(times.st_atime_ns, times.st_mtime_ns))
    with copy.open("rb") as other:
        assert identity_of(other.fileno()) != identity_of(file)


def test_reading_changes_nothing(file: int) -> None:
    before = identity_of(file)
    assert os.pread(file, 7, 0) == CONTENT
    assert identity_of(file) == before


def test_what_is_no_file_has_none() -> None:
    assert identity_of_opened(io.BytesIO(CONTENT)) == b""


def test_a_commit_tells_the_identity_that_the_blob_has_from_then_on(blob_store: FilesystemBlobStore) -> None:
    key, identity = commit(blob_store)
    with blob_store.open_blob(key) as opened:
        assert identity_of_opened(opened) == identity != b""


def test_a_commit_tells_none_where_times_are_not_told_exactly(
    blob_store: FilesystemBlobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_time = os.utime

    def in_seconds(file: int, ns: tuple[int, int]) -> None:
        set_time(file, ns=(ns[0] // 10**9 * 10**9, ns[1] // 10**9 * 10**9))

    monkeypatch.setattr(os, "utime", in_seconds)
    assert commit(blob_store)[1] == b""


def test_a_commit_tells_none_where_times_may_not_be_set(
    blob_store: FilesystemBlobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(file: int, ns: tuple[int, int]) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "utime", refused)
    key, identity = commit(blob_store)
    assert identity == b""
    with blob_store.open_blob(key) as opened:
        assert opened.read() == LARGE


def test_a_commit_of_what_is_small_tells_none(blob_store: FilesystemBlobStore) -> None:
    assert commit(blob_store, LARGE[1:])[1] == b""
