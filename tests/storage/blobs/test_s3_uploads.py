"""What an upload to S3 tells other replicas, and when."""

from contextlib import closing

import pytest

from estiva.digest import Digest
from storage.blobs.s3.holding import Renewal
from storage.blobs.s3.store import S3BlobStore
from tests.estiva_server.process import eventually
from tests.fixtures.s3 import S3Server

CONTENT = b"content"


@pytest.fixture
def store(s3_double: S3Server) -> S3BlobStore:
    return s3_double.store("to")


def test_content_that_comes_whole_is_one_object_and_never_had_a_state(store: S3BlobStore, s3_double: S3Server) -> None:
    with closing(store.begin_upload("one")) as upload:
        upload.write(memoryview(CONTENT))
        assert s3_double.names() == []
        blob = upload.commit(Digest.of(CONTENT))
    assert s3_double.names() == [f"to/blobs/{blob.key}"]


def test_what_lasts_is_told_and_what_has_ended_is_not_told_again(store: S3BlobStore, s3_double: S3Server) -> None:
    store._renewal = Renewal(every=0.05)
    with closing(store.begin_upload("one")) as upload:
        eventually(lambda: s3_double.names() == ["to/uploads/one/state"])
        upload.write(memoryview(CONTENT))
        blob = upload.commit(Digest.of(CONTENT))
        assert s3_double.names() == [f"to/blobs/{blob.key}"]
    assert s3_double.names() == [f"to/blobs/{blob.key}"]


def test_content_in_parts_is_told_with_its_first_part(s3_double: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("moto.s3.models.S3_UPLOAD_PART_MIN_SIZE", 1)
    store = s3_double.store("to", size_of_part=lambda number: 4)
    with closing(store.begin_upload("one")) as upload:
        upload.write(memoryview(CONTENT))
        assert s3_double.names() == ["to/uploads/one/state"]
        upload.commit(Digest.of(CONTENT))
    assert [name for name in s3_double.names() if "/uploads/" in name] == []
    assert s3_double.multiparts() == []
