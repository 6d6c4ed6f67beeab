"""A filesystem store on disks that fail or are full."""

import contextlib
import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from storage.blobs import UploadUnknownError
from storage.blobs.filesystem import FilesystemBlobStore

from .files import CONTENT, DIGEST, begin, commit, files_below


def failing(number: int, when: Callable[[Any], bool] = lambda _: True) -> Callable[[Callable[..., Any]], Any]:
    """A system call as it is, but for a first argument of which `when` is true: then it fails."""

    def wrap(call: Callable[..., Any]) -> Callable[..., Any]:
        def called(first: Any, *rest: Any) -> Any:
            if when(first):
                raise OSError(number, os.strerror(number))
            return call(first, *rest)

        return called

    return wrap


def is_directory(descriptor: int) -> bool:
    return stat.S_ISDIR(os.fstat(descriptor).st_mode)


def is_file(descriptor: int) -> bool:
    return not is_directory(descriptor)


class TestWholeContentOnFailingDisks:
    """Content that is stored without an upload is a blob, or nothing is left of it."""

    @pytest.mark.parametrize(
        ("call", "when", "number", "said"),
        [
            ("pwrite", is_file, errno.ENOSPC, "No space left"),
            ("fsync", is_file, errno.EIO, "Input/output"),
            ("rename", lambda _: True, errno.ENOSPC, "No space left"),
            ("fsync", is_directory, errno.EIO, "Input/output"),
        ],
    )
    def test_a_step_that_fails_leaves_nothing(
        self,
        store: FilesystemBlobStore,
        root: Path,
        monkeypatch: pytest.MonkeyPatch,
        call: str,
        when: Callable[[Any], bool],
        number: int,
        said: str,
    ) -> None:
        with monkeypatch.context() as patched:
            patched.setattr(os, call, failing(number, when)(getattr(os, call)))
            with pytest.raises(OSError, match=said):
                store.store_whole("one", DIGEST, CONTENT)
        assert files_below(root) == []
        assert store.store_whole("one", DIGEST, CONTENT) is not None

    def test_short_writes_are_continued(self, store: FilesystemBlobStore, monkeypatch: pytest.MonkeyPatch) -> None:
        write = os.pwrite
        monkeypatch.setattr(os, "pwrite", lambda file, data, offset: write(file, data[:5], offset))
        stored = store.store_whole("one", DIGEST, CONTENT)
        assert stored is not None
        with store.open_blob(stored.key) as file:
            assert file.read() == CONTENT

    def test_a_write_that_stores_nothing_is_an_error_and_not_endless(
        self, store: FilesystemBlobStore, root: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(os, "pwrite", lambda *_: 0)
        with pytest.raises(OSError, match="nothing was written"):
            store.store_whole("one", DIGEST, CONTENT)
        assert files_below(root) == []

    def test_what_a_dead_process_left_of_it_is_purged_as_an_upload(
        self, store: FilesystemBlobStore, root: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        class Dead(BaseException):
            pass

        def die(*_: object) -> None:
            raise Dead

        with monkeypatch.context() as patched:
            patched.setattr(os, "fsync", die)
            patched.setattr(os, "unlink", lambda *_, **__: None)
            with pytest.raises(Dead):
                store.store_whole("one", DIGEST, CONTENT)
        (left,) = files_below(root)
        assert left.parent == root / "uploads"
        os.utime(left, (0, 0))
        assert list(store.stale_uploads(older_than=60)) == [left.name]
        store.discard_upload(left.name)
        assert files_below(root) == []


class TestFailingDisks:
    def test_short_writes_are_continued(self, store: FilesystemBlobStore, monkeypatch: pytest.MonkeyPatch) -> None:
        write = os.pwrite
        monkeypatch.setattr(os, "pwrite", lambda file, data, offset: write(file, data[:5], offset))
        begin(store)
        with store.open_blob(commit(store).key) as file:
            assert file.read() == CONTENT

    def test_a_piece_that_does_not_fit_leaves_the_upload_as_it_was(
        self, store: FilesystemBlobStore, root: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        begin(store, CONTENT[:8])
        write, room = os.pwrite, iter([5])

        def nearly_full(file: int, data: memoryview, offset: int) -> int:
            for left in room:
                return write(file, data[:left], offset)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        with contextlib.closing(store.open_upload("one")) as upload:
            with monkeypatch.context() as patched:
                patched.setattr(os, "pwrite", nearly_full)
                with pytest.raises(OSError, match="No space left"):
                    upload.write(memoryview(CONTENT[8:]))
            assert upload.offset == store.upload_offset("one") == 8
            assert (root / "uploads" / "one").read_bytes() == CONTENT[:8]
            upload.write(memoryview(CONTENT[8:]))
            assert upload.commit(DIGEST).size == len(CONTENT)

    def test_where_a_failed_piece_can_not_be_cut_off_the_offset_is_the_files_length(
        self, store: FilesystemBlobStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        begin(store, b"")
        write = os.pwrite

        def write_five_and_fail(file: int, data: memoryview, offset: int) -> int:
            write(file, data[:5], offset)
            raise OSError(errno.EIO, os.strerror(errno.EIO))

        with contextlib.closing(store.open_upload("one")) as upload:
            with monkeypatch.context() as patched:
                patched.setattr(os, "pwrite", write_five_and_fail)
                patched.setattr(os, "ftruncate", failing(errno.EIO)(os.ftruncate))
                with pytest.raises(OSError, match="Input/output"):
                    upload.write(memoryview(CONTENT))
            assert upload.offset == store.upload_offset("one") == 5
            upload.write(memoryview(CONTENT[5:]))
            assert upload.commit(DIGEST).size == len(CONTENT)

    def test_a_write_that_stores_nothing_is_an_error_and_not_endless(
        self, store: FilesystemBlobStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(os, "pwrite", lambda *_: 0)
        with pytest.raises(OSError, match="nothing was written"):
            begin(store)
        assert store.upload_offset("one") == 0

    def test_content_whose_sync_failed_is_never_a_blob_and_not_trusted_again(
        self, store: FilesystemBlobStore, root: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        begin(store)
        with monkeypatch.context() as patched:
            patched.setattr(os, "fsync", failing(errno.EIO, is_file)(os.fsync))
            with pytest.raises(OSError, match="Input/output"):
                commit(store)
        assert files_below(root) == []
        with pytest.raises(UploadUnknownError):
            store.open_upload("one")

    def test_a_name_whose_sync_failed_is_taken_back(
        self, store: FilesystemBlobStore, root: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        begin(store)
        with monkeypatch.context() as patched:
            patched.setattr(os, "fsync", failing(errno.EIO, is_directory)(os.fsync))
            with pytest.raises(OSError, match="Input/output"):
                commit(store)
        assert files_below(root) == []

    def test_content_that_found_no_room_for_its_name_can_be_committed_later(
        self, store: FilesystemBlobStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        begin(store)
        with monkeypatch.context() as patched:
            patched.setattr(os, "rename", failing(errno.ENOSPC)(os.rename))
            with pytest.raises(OSError, match="No space left"):
                commit(store)
        assert store.upload_offset("one") == len(CONTENT)
        assert commit(store).size == len(CONTENT)

    def test_a_start_whose_sync_failed_is_no_start(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(os, "fsync", failing(errno.EIO)(os.fsync))
        with pytest.raises(OSError, match="Input/output"):
            FilesystemBlobStore(root)


class TestProbing:
    def test_a_probe_leaves_nothing(self, store: FilesystemBlobStore, root: Path) -> None:
        store.probe()
        assert files_below(root) == []

    def test_what_a_killed_probe_left_is_no_upload_and_does_not_stop_the_next(
        self, store: FilesystemBlobStore, root: Path
    ) -> None:
        (root / "uploads" / ".probe").write_bytes(b"\0")
        assert list(store.stale_uploads(older_than=-60)) == []
        store.probe()
        assert files_below(root) == []

    def test_a_store_that_can_not_be_written_to_says_why(self, store: FilesystemBlobStore, root: Path) -> None:
        (root / "uploads").rmdir()
        with pytest.raises(FileNotFoundError):
            store.probe()

    def test_a_full_disk_says_why(self, store: FilesystemBlobStore, root: Path) -> None:
        (root / "uploads" / ".probe").symlink_to("/dev/full")
        with pytest.raises(OSError, match="No space left"):
            store.probe()
