"""What only the filesystem store promises: its files, their modes, other processes."""

import contextlib
import errno
import fcntl
import gc
import hashlib
import os
import stat
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import pytest

from estiva.digest import Algorithm, Digest
from storage.blobs import UploadBusyError, UploadUnknownError
from storage.blobs.filesystem import FilesystemBlobStore

from .files import CONTENT, DIGEST, begin, commit, files_below, unprivileged_directory


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


class TestFiles:
    def test_a_key_is_the_path_of_the_blobs_file(self, store: FilesystemBlobStore, root: Path) -> None:
        begin(store)
        key = commit(store).key
        assert files_below(root) == [root / "blobs" / key]
        assert (root / "blobs" / key).read_bytes() == CONTENT

    def test_a_blob_opens_as_a_file_that_the_kernel_can_send(self, store: FilesystemBlobStore, root: Path) -> None:
        begin(store)
        key = commit(store).key
        with store.open_blob(key) as file:
            assert os.path.samestat(os.fstat(file.fileno()), (root / "blobs" / key).stat())
            assert not os.get_inheritable(file.fileno())

    def test_a_commit_makes_no_directory(self, store: FilesystemBlobStore, root: Path) -> None:
        before = {path for path in root.rglob("*") if path.is_dir()}
        begin(store)
        commit(store, Digest.of(CONTENT, Algorithm.SHA512))
        assert {path for path in root.rglob("*") if path.is_dir()} == before
        assert len(before) == 2 * 256 + 4

    def test_a_directory_that_went_missing_is_made_again_at_the_next_start(
        self, store: FilesystemBlobStore, root: Path
    ) -> None:
        missing = root / "blobs" / "sha256" / DIGEST.hex[:2]
        missing.rmdir()
        begin(store)
        with pytest.raises(FileNotFoundError):
            commit(store)
        again = FilesystemBlobStore(root)
        assert commit(again).size == len(CONTENT)

    @pytest.mark.parametrize("umask", [0, 0o022, 0o777])
    def test_modes_do_not_depend_on_the_umask(self, tmp_path: Path, umask: int) -> None:
        root, before = tmp_path / "deep" / "data", os.umask(umask)
        try:
            store = FilesystemBlobStore(root)
            begin(store)
            assert mode(root / "uploads" / "one") == 0o600
            blob = root / "blobs" / commit(store).key
        finally:
            os.umask(before)
        assert mode(blob) == 0o444
        assert {mode(path) for path in [root.parent, root, *root.rglob("*")] if path.is_dir()} == {0o700}

    def test_the_mode_of_a_root_that_is_there_is_not_touched(self, tmp_path: Path) -> None:
        tmp_path.chmod(0o750)
        FilesystemBlobStore(tmp_path)
        assert mode(tmp_path) == 0o750

    def test_a_root_in_a_directory_that_can_not_be_read_is_used(self) -> None:
        with unprivileged_directory() as folder:
            (folder / "blobs").mkdir()
            folder.chmod(0o311)
            begin(FilesystemBlobStore(folder / "blobs"))

    def test_a_file_in_place_of_a_directory_is_an_error(self, root: Path) -> None:
        root.parent.mkdir()
        root.write_bytes(b"")
        with pytest.raises(FileExistsError):
            FilesystemBlobStore(root)

    def test_a_link_in_place_of_an_upload_is_not_followed(self, store: FilesystemBlobStore, root: Path) -> None:
        outside = root / "outside"
        outside.write_bytes(b"not yours")
        (root / "uploads" / "one").symlink_to(outside)
        with pytest.raises(OSError, match="symbolic links") as refused:
            store.open_upload("one")
        assert refused.value.errno == errno.ELOOP
        assert outside.read_bytes() == b"not yours"


class TestHashing:
    @pytest.fixture
    def passes(self, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        """Grows by one whenever an upload's file is read for its hash."""
        made: list[str] = []
        original = hashlib.file_digest

        def counted(file: Any, constructor: Callable[[], Any]) -> Any:
            made.append(constructor().name)
            return original(file, constructor)

        monkeypatch.setattr(hashlib, "file_digest", counted)
        return made

    def test_content_that_this_process_received_is_not_read_again(
        self, store: FilesystemBlobStore, passes: list[str]
    ) -> None:
        begin(store)
        commit(store)
        assert passes == []

    def test_content_from_before_a_restart_is_read_once(
        self, store: FilesystemBlobStore, root: Path, passes: list[str]
    ) -> None:
        begin(store)
        commit(FilesystemBlobStore(root))
        assert passes == ["sha256"]

    def test_content_that_another_process_added_to_is_read_once(
        self, store: FilesystemBlobStore, root: Path, passes: list[str]
    ) -> None:
        begin(store, CONTENT[:8])
        with contextlib.closing(FilesystemBlobStore(root).open_upload("one")) as upload:
            upload.write(memoryview(CONTENT[8:]))
        commit(store)
        assert passes == ["sha256"]

    def test_a_digest_of_another_algorithm_than_was_hashed_has_the_content_read_once(
        self, store: FilesystemBlobStore, passes: list[str]
    ) -> None:
        begin(store)
        commit(store, Digest.of(CONTENT, Algorithm.SHA512))
        assert passes == ["sha512"]


class TestOtherProcesses:
    @pytest.fixture
    def holder(self, store: FilesystemBlobStore, root: Path) -> Iterator[subprocess.Popen[bytes]]:
        """Another process that wrote CONTENT to upload `one` and holds it."""
        store.create_upload("one")
        script = textwrap.dedent("""
            import sys
            from pathlib import Path
            from storage.blobs.filesystem import FilesystemBlobStore
            upload = FilesystemBlobStore(Path(sys.argv[1])).open_upload("one")
            upload.write(memoryview(sys.argv[2].encode()))
            print("held", flush=True)
            sys.stdin.read()
        """)
        with subprocess.Popen(
            [sys.executable, "-c", script, root, CONTENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"held\n"
            yield process
            process.kill()

    def test_an_upload_that_another_process_holds_is_busy(
        self, store: FilesystemBlobStore, holder: subprocess.Popen[bytes]
    ) -> None:
        with pytest.raises(UploadBusyError):
            store.open_upload("one")
        assert list(store.stale_uploads(older_than=-60)) == []

    def test_an_upload_goes_on_where_a_killed_process_left_it(
        self, store: FilesystemBlobStore, holder: subprocess.Popen[bytes]
    ) -> None:
        holder.kill()
        holder.wait(10)
        assert store.upload_offset("one") == len(CONTENT)
        assert commit(store).size == len(CONTENT)

    @pytest.mark.parametrize("fate", [os.unlink, lambda path: os.rename(path, path.with_name("elsewhere"))])
    def test_an_upload_that_ends_while_it_is_being_opened_is_unknown(
        self, store: FilesystemBlobStore, root: Path, monkeypatch: pytest.MonkeyPatch, fate: Callable[[Path], None]
    ) -> None:
        begin(store)
        lock = fcntl.flock

        def end_and_lock(descriptor: int, operation: int) -> None:
            fate(root / "uploads" / "one")
            lock(descriptor, operation)

        before = len(os.listdir("/proc/self/fd"))
        monkeypatch.setattr(fcntl, "flock", end_and_lock)
        with pytest.raises(UploadUnknownError):
            store.open_upload("one")
        assert len(os.listdir("/proc/self/fd")) == before

    def test_an_upload_that_a_crash_left_read_only_goes_on(self) -> None:
        with unprivileged_directory() as root:
            store = FilesystemBlobStore(root)
            begin(store)
            (root / "uploads" / "one").chmod(0o444)
            with contextlib.closing(store.open_upload("one")) as upload:
                upload.write(memoryview(b"more"))
                assert upload.commit(Digest.of(CONTENT + b"more")).size == len(CONTENT) + 4

    def test_an_upload_that_another_is_committing_stays_read_only(self) -> None:
        with unprivileged_directory() as root:
            store = FilesystemBlobStore(root)
            begin(store)
            with contextlib.closing(store.open_upload("one")):
                (root / "uploads" / "one").chmod(0o444)
                with pytest.raises(UploadBusyError):
                    store.open_upload("one")
                assert mode(root / "uploads" / "one") == 0o444


class TestLettingGo:
    def test_letting_go_waits_for_a_commit_that_another_thread_is_in(
        self, store: FilesystemBlobStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        begin(store)
        syncing, go_on, sync = threading.Event(), threading.Event(), os.fsync

        def slow_sync(descriptor: int) -> None:
            syncing.set()
            assert go_on.wait(10)
            sync(descriptor)

        monkeypatch.setattr(os, "fsync", slow_sync)
        upload = store.open_upload("one")
        with ThreadPoolExecutor() as threads:
            committing = threads.submit(upload.commit, DIGEST)
            assert syncing.wait(10)
            closing = threads.submit(upload.close)
            assert not wait([closing], timeout=0.05).done
            go_on.set()
            assert committing.result(10).size == len(CONTENT)
            closing.result(10)

    @pytest.mark.filterwarnings("ignore::ResourceWarning")
    @pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
    def test_an_upload_that_nobody_refers_to_any_more_is_let_go(self, store: FilesystemBlobStore) -> None:
        begin(store)
        upload = store.open_upload("one")
        del upload
        gc.collect()
        store.open_upload("one").close()
