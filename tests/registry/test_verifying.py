from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from estiva.digest import Digest
from registry import verifying
from registry.begun import UploadKey
from registry.pulling import Pulling
from registry.uploading import Uploading
from registry.verifying import COMMITTED_FOR, READ_FOR, Proven
from storage.blobs.file_upload import WORTH_MARKING
from storage.blobs.filesystem import FilesystemBlobStore
from storage.blobs.identity import identity_of_opened
from storage.metadata.database import Database
from tests.fixtures.facts import NAME

CONTENT = b"content"
DIGEST = Digest.of(CONTENT)
FILE, OTHER = b"a file", b"another"


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Moves the clock."""
    now = [1000.0]
    monkeypatch.setattr(verifying, "monotonic", lambda: now[0])

    def later(seconds: float) -> None:
        now[0] += seconds

    return later


def test_what_was_read_holds_for_a_day_and_what_was_committed_for_minutes(later: Callable[[float], None]) -> None:
    proven = Proven()
    proven.add_read("read", FILE)
    proven.add_committed("committed", FILE)
    assert (proven.seconds_left("read", FILE), proven.seconds_left("committed", FILE)) == (READ_FOR, COMMITTED_FOR)
    later(COMMITTED_FOR)
    assert proven.seconds_left("committed", FILE) == 0
    assert proven.seconds_left("read", FILE) == READ_FOR - COMMITTED_FOR
    later(READ_FOR)
    assert proven.seconds_left("read", FILE) == 0


def test_another_file_under_the_key_proves_nothing() -> None:
    proven = Proven()
    proven.add_read("key", FILE)
    assert proven.seconds_left("key", OTHER) == 0
    assert proven.seconds_left("other", FILE) == 0


def test_what_is_forgotten_has_to_be_read() -> None:
    proven = Proven()
    proven.add_read("key", FILE)
    proven.forget("key")
    proven.forget("key")
    assert proven.seconds_left("key", FILE) == 0


def test_the_oldest_go_first() -> None:
    proven = Proven(limit=2)
    for key in ("a", "b", "a", "c"):
        proven.add_committed(key, FILE)
    assert [key for key in "abc" if proven.seconds_left(key, FILE)] == ["a", "c"]


async def test_what_was_committed_needs_no_reading_until_its_file_is_changed(
    database: Database, tmp_path: Path, threads: ThreadPoolExecutor
) -> None:
    blob_store, proven = FilesystemBlobStore(tmp_path), Proven()
    pulling = Pulling(database, blob_store, proven=proven)
    uploading = Uploading(database, blob_store, threads, proven=proven)
    key = UploadKey(NAME, await uploading.start(NAME))
    content = bytes(WORTH_MARKING)

    async def body(write: Callable[[memoryview], None]) -> int:
        write(memoryview(content))
        return len(content)

    await uploading.append(key, body)
    await uploading.finish(key, Digest.of(content), nothing)
    blob = await pulling.blob(NAME, Digest.of(content))
    with await pulling.open(blob) as file:
        assert 0 < pulling.proven_for(blob, identity_of_opened(file)) <= COMMITTED_FOR
        path = Path(file.name)
        path.chmod(0o644)
        path.write_bytes(b"!" + content[1:])
        assert pulling.proven_for(blob, identity_of_opened(file)) == 0


async def nothing(write: Callable[[memoryview], None]) -> int:
    return 0
