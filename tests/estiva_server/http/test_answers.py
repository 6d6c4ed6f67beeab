"""The answer cache keeps within its bounds and keeps what is used."""

import math
from pathlib import Path

import pytest

from estiva_server.http.answers import Answer, AnswerCache, FileBody
from storage.blobs.identity import identity_of, mark


def answer(body: bytes | FileBody = b"x", version: int = 1, expires: float = math.inf) -> Answer:
    return Answer(version, 200, [(b"content-type", b"text/plain")], body, expires)


def cache(**bounds: int) -> AnswerCache:
    return AnswerCache(lambda: 1, **bounds)


def test_the_number_of_entries_is_bounded() -> None:
    kept = cache(max_entries=10)
    for number in range(100):
        kept.put(b"/%d" % number, b"", answer())
    assert len(kept) == 10
    assert kept.get(b"/99", b"", 0) is not None
    assert kept.get(b"/0", b"", 0) is None


def test_the_bytes_held_are_bounded_and_given_back() -> None:
    kept = cache(max_bytes=100_000)
    for number in range(100):
        kept.put(b"/%d" % number, b"", answer(bytes(10_000)))
        assert kept.bytes_held <= 100_000
    assert 5 <= len(kept) <= 10
    for number in range(100):
        kept.drop(b"/%d" % number, b"")
    assert (len(kept), kept.bytes_held) == (0, 0)


def test_replacing_an_answer_counts_it_once() -> None:
    kept = cache()
    kept.put(b"/", b"", answer(bytes(1000)))
    held = kept.bytes_held
    kept.put(b"/", b"", answer(bytes(1000)))
    assert (len(kept), kept.bytes_held) == (1, held)


def test_what_is_used_outlives_what_is_not() -> None:
    kept = cache(max_entries=10)
    kept.put(b"/used", b"", answer())
    for number in range(100):
        assert kept.get(b"/used", b"", 0) is not None
        kept.put(b"/%d" % number, b"", answer())
    assert kept.get(b"/used", b"", 0) is not None


def test_large_bodies_are_not_kept_and_an_older_answer_goes() -> None:
    kept = cache(max_body_bytes=100)
    kept.put(b"/", b"", answer(bytes(100)))
    kept.put(b"/", b"", answer(bytes(101)))
    assert len(kept) == 0


def test_an_answer_that_turns_out_stale_is_dropped() -> None:
    kept = cache()
    kept.put(b"/old", b"", answer(version=0))
    kept.put(b"/late", b"", answer(expires=5.0))
    assert kept.get(b"/late", b"", 4.9) is not None
    assert kept.get(b"/late", b"", 5.0) is None
    assert kept.get(b"/old", b"", 0) is None
    assert len(kept) == 0


def test_the_head_leaves_out_what_each_response_has_of_its_own() -> None:
    headers = [(b"Content-Length", b"7"), (b"Date", b"x"), (b"Connection", b"close"), (b"ETag", b'"a"')]
    assert Answer(1, 200, headers, b"abc").head == b'HTTP/1.1 200 OK\r\netag: "a"\r\ncontent-length: 3\r\n'


@pytest.mark.parametrize("field", [(b"a b", b"c"), (b"", b"c"), (b"a", b"b\r\nc: d"), (b"a", b"\x00")])
def test_a_header_that_would_break_the_response_is_refused(field: tuple[bytes, bytes]) -> None:
    with pytest.raises(ValueError, match="header"):
        Answer(1, 200, [field], b"")


@pytest.mark.parametrize("status", [100, 204, 206, 304, 600])
def test_only_whole_responses_can_be_remembered(status: int) -> None:
    with pytest.raises(ValueError, match="cannot be remembered"):
        Answer(1, status, [], b"")


def test_a_file_is_read_only_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"abc")
    assert answer(FileBody(str(path), 3)).read_file() == b"abc"
    assert answer(FileBody(str(path), 2)).read_file() is None
    assert answer(FileBody(str(path), 4)).read_file() is None
    assert answer(FileBody(str(tmp_path), 4)).read_file() is None
    assert answer(FileBody(str(tmp_path / "other"), 3)).read_file() is None


def test_a_file_that_was_changed_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"abc")
    with path.open("r+b", buffering=0) as file:
        mark(file.fileno())
        kept = answer(FileBody(str(path), 3, identity_of(file.fileno())))
        assert kept.read_file() == b"abc"
        file.write(b"ABC")
    assert kept.read_file() is None
    assert kept.open_file() is None
