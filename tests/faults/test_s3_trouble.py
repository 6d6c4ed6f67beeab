"""S3 that fails one request in five: what is acknowledged is there, what is not is told cleanly, nothing is left."""

import os
import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from tests.faults.misbehaving import Misbehaviour, misbehaving
from tests.fixtures.s3 import CREDENTIALS, S3Server
from tests.fixtures.wire import REPOSITORY, begin, digest_of, pull
from tests.serving import OPEN, Registry, registry_running

pytestmark = [pytest.mark.real, pytest.mark.timeout(600)]

MIB = 1024 * 1024
PUSHERS = 8
BLOBS_EACH = 3
SOMETIMES = {"500": 0.05, "503": 0.05, "reset": 0.03, "lost": 0.03, "cut": 0.03, "slow": 0.02, "stall": 0.03}


@pytest.fixture
def prefix() -> str:
    return f"trouble/{uuid4()}"


@pytest.fixture
def misbehaviour() -> Misbehaviour:
    return Misbehaviour(seed=155, **SOMETIMES)  # each of them among its first 40


@pytest.fixture
def registry(s3_server: S3Server, prefix: str, misbehaviour: Misbehaviour, tmp_path: Path) -> Iterator[Registry]:
    with misbehaving(str(s3_server.endpoint), misbehaviour) as endpoint:
        blobs = {"ESTIVA_BLOBS": s3_server.url(prefix, endpoint=endpoint)}
        with registry_running(tmp_path, settings={**OPEN, **CREDENTIALS, **blobs}) as registry:
            yield registry


@contextmanager
def client_of_registry(folder: Path, blobs: str) -> Iterator[httpx.Client]:
    """A client of a registry with its blobs there."""
    with (
        registry_running(folder, settings={**OPEN, **CREDENTIALS, "ESTIVA_BLOBS": blobs}) as registry,
        httpx.Client(base_url=f"http://{registry.host}", timeout=240) as client,
    ):
        yield client


def push_or_be_told(client: httpx.Client, content: bytes, style: str) -> bool:
    """Whether the push was acknowledged; where it was not, the answer is a clean one."""
    answer = client.post(f"{REPOSITORY}/uploads/")
    if answer.status_code == 202 and style == "patch":
        answer = client.patch(answer.headers["location"], content=iter([content]))
        content_left = b""
    else:
        content_left = content
    if answer.status_code == 202:
        answer = client.put(answer.headers["location"], params={"digest": digest_of(content)}, content=content_left)
    if answer.status_code == 201:
        return True
    assert answer.status_code in (503, 404, 400), answer.text
    assert answer.json()["errors"][0]["code"] in ("UNAVAILABLE", "BLOB_UPLOAD_UNKNOWN", "BLOB_UPLOAD_INVALID")
    assert answer.status_code != 503 or "retry-after" in answer.headers
    return False


def test_nothing_acknowledged_is_lost_and_nothing_unfinished_is_left(
    registry: Registry, s3_server: S3Server, prefix: str, misbehaviour: Misbehaviour
) -> None:
    contents: list[list[tuple[bytes, str]]] = []
    numbers = random.Random(7)
    for _ in range(PUSHERS):
        sizes = [numbers.choice([0, 1000, 64 * 1024, 3 * MIB, 9 * MIB, 17 * MIB]) for _ in range(BLOBS_EACH)]
        contents.append([(os.urandom(size), numbers.choice(["patch", "put"])) for size in sizes])

    def push_all(blobs: list[tuple[bytes, str]]) -> list[bytes]:
        with httpx.Client(base_url=f"http://{registry.host}", timeout=240) as client:
            return [content for content, style in blobs if push_or_be_told(client, content, style)]

    with ThreadPoolExecutor(PUSHERS) as pushers:
        acknowledged = [content for done in pushers.map(push_all, contents) for content in done]
    assert set(misbehaviour.done) == set(SOMETIMES)
    # Back-off is there for the pushes to succeed: one that does not is rare.
    assert len(acknowledged) >= PUSHERS * BLOBS_EACH * 0.9
    with httpx.Client(base_url=f"http://{registry.host}", timeout=240) as client:
        for content in acknowledged:
            assert pull(client, digest_of(content)) == content
    store = s3_server.store(prefix)
    for upload_id in list(store.stale_uploads(-3600)):
        store.discard_upload(upload_id)
    assert s3_server.multiparts(prefix) == []
    assert [name for name in s3_server.names(prefix) if "/uploads/" in name] == []


def test_a_pull_that_s3_cuts_again_and_again_comes_whole(s3_server: S3Server, prefix: str, tmp_path: Path) -> None:
    content = os.urandom(20 * MIB)
    with client_of_registry(tmp_path, s3_server.url(prefix)) as client:
        pushed = client.put(begin(client), params={"digest": digest_of(content)}, content=content)
        assert pushed.status_code == 201
    cutting = Misbehaviour(seed=1, cut=0.7)
    with (
        misbehaving(str(s3_server.endpoint), cutting) as endpoint,
        client_of_registry(tmp_path, s3_server.url(prefix, endpoint=endpoint)) as client,
    ):
        for _ in range(5):
            assert pull(client, digest_of(content)) == content
    assert cutting.done["cut"] >= 5


def test_a_pull_that_s3_never_ends_is_cut_and_never_looks_complete(
    s3_server: S3Server, prefix: str, tmp_path: Path
) -> None:
    """One that is verified while it comes, and one that was pulled before, which the kernel sends."""
    contents, trouble = (os.urandom(20 * MIB), os.urandom(20 * MIB)), Misbehaviour(seed=1)
    with (
        misbehaving(str(s3_server.endpoint), trouble) as endpoint,
        client_of_registry(tmp_path, s3_server.url(prefix, endpoint=endpoint)) as client,
    ):
        for content in contents:
            assert client.put(begin(client), params={"digest": digest_of(content)}, content=content).status_code == 201
        assert pull(client, digest_of(contents[1])) == contents[1]
        trouble.from_now(cut=1.0)
        with ExitStack() as pulls, ThreadPoolExecutor(len(contents)) as threads:
            rests = [begun_pull(pulls, client, content) for content in contents]
            trouble.from_now(**{"503": 1.0})
            for ended in [threads.submit(list, rest) for rest in rests]:
                with pytest.raises(httpx.RemoteProtocolError):
                    ended.result()


def begun_pull(pulls: ExitStack, client: httpx.Client, content: bytes) -> Iterator[bytes]:
    """What is left of a pull whose first bytes came."""
    answer = pulls.enter_context(client.stream("GET", f"{REPOSITORY}/{digest_of(content)}"))
    assert answer.status_code == 200
    pieces = answer.iter_bytes(MIB)
    next(pieces)
    return pieces
