import io
from pathlib import Path

import pytest

from estiva.digest import Algorithm, Digest
from storage.blobs.hashing import RunningHash, RunningHashes, digest_of_file


def running(content: bytes, algorithm: Algorithm = Algorithm.SHA256) -> RunningHash:
    started = RunningHash(algorithm)
    started.update(memoryview(content))
    return started


@pytest.mark.parametrize("algorithm", Algorithm)
def test_a_running_hash_is_the_digest_of_all_pieces(algorithm: Algorithm) -> None:
    pieces = running(b"one ", algorithm)
    pieces.update(memoryview(b"two"))
    assert pieces.digest() == Digest.of(b"one two", algorithm)
    assert pieces.length == 7


@pytest.mark.parametrize("algorithm", Algorithm)
def test_a_file_is_hashed_from_its_first_byte_wherever_it_stands(tmp_path: Path, algorithm: Algorithm) -> None:
    content = bytes(range(256)) * 4096
    (tmp_path / "file").write_bytes(content)
    with io.FileIO(tmp_path / "file") as file:
        file.seek(1000)
        assert digest_of_file(file, algorithm) == Digest.of(content, algorithm)


class TestRunningHashes:
    def test_a_hash_goes_on_where_it_was_kept(self) -> None:
        waiting, kept = RunningHashes(), running(b"abc")
        waiting.keep("one", kept)
        assert waiting.take("one", Algorithm.SHA256, 3) is kept

    def test_a_hash_is_taken_once(self) -> None:
        waiting = RunningHashes()
        waiting.keep("one", running(b"abc"))
        waiting.take("one", Algorithm.SHA256, 3)
        assert waiting.take("one", Algorithm.SHA256, 3) is None

    def test_a_hash_of_another_length_is_of_no_use(self) -> None:
        waiting = RunningHashes()
        waiting.keep("one", running(b"abc"))
        assert waiting.take("one", Algorithm.SHA256, 4) is None

    def test_a_hash_of_another_algorithm_is_of_no_use(self) -> None:
        waiting = RunningHashes()
        waiting.keep("one", running(b"abc"))
        assert waiting.take("one", Algorithm.SHA512, 3) is None

    def test_an_empty_upload_gets_a_new_hash_of_the_algorithm_asked_for(self) -> None:
        waiting = RunningHashes()
        waiting.keep("one", running(b""))
        fresh = waiting.take("one", Algorithm.SHA512, 0)
        assert fresh is not None
        assert fresh.digest() == Digest.of(b"", Algorithm.SHA512)

    def test_no_more_wait_than_the_limit_and_the_oldest_goes(self) -> None:
        waiting = RunningHashes(limit=2)
        for name in ("one", "two", "three"):
            waiting.keep(name, running(b"abc"))
        found = [waiting.take(name, Algorithm.SHA256, 3) is not None for name in ("one", "two", "three")]
        assert found == [False, True, True]
