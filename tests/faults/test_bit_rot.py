"""Bytes that went bad at rest: nobody gets a whole blob of them, and the next push heals it."""

import http.client
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from estiva.digest import Digest
from tests.serving import Registry, registry_running

HUGE = os.urandom(1_000_000) * 70
LARGE, SMALL = 3_000_000, 6_000


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """One for all: each test has content of its own."""
    with registry_running(tmp_path_factory.mktemp("rot")) as running:
        yield running


@pytest.fixture(params=[LARGE, SMALL], ids=["large", "small"])
def content(request: pytest.FixtureRequest) -> bytes:
    """What nobody else pushes."""
    return os.urandom(request.param)


def request(registry: Registry, method: str, path: str, body: bytes = b"", **headers: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(registry.host, timeout=20)
    try:
        connection.request(method, path, body or None, headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def push(registry: Registry, content: bytes) -> str:
    path = f"/v2/rot/blobs/uploads/?digest={Digest.of(content)}"
    assert request(registry, "POST", path, content)[0] == 201
    return f"/v2/rot/blobs/{Digest.of(content)}"


def flip(folder: Path, content: bytes) -> None:
    (file,) = (folder / "blobs").rglob(f"{Digest.of(content).hex}.*")
    file.chmod(0o644)
    with file.open("r+b") as opened:
        opened.seek(len(content) // 2)
        opened.write(b"wrong")


def test_a_huge_blob_with_a_flipped_bit_never_looks_complete(registry: Registry) -> None:
    blob = push(registry, HUGE)
    flip(registry.data, HUGE)
    with pytest.raises((http.client.IncompleteRead, ConnectionError)):
        request(registry, "GET", blob)
    assert request(registry, "HEAD", blob)[0] == 404
    assert request(registry, "GET", blob)[0] == 404
    push(registry, HUGE)
    for _ in range(3):  # verified, then sent as it is, then given again
        assert request(registry, "GET", blob) == (200, HUGE)


def test_a_blob_with_a_flipped_bit_is_not_here(registry: Registry, content: bytes) -> None:
    blob = push(registry, content)
    flip(registry.data, content)
    assert request(registry, "HEAD", blob)[0] == 200  # nobody has read it yet
    assert request(registry, "GET", blob)[0] == 404
    assert request(registry, "HEAD", blob)[0] == 404
    push(registry, content)
    for _ in range(3):
        assert request(registry, "GET", blob) == (200, content)


def test_a_blob_that_goes_bad_after_it_was_sent_is_read_again(registry: Registry, content: bytes) -> None:
    blob = push(registry, content)
    for _ in range(3):  # first as it came in, then from what is remembered
        assert request(registry, "GET", blob) == (200, content)
    flip(registry.data, content)
    assert request(registry, "GET", blob)[0] == 404
    assert request(registry, "HEAD", blob)[0] == 404
    push(registry, content)
    assert request(registry, "GET", blob) == (200, content)


def test_a_huge_blob_that_goes_bad_after_it_was_sent_never_looks_complete(registry: Registry) -> None:
    content = HUGE[1:]
    blob = push(registry, content)
    assert request(registry, "GET", blob) == (200, content)
    assert request(registry, "GET", blob) == (200, content)
    flip(registry.data, content)
    with pytest.raises((http.client.IncompleteRead, ConnectionError)):
        request(registry, "GET", blob)
    assert request(registry, "GET", blob)[0] == 404


def test_a_blob_whose_file_is_gone_is_healed_by_the_next_push(registry: Registry, content: bytes) -> None:
    blob = push(registry, content)
    (file,) = (registry.data / "blobs").rglob(f"{Digest.of(content).hex}.*")
    file.unlink()
    assert request(registry, "GET", blob)[0] == 404
    assert request(registry, "HEAD", blob)[0] == 404
    push(registry, content)
    assert request(registry, "GET", blob) == (200, content)


def test_a_blob_whose_file_was_cut_never_looks_complete(registry: Registry, content: bytes) -> None:
    blob = push(registry, content)
    (file,) = (registry.data / "blobs").rglob(f"{Digest.of(content).hex}.*")
    file.chmod(0o644)
    os.truncate(file, len(content) // 2)
    try:
        assert request(registry, "GET", blob)[0] == 404
    except (http.client.IncompleteRead, ConnectionError):
        assert len(content) == LARGE
    assert request(registry, "HEAD", blob)[0] == 404
    push(registry, content)
    assert request(registry, "GET", blob) == (200, content)
