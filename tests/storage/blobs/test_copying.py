"""Copying blobs from a directory into a bucket."""

from contextlib import closing
from pathlib import Path

import pytest

from estiva.digest import Digest
from storage.blobs.copying import Copying, copy_blobs
from storage.blobs.filesystem import FilesystemBlobStore
from storage.blobs.s3.store import S3BlobStore
from tests.fixtures.s3 import S3Server

CONTENTS = [b"", b"small", b"large" * 100, b"larger" * 1000]


@pytest.fixture
def directory(tmp_path: Path) -> FilesystemBlobStore:
    store = FilesystemBlobStore(tmp_path / "data")
    for number, content in enumerate(CONTENTS):
        store.create_upload(f"upload-{number}")
        with closing(store.open_upload(f"upload-{number}")) as upload:
            upload.write(memoryview(content))
            upload.commit(Digest.of(content))
    return store


@pytest.fixture
def bucket(s3_double: S3Server, monkeypatch: pytest.MonkeyPatch) -> S3BlobStore:
    monkeypatch.setattr("moto.s3.models.S3_UPLOAD_PART_MIN_SIZE", 1)
    return s3_double.store("to", size_of_part=lambda number: 256)


def copied(directory: FilesystemBlobStore, bucket: S3BlobStore) -> Copying:
    progress = Copying()
    copy_blobs(directory, bucket, bucket, progress)
    return progress


def test_every_blob_is_there_under_its_own_key(
    directory: FilesystemBlobStore, bucket: S3BlobStore, s3_double: S3Server
) -> None:
    progress = copied(directory, bucket)
    assert (progress.copied, progress.copied_bytes) == (4, sum(map(len, CONTENTS)))
    for entry in directory.stored_blobs():
        with directory.open_blob(entry.key) as here, bucket.open_blob(entry.key) as there:
            assert here.read() == b"".join(iter(lambda: there.read(1000), b""))
    assert s3_double.multiparts() == []


def test_what_is_there_is_left_alone(directory: FilesystemBlobStore, bucket: S3BlobStore) -> None:
    copied(directory, bucket)
    gone = next(iter(directory.stored_blobs())).key
    bucket.delete_blob(gone)
    progress = copied(directory, bucket)
    assert (progress.copied, progress.present, progress.skipped) == (1, 3, [])


def test_bytes_that_are_bad_are_named_and_not_copied(
    directory: FilesystemBlobStore, bucket: S3BlobStore, tmp_path: Path
) -> None:
    bad = next(entry.key for entry in directory.stored_blobs() if entry.size == 5)
    file = tmp_path / "data" / "blobs" / bad
    file.chmod(0o600)
    file.write_bytes(b"smell")
    progress = copied(directory, bucket)
    assert progress.skipped == [bad]
    assert bad not in {entry.key for entry in bucket.stored_blobs()}


def test_a_copy_that_breaks_off_leaves_nothing_half(
    directory: FilesystemBlobStore, bucket: S3BlobStore, s3_double: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("storage.blobs.s3.bucket.Bucket.complete_multipart", _fail)
        with pytest.raises(OSError, match="no more"):
            copied(directory, bucket)
    assert s3_double.multiparts() == []
    assert copied(directory, bucket).skipped == []
    assert [entry.key for entry in bucket.stored_blobs()] == [entry.key for entry in directory.stored_blobs()]


def _fail(*arguments: object) -> None:
    raise OSError("no more")
