"""What only the filesystem store promises: its files, their modes, other processes, disks that fail."""

import contextlib
import errno
import fcntl
import gc
import hashlib
import os
import stat
import subprocess
import sys
import tempfile
import textwrap
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import pytest

from estiva.digest import Algorithm, Digest
from storage.blobs import StoredBlob, UploadBusyError, UploadUnknownError
from storage.blobs.filesystem import FilesystemBlobStore

CONTENT = b"sixteen tons of cargo, and what do you get"
DIGEST = Digest.of(CONTENT)
NOBODY = 65534


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "data" / "blobs"


@pytest.fixture
def store(root: Path) -> FilesystemBlobStore:
    return FilesystemBlobStore(root)


def begin(store: FilesystemBlobStore, content: bytes = CONTENT) -> None:
    store.create_upload("one")
    with contextlib.closing(store.open_upload("one")) as upload:
        upload.write(memoryview(content))


def commit(store: FilesystemBlobStore, digest: Digest = DIGEST) -> StoredBlob:
    with contextlib.closing(store.open_upload("one")) as upload:
        return upload.commit(digest)


def files_below(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if not path.is_dir())


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


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


@contextlib.contextmanager
def unprivileged_directory() -> Iterator[Path]:
    """A directory of somebody to whom file modes apply, who also runs the block: root is above them."""
    user = os.geteuid()
    with tempfile.TemporaryDirectory() as folder:
        if user == 0:
            os.chown(folder, NOBODY, -1)
            os.seteuid(NOBODY)
        try:
            yield Path(folder)
        finally:
            os.seteuid(user)


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
