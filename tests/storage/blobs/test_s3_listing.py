"""What a list of blobs in S3 says, and what it does not know."""

from contextlib import closing

import pytest

from estiva.digest import Digest
from storage.blobs import BlobMissingError, StoredBlob
from storage.blobs.s3.store import S3BlobStore
from tests.fixtures.s3 import BUCKET, S3Server

CONTENT = b"content in parts"


@pytest.fixture
def store(s3_double: S3Server, monkeypatch: pytest.MonkeyPatch) -> S3BlobStore:
    monkeypatch.setattr("moto.s3.models.S3_UPLOAD_PART_MIN_SIZE", 1)
    return s3_double.store("to", size_of_part=lambda number: 8)


def pushed(store: S3BlobStore, content: bytes) -> StoredBlob:
    with closing(store.begin_upload("one")) as upload:
        upload.write(memoryview(content))
        return upload.commit(Digest.of(content))


def test_the_size_of_content_in_parts_is_a_note_and_that_of_other_content_is_not(store: S3BlobStore) -> None:
    large, small = pushed(store, CONTENT), pushed(store, b"small")
    listed = {entry.key: (entry.size, entry.is_measured) for entry in store.stored_blobs()}
    assert listed == {large.key: (len(CONTENT), False), small.key: (5, True)}


def test_what_is_among_the_blobs_and_none_of_them_is_told_of(store: S3BlobStore, s3_double: S3Server) -> None:
    pushed(store, CONTENT), pushed(store, b"small")
    for name in ("notes.txt", "sha256/ab/x"):
        s3_double.client().put_object(Bucket=BUCKET, Key=f"to/blobs/{name}", Body=b"strange")
    assert list(store.foreign_names()) == ["notes.txt", "sha256/ab/x"]
    assert list(store.foreign_names("notes.txt")) == ["sha256/ab/x"]
    assert list(store.foreign_names("", "notes.txt")) == ["notes.txt"]


def test_a_note_about_content_that_is_gone_is_listed_and_has_no_size(store: S3BlobStore, s3_double: S3Server) -> None:
    blob = pushed(store, CONTENT)
    (name,) = s3_double.names("to/large/")
    s3_double.client().delete_object(Bucket=BUCKET, Key=name)
    assert [entry.key for entry in store.stored_blobs()] == [blob.key]
    with pytest.raises(BlobMissingError):
        store.size_of_blob(blob.key)
