"""A disk that answers with errors, under a whole registry: never a promise on a sync that failed, and no path told."""

import errno
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from estiva.digest import Digest
from estiva.mediatypes import OCI_MANIFEST
from tests.faults.disk import kill
from tests.faults.injected import READS, SYNC_OF_BLOBS, SYNC_OF_DATABASE, WRITES, Injection, injected
from tests.faults.pushers import Client
from tests.faults.verify import dangling, wrong_files
from tests.fixtures.documents import image
from tests.serving import Registry, registry_running

pytestmark = pytest.mark.real

CONFIG = b"{}"
OLD, NEW = b"old layer " * 50_000, b"new layer " * 50_000
ROUNDS = 5
BOTH = (SYNC_OF_BLOBS, SYNC_OF_DATABASE)
Injected = tuple[Registry, Injection]


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Injected]:
    with injected(tmp_path) as made:
        yield made


def push(client: Client, content: bytes) -> tuple[int, bytes]:
    """Push a blob as clients do: the status that ended it, and what was said."""
    status, headers, body = client.ask("POST", "/v2/app/blobs/uploads/")
    if status != 202:
        return status, body
    status, _, body = client.ask("PUT", f"{headers['Location']}?digest={Digest.of(content)}", content)
    return status, body


def push_image(client: Client, layer: bytes, tag: str) -> list[tuple[int, bytes]]:
    """Push an image of one layer: what every step of it was answered with."""
    answers = [push(client, CONFIG), push(client, layer)]
    headers = {"Content-Type": OCI_MANIFEST}
    status, _, body = client.ask("PUT", f"/v2/app/manifests/{tag}", image(CONFIG, layer), headers)
    return [*answers, (status, body)]


def assert_pulls(client: Client, layer: bytes, tag: str) -> None:
    assert client.ask("GET", f"/v2/app/manifests/{tag}")[::2] == (200, image(CONFIG, layer))
    assert client.ask("GET", f"/v2/app/blobs/{Digest.of(layer)}")[::2] == (200, layer)


def assert_plain(answers: list[tuple[int, bytes]], folder: Path, refusals: set[tuple[int, str]]) -> None:
    """Every answer that is no success is one of these, in the protocol's envelope, and tells no path."""
    refused = [(status, body) for status, body in answers if status != 201]
    assert refused
    for status, body in refused:
        assert (status, json.loads(body)["errors"][0]["code"]) in refusals
        assert str(folder).encode() not in body


@pytest.mark.parametrize(
    "points",
    [(SYNC_OF_BLOBS,), (SYNC_OF_DATABASE,), BOTH],
    ids=["blobs", "database", "both"],
)
def test_nothing_is_acknowledged_on_a_sync_that_failed(
    running: Injected, tmp_path: Path, points: tuple[str, ...]
) -> None:
    registry, injection = running
    with Client(registry.port) as client:
        assert [status for status, _ in push_image(client, OLD, "old")] == [201] * 3
    with injection.failing(registry, *points):
        for _ in range(ROUNDS):
            with Client(registry.port) as client:
                answers = push_image(client, NEW, "new")
                assert 201 not in {status for status, _ in answers[1:]}
                assert_plain(answers, tmp_path, {(503, "UNAVAILABLE"), (400, "MANIFEST_BLOB_UNKNOWN")})
            with Client(registry.port) as client:
                assert_pulls(client, OLD, "old")
                assert client.ask("GET", f"/v2/app/blobs/{Digest.of(NEW)}")[0] == 404
    with Client(registry.port) as client:
        assert [status for status, _ in push_image(client, NEW, "new")] == [201] * 3
        assert_pulls(client, NEW, "new")
    kill(registry.process)
    with registry_running(tmp_path) as again, Client(again.port) as client:
        for layer, tag in ((OLD, "old"), (NEW, "new")):
            assert_pulls(client, layer, tag)
        assert dangling(client) == []
        assert wrong_files(again.data) == []


@pytest.mark.parametrize(
    ("error", "refusal"),
    [(errno.EIO, (503, "UNAVAILABLE")), (errno.ENOSPC, (507, "INSUFFICIENT_STORAGE"))],
    ids=["EIO", "ENOSPC"],
)
def test_writes_that_fail_are_refused_and_the_same_push_works_afterwards(
    running: Injected, tmp_path: Path, error: int, refusal: tuple[int, str]
) -> None:
    registry, injection = running
    with Client(registry.port) as client:
        assert [status for status, _ in push_image(client, OLD, "old")] == [201] * 3
    with injection.failing(registry, WRITES, error=error):
        for _ in range(ROUNDS):
            with Client(registry.port) as client:
                answers = push_image(client, NEW, "new")
                assert 201 not in {status for status, _ in answers}
                assert_plain(answers, tmp_path, {refusal, (400, "MANIFEST_BLOB_UNKNOWN")})
            with Client(registry.port) as client:
                assert_pulls(client, OLD, "old")
    with Client(registry.port) as client:
        assert [status for status, _ in push_image(client, NEW, "new")] == [201] * 3
        assert_pulls(client, NEW, "new")
        assert dangling(client) == []
    assert wrong_files(registry.data) == []


def test_a_database_that_cannot_be_read_is_told_plainly_and_is_whole_afterwards(
    running: Injected, tmp_path: Path
) -> None:
    registry, injection = running
    with Client(registry.port) as client:
        for number in range(30):
            answers = push_image(client, OLD, f"t{number}")
            assert [status for status, _ in answers] == [201] * 3
    with injection.failing(registry, READS), Client(registry.port) as client:
        for number in range(30):
            status, _, body = client.ask("GET", f"/v2/app/manifests/t{number}")
            assert status in (200, 503), body
            assert status == 503 or body == image(CONFIG, OLD)
            assert str(tmp_path).encode() not in body
    with Client(registry.port) as client:
        for number in range(30):
            assert_pulls(client, OLD, f"t{number}")
