"""What every blob store promises of stored blobs (`storage.blobs`), told to each implementation."""

import contextlib
import io
import time

import pytest

from estiva.digest import Algorithm, Digest
from storage.blobs import (
    BlobMissingError,
    BlobStore,
    StoredBlob,
    UploadUnknownError,
)
from tests.fixtures.blob_stores import (
    CONTENT,
    HOSTILE_KEYS,
    HOSTILE_NAMES,
    begun,
    content_of,
    held,
    pushed,
)


class TestReading:
    def test_a_blob_is_seekable(self, store: BlobStore) -> None:
        with store.open_blob(pushed(store, "one", CONTENT).key) as file:
            assert file.seek(8) == 8
            assert file.read(4) == CONTENT[8:12]
            assert file.seek(-3, io.SEEK_END) == len(CONTENT) - 3
            assert file.read() == CONTENT[-3:]

    def test_a_blob_can_not_be_written_to_through_what_was_opened(self, store: BlobStore) -> None:
        blob = pushed(store, "one", CONTENT)
        with store.open_blob(blob.key) as file, contextlib.suppress(io.UnsupportedOperation):
            file.write(b"overwritten")
        assert content_of(store, blob.key) == CONTENT

    def test_a_key_without_bytes_is_missing(self, store: BlobStore) -> None:
        key = pushed(store, "one", CONTENT).key
        with pytest.raises(BlobMissingError):
            store.open_blob(key[:-1] + ("0" if key[-1] != "0" else "1"))

    def test_its_size_is_told_without_reading_it(self, store: BlobStore) -> None:
        blob = pushed(store, "one", CONTENT)
        assert store.size_of_blob(blob.key) == len(CONTENT)
        assert store.size_of_blob(pushed(store, "two", b"").key) == 0
        store.delete_blob(blob.key)
        with pytest.raises(BlobMissingError):
            store.size_of_blob(blob.key)


class TestDeleting:
    def test_a_deleted_blob_is_missing(self, store: BlobStore) -> None:
        blob = pushed(store, "one", CONTENT)
        store.delete_blob(blob.key)
        with pytest.raises(BlobMissingError):
            store.open_blob(blob.key)

    def test_deleting_twice_is_no_error(self, store: BlobStore) -> None:
        blob = pushed(store, "one", CONTENT)
        store.delete_blob(blob.key)
        store.delete_blob(blob.key)

    def test_a_late_delete_of_an_older_generation_leaves_the_newer_one(self, store: BlobStore) -> None:
        older = pushed(store, "one", CONTENT)
        store.delete_blob(older.key)
        newer = pushed(store, "two", CONTENT)
        store.delete_blob(older.key)
        assert content_of(store, newer.key) == CONTENT

    def test_who_reads_a_blob_reads_on_after_its_deletion(self, store: BlobStore) -> None:
        blob = pushed(store, "one", CONTENT)
        with store.open_blob(blob.key) as file:
            store.delete_blob(blob.key)
            assert file.read() == CONTENT


class TestDeletingMany:
    def test_all_of_them_are_gone_and_no_other(self, store: BlobStore) -> None:
        kept, *gone = [pushed(store, f"upload-{number}", CONTENT) for number in range(4)]
        store.delete_blobs(blob.key for blob in gone)
        assert [entry.key for entry in store.stored_blobs()] == [kept.key]
        assert content_of(store, kept.key) == CONTENT

    def test_none_is_none(self, store: BlobStore) -> None:
        store.delete_blobs([])

    def test_what_is_gone_or_never_was_is_no_error_and_keeps_none_of_the_others(self, store: BlobStore) -> None:
        first, second = pushed(store, "one", CONTENT), pushed(store, "two", CONTENT)
        store.delete_blob(first.key)
        store.delete_blobs([first.key, "../uploads/other", second.key])
        assert list(store.stored_blobs()) == []


class TestListing:
    def test_an_empty_store_lists_nothing(self, store: BlobStore) -> None:
        begun(store, "one", CONTENT)
        assert list(store.stored_blobs()) == []

    def test_every_blob_is_listed_once_in_the_order_of_the_keys_with_its_size(self, store: BlobStore) -> None:
        blobs = [pushed(store, f"upload-{number}", b"x" * number) for number in range(20)]
        listed = [(entry.key, entry.size) for entry in store.stored_blobs()]
        assert listed == sorted((blob.key, blob.size) for blob in blobs)

    def test_the_list_goes_on_after_any_key(self, store: BlobStore) -> None:
        keys = sorted(pushed(store, f"upload-{number}", b"x" * number).key for number in range(9))
        keys.append(_pushed_sha512(store).key)
        for number, key in enumerate(keys):
            assert [entry.key for entry in store.stored_blobs(after=key)] == keys[number + 1 :]
        assert [entry.key for entry in store.stored_blobs(after="sha256/~")] == keys[-1:]

    def test_no_blob_is_foreign(self, store: BlobStore) -> None:
        pushed(store, "one", CONTENT)
        _pushed_sha512(store)
        begun(store, "two", CONTENT)
        assert list(store.foreign_names()) == []

    def test_it_tells_when_a_blob_came(self, store: BlobStore) -> None:
        before = time.time()
        pushed(store, "one", CONTENT)
        (entry,) = store.stored_blobs()
        assert before - 2 <= entry.modified <= time.time() + 2  # stores may count whole seconds

    def test_a_blob_that_is_deleted_in_between_takes_no_other_with_it(self, store: BlobStore) -> None:
        keys = sorted(pushed(store, f"upload-{number}", b"x" * number).key for number in range(4))
        entries = store.stored_blobs()
        assert next(entries).key == keys[0]
        store.delete_blobs(keys[:2])
        assert set(keys[2:]) <= {entry.key for entry in entries} <= set(keys[1:])


def _pushed_sha512(store: BlobStore) -> StoredBlob:
    with held(store, begun(store, "sha512", CONTENT), Algorithm.SHA512) as upload:
        return upload.commit(Digest.of(CONTENT, Algorithm.SHA512))


class TestHostileNames:
    @pytest.mark.parametrize("name", HOSTILE_NAMES)
    def test_no_upload_begins_under_a_hostile_id(self, store: BlobStore, name: str) -> None:
        with pytest.raises(ValueError, match="not an upload id"):
            store.create_upload(name)

    @pytest.mark.parametrize("name", HOSTILE_NAMES)
    def test_a_hostile_upload_id_is_unknown(self, store: BlobStore, name: str) -> None:
        with pytest.raises(UploadUnknownError):
            store.open_upload(name)
        with pytest.raises(UploadUnknownError):
            store.upload_offset(name)
        store.discard_upload(name)

    @pytest.mark.parametrize("key", HOSTILE_KEYS)
    def test_a_hostile_key_is_missing(self, store: BlobStore, key: str) -> None:
        begun(store, "other")
        with pytest.raises(BlobMissingError):
            store.open_blob(key)
        with pytest.raises(BlobMissingError):
            store.size_of_blob(key)
        store.delete_blob(key)
        store.delete_blobs([key])
        assert store.upload_offset("other") == 0


def test_a_store_that_works_can_be_probed_and_is_unchanged(store: BlobStore) -> None:
    blob = pushed(store, "one", CONTENT)
    begun(store, "two", CONTENT)
    store.probe()
    assert content_of(store, blob.key) == CONTENT
    assert list(store.stale_uploads(older_than=-60)) == ["two"]


def test_a_store_says_how_much_room_it_has_or_that_no_limit_is_known(store: BlobStore) -> None:
    room = store.room()
    assert room is None or 0 <= room.free <= room.total
