"""A process that dies at any step of a commit leaves either the upload, to be continued, or the whole blob."""

import contextlib
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from estiva.digest import Digest
from storage.blobs.filesystem import FilesystemBlobStore
from tests.faults.crashing_commit import CONTENT, PIECES, UPLOAD

BEFORE_THE_LAST_PIECE = len(CONTENT) - len(PIECES[-1])
STILL_AN_UPLOAD = [
    ("pwrite", "before", BEFORE_THE_LAST_PIECE),
    ("pwrite", "halfway", BEFORE_THE_LAST_PIECE + len(PIECES[-1]) // 2),
    ("pwrite", "after", len(CONTENT)),
    ("fchmod", "before", len(CONTENT)),
    ("fchmod", "after", len(CONTENT)),
    ("fsync_file", "before", len(CONTENT)),
    ("fsync_file", "after", len(CONTENT)),
    ("rename", "before", len(CONTENT)),
]
ALREADY_A_BLOB = [("rename", "after"), ("fsync_directory", "before"), ("fsync_directory", "after")]


def push(root: Path, call: str, when: str, how: str) -> tuple[int, str]:
    """The exit code of a process that pushes to `root`, and what it said."""
    command = [sys.executable, "-m", "tests.faults.crashing_commit", str(root), call, when, how]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.stderr == ""
    return done.returncode, done.stdout


def files_below(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if not path.is_dir()]


def test_a_process_that_lives_acknowledges(tmp_path: Path) -> None:
    assert push(tmp_path, "nothing", "before", "exit") == (0, "acknowledged\n")


@pytest.mark.parametrize(("how", "code"), [("exit", 9), ("kill", -9)])
@pytest.mark.parametrize(("call", "when", "offset"), STILL_AN_UPLOAD)
def test_a_crash_before_the_rename_leaves_an_upload_that_goes_on(
    tmp_path: Path, call: str, when: str, offset: int, how: str, code: int
) -> None:
    assert push(tmp_path, call, when, how) == (code, "")
    assert files_below(tmp_path / "blobs") == []
    store = FilesystemBlobStore(tmp_path)
    assert store.upload_offset(UPLOAD) == offset
    with contextlib.closing(store.open_upload(UPLOAD)) as upload:
        assert upload.offset == offset
        upload.write(memoryview(CONTENT[offset:]))
        key = upload.commit(Digest.of(CONTENT)).key
    with store.open_blob(key) as file:
        assert file.read() == CONTENT


@pytest.mark.parametrize(("how", "code"), [("exit", 9), ("kill", -9)])
@pytest.mark.parametrize(("call", "when"), ALREADY_A_BLOB)
def test_a_crash_after_the_rename_leaves_a_whole_blob_that_nobody_was_promised(
    tmp_path: Path, call: str, when: str, how: str, code: int
) -> None:
    assert push(tmp_path, call, when, how) == (code, "")
    assert files_below(tmp_path / "uploads") == []
    (blob,) = files_below(tmp_path / "blobs")
    assert blob.name.startswith(Digest.of(CONTENT).hex)
    assert blob.read_bytes() == CONTENT
    assert stat.S_IMODE(blob.stat().st_mode) == 0o444


class TestOrder:
    """The order of the system calls is what makes a power loss harmless."""

    @pytest.fixture
    def calls(self, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        """Every system call that changes something, with the file it is about, in order."""
        made: list[str] = []

        def record(name: str) -> None:
            original = getattr(os, name)

            def recorded(first: Any, *rest: Any, **named: Any) -> Any:
                made.append(
                    f"{name} {Path(os.readlink(f'/proc/self/fd/{first}') if isinstance(first, int) else first)}"
                )
                return original(first, *rest, **named)

            monkeypatch.setattr(os, name, recorded)

        for name in ("pwrite", "fchmod", "fsync", "rename", "link", "unlink", "mkdir"):
            record(name)
        return made

    def test_content_is_on_disk_before_its_name_and_the_name_before_the_answer(
        self, tmp_path: Path, calls: list[str]
    ) -> None:
        store = FilesystemBlobStore(tmp_path)
        store.create_upload("one")
        calls.clear()
        with contextlib.closing(store.open_upload("one")) as upload:
            upload.write(memoryview(CONTENT))
            blob = tmp_path / "blobs" / upload.commit(Digest.of(CONTENT)).key
            calls.append("answer")
        file = tmp_path / "uploads" / "one"
        assert calls == [
            f"pwrite {file}",
            f"fchmod {file}",
            f"fsync {file}",
            f"rename {file}",
            f"fsync {blob.parent}",
            "answer",
        ]

    def test_the_order_is_the_same_for_content_that_came_whole(self, tmp_path: Path, calls: list[str]) -> None:
        store = FilesystemBlobStore(tmp_path)
        calls.clear()
        stored = store.store_whole("one", Digest.of(CONTENT), CONTENT)
        assert stored is not None
        blob = tmp_path / "blobs" / stored.key
        file = tmp_path / "uploads" / stored.key.rpartition(".")[2]
        assert calls == [f"pwrite {file}", f"fsync {file}", f"rename {file}", f"fsync {blob.parent}"]

    def test_every_directory_is_on_disk_before_anything_is_put_into_it(self, tmp_path: Path, calls: list[str]) -> None:
        root = tmp_path / "new" / "data"
        FilesystemBlobStore(root)
        made = [Path(call.removeprefix("mkdir ")) for call in calls if call.startswith("mkdir ")]
        assert len(made) == 2 * 256 + 6
        for folder in made:
            synced = calls.index(f"fsync {folder.parent}", calls.index(f"mkdir {folder}"))
            assert not any(call.startswith(f"mkdir {folder}/") for call in calls[:synced])

    def test_a_start_that_was_cut_short_is_made_good_by_the_next(self, tmp_path: Path, calls: list[str]) -> None:
        FilesystemBlobStore(tmp_path)
        calls.clear()
        FilesystemBlobStore(tmp_path)
        parents = [tmp_path, tmp_path / "blobs", tmp_path / "blobs" / "sha256", tmp_path / "blobs" / "sha512"]
        assert calls == [f"fsync {parent}" for parent in parents]
