import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.contents import CHUNK, Body, Contents


@pytest.fixture
def contents(tmp_path: Path) -> Iterator[Contents]:
    with Contents(tmp_path, largest=1 << 20) as made:
        yield made


def plain(contents: Contents, body: Body) -> bytes:
    return os.pread(contents.plain, body.plain_prefix, 0) + body.tail


def unframed(data: bytes) -> bytes:
    body = b""
    while True:
        length, _, data = data.partition(b"\r\n")
        size = int(length, 16)
        body += data[:size]
        assert data[size : size + 2] == b"\r\n"
        data = data[size + 2 :]
        if not size:
            assert data == b""
            return body


@pytest.mark.parametrize("size", [CHUNK, 2 * CHUNK, 1 << 20])
def test_a_digest_is_that_of_the_bytes_that_are_sent(contents: Contents, size: int) -> None:
    body = contents.new(size)
    sent = plain(contents, body)
    assert len(sent) == size
    assert body.digest == f"sha256:{hashlib.sha256(sent).hexdigest()}"


@pytest.mark.parametrize("size", [CHUNK, 2 * CHUNK, 1 << 20])
def test_the_framed_body_holds_the_same_bytes_in_http_chunks(contents: Contents, size: int) -> None:
    body = contents.new(size)
    framed = os.pread(contents.framed, body.framed_prefix, 0) + body.framed_tail
    assert unframed(framed) == plain(contents, body)


def test_every_new_body_is_another_one(contents: Contents) -> None:
    assert len({contents.new(2 * CHUNK).digest for _ in range(100)}) == 100


def test_the_fixed_body_of_a_size_stays_the_same(contents: Contents) -> None:
    assert contents.fixed(2 * CHUNK) == contents.fixed(2 * CHUNK)


def test_a_size_that_does_not_fit_the_chunks_is_refused(contents: Contents) -> None:
    with pytest.raises(ValueError, match="multiple"):
        contents.new(CHUNK + 1)
