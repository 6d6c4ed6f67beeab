"""The registry with its blobs on a real S3 server."""

import os
import signal
import socket
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest

from estiva.mediatypes import OCI_MANIFEST
from storage.blobs.s3.state import FREE_AFTER
from tests.estiva_server.process import eventually
from tests.fixtures.s3 import BUCKET, CREDENTIALS, S3Server, s3_server_running
from tests.fixtures.wire import REPOSITORY, begin, digest_of, pull, push
from tests.serving import OPEN, Registry, registry_running

pytestmark = pytest.mark.real

MIB = 1024 * 1024
SIZES = [0, 1, 64 * 1024, 8 * MIB - 1, 8 * MIB, 8 * MIB + 1, 21 * MIB]

Start = Callable[..., Registry]


@pytest.fixture
def prefix() -> str:
    return f"registry/{uuid.uuid4()}"


@pytest.fixture
def start(s3_server: S3Server, prefix: str, tmp_path: Path) -> Iterator[Start]:
    """Starts registries on one bucket and one database."""
    with ExitStack() as running:

        def one(folder: str = "one", **settings: str) -> Registry:
            place = tmp_path / folder
            place.mkdir(exist_ok=True)
            data = tmp_path / "data"
            data.mkdir(exist_ok=True)
            if not (place / "data").exists():
                (place / "data").symlink_to(data)
            blobs = {"ESTIVA_BLOBS": s3_server.url(prefix)}
            return running.enter_context(registry_running(place, settings={**OPEN, **CREDENTIALS, **blobs, **settings}))

        yield one


def client_of(registry: Registry) -> httpx.Client:
    return httpx.Client(base_url=f"http://{registry.host}", timeout=60)


@pytest.mark.parametrize("style", ["patch", "put"])
def test_what_is_pushed_is_pulled_and_nothing_unfinished_is_left(
    start: Start, s3_server: S3Server, prefix: str, style: str
) -> None:
    with client_of(start()) as client:
        for size in SIZES:
            content = os.urandom(size)
            digest = push(client, content, style)
            assert pull(client, digest) == content
            head = client.head(f"{REPOSITORY}/{digest}")
            assert (head.status_code, head.headers["content-length"]) == (200, str(size))
    assert s3_server.multiparts(prefix) == []
    assert [name for name in s3_server.names(prefix) if "/uploads/" in name] == []


@pytest.mark.parametrize("mode", ["proxy", "redirect"])
def test_ranges_are_answered_either_way(start: Start, mode: str) -> None:
    content = os.urandom(9 * MIB)
    with client_of(start(ESTIVA_BLOB_REDIRECT=mode)) as client:
        digest = push(client, content)
        for asked, first, last in (("0-99", 0, 100), ("9000000-9000009", 9000000, 9000010), ("-5", -5, None)):
            answer = client.get(f"{REPOSITORY}/{digest}", headers={"Range": f"bytes={asked}"}, follow_redirects=True)
            assert answer.status_code == 206
            assert answer.content == content[first:last]


def test_who_pulls_is_sent_to_s3_only_where_that_was_asked_for_or_is_known_to_work(
    start: Start, s3_server: S3Server, prefix: str
) -> None:
    public = s3_server.url(prefix, public_endpoint=str(s3_server.endpoint).replace("127.0.0.1", "localhost"))
    modes = {"auto": 200, "proxy": 200, "redirect": 307}
    for mode, status in modes.items():
        with client_of(start(mode, ESTIVA_BLOB_REDIRECT=mode)) as client:
            answer = client.get(f"{REPOSITORY}/{push(client, b'content')}")
            assert answer.status_code == status
    with client_of(start("public", ESTIVA_BLOBS=public)) as client:
        digest = push(client, b"content")
        answer = client.get(f"{REPOSITORY}/{digest}")
        assert answer.status_code == 307
        assert answer.headers["location"].startswith("http://localhost:")
        assert pull(client, digest) == b"content"
        encrypted = client.get(f"{REPOSITORY}/{digest}", headers={"X-Forwarded-Proto": "https"})
        assert encrypted.status_code == 200  # nobody is sent from https to http
        assert client.head(f"{REPOSITORY}/{digest}").status_code == 200
        assert client.get(f"{REPOSITORY}/{digest}").status_code == 307


def test_manifests_and_heads_ask_nothing_of_s3(start: Start, tmp_path: Path, boto3_session: object) -> None:
    with s3_server_running(tmp_path / "mortal", boto3_session) as mortal:
        registry = start("bound", ESTIVA_BLOBS=mortal.url())
        with client_of(registry) as client:
            digest = push(client, b"content")
            blob = {"mediaType": "application/octet-stream", "digest": digest, "size": 7}
            manifest = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": blob, "layers": []}
            pushed = client.put("/v2/cargo/hold/manifests/1", json=manifest, headers={"Content-Type": OCI_MANIFEST})
            assert pushed.status_code == 201, pushed.text
    with client_of(registry) as client:
        for _ in range(2):
            assert client.head(f"{REPOSITORY}/{digest}").status_code == 200
            assert client.get("/v2/cargo/hold/manifests/1").json() == manifest
            assert client.head("/v2/cargo/hold/manifests/1").status_code == 200
        gone = client.get(f"{REPOSITORY}/{digest}")
        assert (gone.status_code, gone.headers["retry-after"]) == (503, "2")
        assert client.get("/readyz").status_code == 503


@pytest.mark.timeout(300)
def test_an_upload_whose_server_was_killed_goes_on_on_another(start: Start, s3_server: S3Server, prefix: str) -> None:
    content = os.urandom(30 * MIB)
    first, second = start("one"), start("two")
    with client_of(first) as client:
        location = begin(client)
    with _sending_some_of_a_body(first, location, content[: 20 * MIB]):
        eventually(lambda: _parts(s3_server, prefix) > 0)
        os.kill(first.process.pid, signal.SIGKILL)
    with client_of(second) as client:
        eventually(lambda: _take_over(client, location, content), FREE_AFTER + 90)
        answer = _go_on(client, location, content, len(content))
        assert answer.status_code == 202, answer.text
        answer = client.put(location, params={"digest": digest_of(content)})
        assert answer.status_code == 201, answer.text
        assert pull(client, digest_of(content)) == content
    assert s3_server.multiparts(prefix) == []


def test_an_upload_begun_on_one_replica_is_ended_on_another(start: Start) -> None:
    content = os.urandom(20 * MIB)
    with client_of(start("one")) as one, client_of(start("two")) as two:
        location = begin(one)
        assert one.patch(location, content=content[: 9 * MIB]).status_code == 202
        assert two.patch(location, content=content[9 * MIB : 17 * MIB]).status_code == 202
        assert one.patch(location, content=content[17 * MIB :]).status_code == 202
        assert two.put(location, params={"digest": digest_of(content)}).status_code == 201
        assert pull(one, digest_of(content)) == content


def test_a_wrong_digest_is_refused_on_another_replica_too(start: Start, s3_server: S3Server, prefix: str) -> None:
    with client_of(start("one")) as one, client_of(start("two")) as two:
        location = begin(one)
        assert one.patch(location, content=os.urandom(9 * MIB)).status_code == 202
        answer = two.put(location, params={"digest": digest_of(b"something else")})
        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (400, "DIGEST_INVALID")
    assert s3_server.names(prefix) == []
    assert s3_server.multiparts(prefix) == []


def _take_over(client: httpx.Client, location: str, content: bytes) -> bool:
    """Whether one more byte was taken. None is as long as the upload may still be held by another."""
    answer = _go_on(client, location, content, 1)
    if answer.status_code == 202:
        return True
    assert answer.status_code == 400, answer.text
    error = answer.json()["errors"][0]
    assert error["code"] == "BLOB_UPLOAD_INVALID"
    assert "another request is writing" in error["message"]
    return False


def _go_on(client: httpx.Client, location: str, content: bytes, most: int) -> httpx.Response:
    """Send what comes behind the bytes that are there, or that much of it."""
    told = client.get(location)
    assert told.status_code == 204, told.text
    offset = int(told.headers["range"].partition("-")[2]) + 1
    assert 8 * MIB <= offset <= 20 * MIB + 1
    piece = content[offset : offset + most]
    span = f"{offset}-{offset + len(piece) - 1}"
    return client.patch(location, content=piece, headers={"Content-Range": span})


@contextmanager
def _sending_some_of_a_body(registry: Registry, location: str, content: bytes) -> Iterator[None]:
    """A PATCH that has sent this and does not end."""
    with socket.create_connection(("127.0.0.1", registry.port)) as connection:
        head = f"PATCH {location} HTTP/1.1\r\nHost: registry\r\nContent-Length: {10 * len(content)}\r\n\r\n"
        connection.sendall(head.encode() + content)
        yield


def _parts(s3_server: S3Server, prefix: str) -> int:
    """How many parts the one unfinished multipart upload has."""
    client = s3_server.client()
    unfinished = client.list_multipart_uploads(Bucket=BUCKET, Prefix=prefix).get("Uploads", ())
    if not unfinished:
        return 0
    answer = client.list_parts(Bucket=BUCKET, Key=unfinished[0]["Key"], UploadId=unfinished[0]["UploadId"])
    return len(answer.get("Parts", ()))
