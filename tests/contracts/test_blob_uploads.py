"""What every blob store promises of uploads (`storage.blobs`), told to each implementation."""

import contextlib
import threading
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from estiva.digest import Algorithm, Digest
from storage.blobs import (
    BlobStore,
    DigestMismatchError,
    StoredBlob,
    Upload,
    UploadBusyError,
    UploadUnknownError,
)
from tests.fixtures.blob_stores import (
    CONTENT,
    OTHER,
    REAL_S3,
    Reopen,
    begun,
    content_of,
    filesystem,
    held,
    memory,
    pushed,
    s3,
    s3_in_parts,
)


class TestPushing:
    def test_a_committed_upload_is_a_blob_with_its_bytes_and_size(self, store: BlobStore) -> None:
        blob = pushed(store, "one", CONTENT)
        assert content_of(store, blob.key) == CONTENT
        assert blob.size == len(CONTENT)

    def test_an_empty_blob_is_a_blob(self, store: BlobStore) -> None:
        blob = pushed(store, "one", b"")
        assert blob.size == 0
        assert content_of(store, blob.key) == b""

    def test_a_committed_upload_is_gone(self, store: BlobStore) -> None:
        pushed(store, "one", CONTENT)
        with pytest.raises(UploadUnknownError):
            store.upload_offset("one")
        with pytest.raises(UploadUnknownError):
            store.open_upload("one")

    def test_a_blob_is_there_for_whoever_opens_the_store_next(self, reopen: Reopen) -> None:
        blob = pushed(reopen(), "one", CONTENT)
        assert content_of(reopen(), blob.key) == CONTENT

    def test_the_key_holds_the_digest(self, store: BlobStore) -> None:
        assert Digest.of(CONTENT).hex in pushed(store, "one", CONTENT).key

    def test_the_same_content_pushed_twice_has_two_keys_and_both_can_be_read(self, store: BlobStore) -> None:
        first, second = pushed(store, "one", CONTENT), pushed(store, "two", CONTENT)
        assert first.key != second.key
        assert content_of(store, first.key) == content_of(store, second.key) == CONTENT

    def test_concurrent_commits_of_the_same_content_all_become_blobs(self, store: BlobStore) -> None:
        blobs: list[StoredBlob] = []
        threads = [
            threading.Thread(target=lambda name: blobs.append(pushed(store, name, CONTENT)), args=(f"upload-{n}",))
            for n in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len({blob.key for blob in blobs}) == 8
        assert {content_of(store, blob.key) for blob in blobs} == {CONTENT}

    @pytest.mark.parametrize("opened_with", Algorithm)
    @pytest.mark.parametrize("algorithm", Algorithm)
    def test_the_digest_may_be_of_any_algorithm_whatever_was_hashed_before(
        self, store: BlobStore, opened_with: Algorithm, algorithm: Algorithm
    ) -> None:
        store.create_upload("one")
        with held(store, "one", opened_with) as upload:
            upload.write(memoryview(CONTENT))
            blob = upload.commit(Digest.of(CONTENT, algorithm))
        assert content_of(store, blob.key) == CONTENT

    def test_the_algorithm_may_change_from_one_request_to_the_next(self, store: BlobStore) -> None:
        begun(store, "one", CONTENT)
        with held(store, "one", Algorithm.SHA512) as upload:
            upload.write(memoryview(CONTENT))
            blob = upload.commit(Digest.of(CONTENT * 2, Algorithm.SHA512))
        assert content_of(store, blob.key) == CONTENT * 2

    def test_writing_nothing_changes_nothing(self, store: BlobStore) -> None:
        with held(store, begun(store, "one", CONTENT)) as upload:
            upload.write(memoryview(b""))
            assert upload.offset == len(CONTENT)
            upload.commit(Digest.of(CONTENT))


class TestWholeContent:
    """`store_whole`: a shorter way to a blob, where the store has one."""

    def test_content_that_is_stored_whole_is_a_blob_and_no_upload(self, store: BlobStore) -> None:
        blob = store.store_whole("one", Digest.of(CONTENT, Algorithm.SHA512), CONTENT)
        if blob is not None:
            assert content_of(store, blob.key) == CONTENT
            assert blob.size == len(CONTENT)
            assert Digest.of(CONTENT, Algorithm.SHA512).hex in blob.key
        with pytest.raises(UploadUnknownError):
            store.upload_offset("one")
        assert list(store.stale_uploads(older_than=0)) == []

    def test_of_an_upload_that_holds_something_nothing_is_stored(self, store: BlobStore) -> None:
        begun(store, "one", CONTENT)
        assert store.store_whole("one", Digest.of(CONTENT), CONTENT) is None
        assert list(store.stored_blobs()) == []
        assert store.upload_offset("one") == len(CONTENT)

    def test_content_with_another_digest_is_refused_or_left_alone(self, store: BlobStore) -> None:
        with contextlib.suppress(DigestMismatchError):
            assert store.store_whole("one", OTHER, CONTENT) is None
        assert list(store.stored_blobs()) == []


class TestWrongDigest:
    def test_content_with_another_digest_is_refused(self, store: BlobStore) -> None:
        with held(store, begun(store, "one", CONTENT)) as upload, pytest.raises(DigestMismatchError):
            upload.commit(OTHER)

    def test_an_empty_upload_with_another_digest_is_refused(self, store: BlobStore) -> None:
        with held(store, begun(store, "one")) as upload, pytest.raises(DigestMismatchError):
            upload.commit(OTHER)

    def test_another_digest_is_refused_also_when_the_content_must_be_hashed_anew(self, reopen: Reopen) -> None:
        begun(reopen(), "one", CONTENT)
        with held(reopen(), "one") as upload, pytest.raises(DigestMismatchError):
            upload.commit(OTHER)

    def test_a_refused_upload_goes_on_where_it_was(self, store: BlobStore) -> None:
        with held(store, begun(store, "one", CONTENT)) as upload:
            with pytest.raises(DigestMismatchError):
                upload.commit(OTHER)
            assert upload.offset == len(CONTENT)
            upload.write(memoryview(b"more"))
            blob = upload.commit(Digest.of(CONTENT + b"more"))
        assert content_of(store, blob.key) == CONTENT + b"more"

    def test_a_refused_upload_can_be_left_and_continued(self, reopen: Reopen) -> None:
        store = reopen()
        with held(store, begun(store, "one", CONTENT)) as upload, pytest.raises(DigestMismatchError):
            upload.commit(OTHER)
        with held(reopen(), "one") as upload:
            assert content_of(reopen(), upload.commit(Digest.of(CONTENT)).key) == CONTENT


class TestContinuing:
    def test_a_new_upload_is_empty(self, store: BlobStore) -> None:
        store.create_upload("one")
        assert store.upload_offset("one") == 0

    def test_the_offset_counts_what_was_written(self, store: BlobStore) -> None:
        with held(store, begun(store, "one")) as upload:
            upload.write(memoryview(CONTENT))
            assert upload.offset == store.upload_offset("one") == len(CONTENT)
        assert store.upload_offset("one") == len(CONTENT)

    def test_an_upload_goes_on_in_the_next_request(self, store: BlobStore) -> None:
        begun(store, "one", CONTENT)
        with held(store, "one") as upload:
            assert upload.offset == len(CONTENT)
            upload.write(memoryview(b"more"))
            blob = upload.commit(Digest.of(CONTENT + b"more"))
        assert content_of(store, blob.key) == CONTENT + b"more"

    def test_an_upload_goes_on_after_a_restart(self, reopen: Reopen) -> None:
        begun(reopen(), "one", CONTENT)
        assert reopen().upload_offset("one") == len(CONTENT)
        with held(reopen(), "one") as upload:
            upload.write(memoryview(b"more"))
            blob = upload.commit(Digest.of(CONTENT + b"more"))
        assert content_of(reopen(), blob.key) == CONTENT + b"more"

    def test_what_another_process_wrote_in_between_belongs_to_the_content(self, reopen: Reopen) -> None:
        here, there = reopen(), reopen()
        begun(here, "one", b"here ")
        with held(there, "one") as upload:
            upload.write(memoryview(b"there "))
        with held(here, "one") as upload:
            upload.write(memoryview(b"here again"))
            blob = upload.commit(Digest.of(b"here there here again"))
        assert content_of(here, blob.key) == b"here there here again"

    def test_an_unknown_upload_is_unknown(self, store: BlobStore) -> None:
        with pytest.raises(UploadUnknownError):
            store.open_upload("nobody")
        with pytest.raises(UploadUnknownError):
            store.upload_offset("nobody")

    def test_an_upload_begins_once(self, store: BlobStore) -> None:
        begun(store, "one", CONTENT)
        with pytest.raises(FileExistsError):
            store.create_upload("one")
        assert store.upload_offset("one") == len(CONTENT)


class TestBeginning:
    def test_what_is_begun_and_committed_at_once_is_a_blob(self, store: BlobStore) -> None:
        with contextlib.closing(store.begin_upload("one")) as upload:
            upload.write(memoryview(CONTENT))
            blob = upload.commit(Digest.of(CONTENT))
        assert content_of(store, blob.key) == CONTENT
        with pytest.raises(UploadUnknownError):
            store.open_upload("one")

    @pytest.mark.parametrize("content", [b"", CONTENT], ids=["nothing", "something"])
    def test_what_is_begun_and_let_go_is_continued_anywhere(self, reopen: Reopen, content: bytes) -> None:
        with contextlib.closing(reopen().begin_upload("one")) as upload:
            upload.write(memoryview(content))
        there = reopen()
        assert there.upload_offset("one") == len(content)
        with held(there, "one") as upload:
            upload.write(memoryview(b"more"))
            assert content_of(there, upload.commit(Digest.of(content + b"more")).key) == content + b"more"

    def test_of_two_who_begin_the_same_upload_one_goes_on(self, reopen: Reopen) -> None:
        here, there = reopen(), reopen()
        first = here.begin_upload("one")
        first.write(memoryview(CONTENT))

        def begin_too() -> None:
            second = there.begin_upload("one")
            first.close()
            second.write(memoryview(b"second"))
            second.close()

        with pytest.raises(UploadBusyError):
            begin_too()
        first.close()
        with held(reopen(), "one") as upload:
            assert content_of(here, upload.commit(Digest.of(CONTENT)).key) == CONTENT

    def test_an_upload_that_is_discarded_before_it_has_anything_can_not_be_committed(self, store: BlobStore) -> None:
        with contextlib.closing(store.begin_upload("one")) as upload:
            store.discard_upload("one")
            with contextlib.suppress(UploadUnknownError):
                upload.write(memoryview(CONTENT))
            with pytest.raises(UploadUnknownError):
                upload.commit(Digest.of(CONTENT))
        assert list(store.stored_blobs()) == []

    def test_a_wrong_digest_leaves_what_was_begun_to_be_continued(self, store: BlobStore) -> None:
        with contextlib.closing(store.begin_upload("one")) as upload:
            upload.write(memoryview(CONTENT))
            with pytest.raises(DigestMismatchError):
                upload.commit(Digest.of(b"else"))
        assert store.upload_offset("one") == len(CONTENT)

    @pytest.mark.parametrize("name", ["", "../one", "x" * 129])
    def test_a_name_that_is_no_id_is_refused(self, store: BlobStore, name: str) -> None:
        with pytest.raises(ValueError, match="upload id"):
            store.begin_upload(name)


Pieces = list[tuple[bytes, str]]
PIECES = st.lists(st.tuples(st.binary(max_size=300), st.sampled_from(["same request", "next", "restart"])))


class TestPieces:
    @pytest.mark.parametrize("reopen", [memory, filesystem], indirect=True)
    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
    @given(pieces=PIECES, algorithm=st.sampled_from(Algorithm))
    def test_content_in_any_pieces_over_any_requests_and_restarts_is_that_content(
        self, reopen: Reopen, pieces: Pieces, algorithm: Algorithm
    ) -> None:
        push_in_pieces(reopen, pieces, algorithm)

    @pytest.mark.parametrize("reopen", [s3, s3_in_parts, REAL_S3], indirect=True)
    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=5)
    @given(pieces=PIECES, algorithm=st.sampled_from(Algorithm))
    def test_so_it_is_where_each_step_is_a_request(self, reopen: Reopen, pieces: Pieces, algorithm: Algorithm) -> None:
        push_in_pieces(reopen, pieces, algorithm)


def push_in_pieces(reopen: Reopen, pieces: Pieces, algorithm: Algorithm) -> None:
    content = b"".join(piece for piece, _ in pieces)
    upload_id = f"upload-{time.monotonic_ns()}"
    store = reopen()
    store.create_upload(upload_id)
    upload, sent = store.open_upload(upload_id, algorithm), 0
    for piece, then in pieces:
        upload.write(memoryview(piece))
        sent += len(piece)
        if then != "same request":
            upload.close()
            store = reopen() if then == "restart" else store
            upload = store.open_upload(upload_id, algorithm)
        assert upload.offset == store.upload_offset(upload_id) == sent
    with contextlib.closing(upload):
        blob = upload.commit(Digest.of(content, algorithm))
    assert content_of(reopen(), blob.key) == content


class TestHolding:
    def test_an_upload_that_is_held_is_busy_for_others(self, reopen: Reopen) -> None:
        store = reopen()
        with held(store, begun(store, "one", CONTENT)):
            for other in (store, reopen()):
                with pytest.raises(UploadBusyError):
                    other.open_upload("one")
        with held(store, "one") as upload:
            assert upload.offset == len(CONTENT)

    def test_the_offset_of_an_upload_that_is_held_can_be_asked(self, store: BlobStore) -> None:
        with held(store, begun(store, "one", CONTENT)):
            assert store.upload_offset("one") == len(CONTENT)

    def test_letting_go_twice_lets_go_once(self, store: BlobStore) -> None:
        upload = store.open_upload(begun(store, "one"))
        upload.close()
        with held(store, "one"):
            upload.close()
            with pytest.raises(UploadBusyError):
                store.open_upload("one")

    def test_an_upload_that_was_let_go_takes_nothing(self, store: BlobStore) -> None:
        upload = store.open_upload(begun(store, "one", CONTENT))
        upload.close()
        with pytest.raises(ValueError, match="let go"):
            upload.write(memoryview(b"more"))
        with pytest.raises(ValueError, match="let go"):
            upload.commit(Digest.of(CONTENT))
        assert store.upload_offset("one") == len(CONTENT)

    def test_of_many_who_want_an_upload_at_once_one_gets_it(self, store: BlobStore) -> None:
        begun(store, "one")
        start = threading.Barrier(8)
        outcomes: list[Upload | None] = []

        def want() -> None:
            start.wait()
            try:
                outcomes.append(store.open_upload("one"))
            except UploadBusyError:
                outcomes.append(None)

        threads = [threading.Thread(target=want) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        winners = [upload for upload in outcomes if upload is not None]
        assert (len(outcomes), len(winners)) == (8, 1)
        winners[0].close()


class TestDiscarding:
    def test_a_discarded_upload_is_unknown(self, store: BlobStore) -> None:
        store.discard_upload(begun(store, "one", CONTENT))
        with pytest.raises(UploadUnknownError):
            store.open_upload("one")

    def test_discarding_twice_or_what_never_was_is_no_error(self, store: BlobStore) -> None:
        store.discard_upload(begun(store, "one"))
        store.discard_upload("one")
        store.discard_upload("nobody")

    def test_an_upload_that_is_discarded_while_it_is_held_can_not_be_committed(self, store: BlobStore) -> None:
        with held(store, begun(store, "one", CONTENT)) as upload:
            store.discard_upload("one")
            with contextlib.suppress(UploadUnknownError):
                upload.write(memoryview(b"more"))
            with pytest.raises(UploadUnknownError):
                upload.commit(Digest.of(CONTENT + b"more"))
        with pytest.raises(UploadUnknownError):
            store.upload_offset("one")

    @pytest.mark.parametrize("still_held", [True, False])
    def test_nothing_of_a_discarded_upload_is_in_one_that_begins_under_its_id(
        self, store: BlobStore, still_held: bool
    ) -> None:
        with held(store, begun(store, "one", CONTENT)) as upload:
            if still_held:
                store.discard_upload("one")
            with contextlib.suppress(UploadUnknownError):
                upload.write(memoryview(b"!"))
        store.discard_upload("one")
        with held(store, begun(store, "one", b"?" * (len(CONTENT) + 1))) as upload:
            with pytest.raises(DigestMismatchError):
                upload.commit(Digest.of(CONTENT + b"!"))
            upload.commit(Digest.of(b"?" * (len(CONTENT) + 1)))

    def test_discarding_an_upload_leaves_blobs_alone(self, store: BlobStore) -> None:
        blob = pushed(store, "one", CONTENT)
        store.discard_upload("one")
        assert content_of(store, blob.key) == CONTENT


class TestStaleUploads:
    def test_an_upload_is_stale_when_it_got_nothing_for_that_long(self, store: BlobStore) -> None:
        begun(store, "one", CONTENT)
        assert list(store.stale_uploads(older_than=60)) == []
        time.sleep(0.05)
        assert list(store.stale_uploads(older_than=0.02)) == ["one"]

    def test_an_upload_that_is_held_is_not_stale(self, store: BlobStore) -> None:
        begun(store, "one")
        begun(store, "two")
        with held(store, "one"):
            time.sleep(0.02)
            assert list(store.stale_uploads(older_than=0)) == ["two"]

    def test_asking_for_stale_uploads_holds_none(self, store: BlobStore) -> None:
        begun(store, "one", CONTENT)
        time.sleep(0.02)
        for upload_id in store.stale_uploads(older_than=0):
            with held(store, upload_id) as upload:
                upload.commit(Digest.of(CONTENT))
        assert list(store.stale_uploads(older_than=0)) == []
