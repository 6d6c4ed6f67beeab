"""A disk that runs full under the registry: refused plainly, nothing old is lost, and after tidying up all goes on."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from estiva.digest import Digest
from estiva.mediatypes import OCI_MANIFEST
from tests.faults.pushers import CONFIG, LAYER, Client
from tests.faults.verify import dangling, wrong_files
from tests.serving import Registry, registry_running
from tests.tools import absent, run

pytestmark = pytest.mark.real

SIZE = "48m"
OLD, NEW, CONFIGURATION = b"old layer " * 50_000, b"new layer " * 200_000, b"{}"


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A small file system in memory."""
    if os.geteuid() != 0:
        absent("a small file system of its own takes root")
    run(["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "none", tmp_path])
    try:
        yield tmp_path
    finally:
        run(["umount", tmp_path])


@pytest.fixture
def registry(small: Path) -> Iterator[Registry]:
    with registry_running(small) as running:
        yield running


def fill(folder: Path) -> Path:
    """Leave not one free page; the file to remove for room."""
    filler = folder / "filler"
    room = os.statvfs(folder)
    with filler.open("wb", buffering=0) as file:
        file.write(bytes(room.f_bavail * room.f_frsize))
        with pytest.raises(OSError, match="No space left"):
            file.write(b"one byte more")
    return filler


def manifest_of(layer: bytes) -> bytes:
    def describe(media_type: str, content: bytes) -> dict[str, object]:
        return {"mediaType": media_type, "digest": str(Digest.of(content)), "size": len(content)}

    parts = {"config": describe(CONFIG, CONFIGURATION), "layers": [describe(LAYER, layer)]}
    return json.dumps({"schemaVersion": 2, "mediaType": OCI_MANIFEST, **parts}).encode()


def push_blob(client: Client, content: bytes) -> tuple[int, bytes]:
    status, headers, body = client.ask("POST", "/v2/app/blobs/uploads/")
    if status != 202:
        return status, body
    status, _, body = client.ask("PUT", f"{headers['Location']}?digest={Digest.of(content)}", content)
    return status, body


def push_manifest(client: Client, layer: bytes, tag: str) -> tuple[int, bytes]:
    path = f"/v2/app/manifests/{tag}"
    status, _, body = client.ask("PUT", path, manifest_of(layer), {"Content-Type": OCI_MANIFEST})
    return status, body


def assert_pulls(client: Client, layer: bytes, tag: str) -> None:
    manifest = manifest_of(layer)
    assert client.ask("GET", f"/v2/app/manifests/{tag}")[::2] == (200, manifest)
    assert client.ask("GET", f"/v2/app/blobs/{Digest.of(layer)}")[::2] == (200, layer)


def assert_plain_refusal(status: int, body: bytes, folder: Path) -> None:
    assert (status, json.loads(body)["errors"][0]["code"]) == (507, "INSUFFICIENT_STORAGE")
    assert str(folder).encode() not in body


def test_a_full_disk_refuses_new_content_and_serves_the_old(registry: Registry, small: Path) -> None:
    with Client(registry.port) as client:
        for content in (CONFIGURATION, OLD):
            assert push_blob(client, content)[0] == 201
        assert push_manifest(client, OLD, "old")[0] == 201
        filler = fill(small)
    with Client(registry.port) as client:
        status, body = push_blob(client, NEW)
        assert_plain_refusal(status, body, small)
    with Client(registry.port) as client:
        assert_pulls(client, OLD, "old")
        assert dangling(client) == []
        filler.unlink()
    with Client(registry.port) as client:
        assert push_blob(client, NEW)[0] == 201
        assert push_manifest(client, NEW, "new")[0] == 201
        assert_pulls(client, NEW, "new")
        assert dangling(client) == []
    assert wrong_files(registry.data) == []


def test_a_manifest_that_finds_the_disk_full_is_whole_or_not_there_and_can_be_pushed_later(
    registry: Registry, small: Path
) -> None:
    with Client(registry.port) as client:
        for content in (CONFIGURATION, OLD):
            assert push_blob(client, content)[0] == 201
        filler = fill(small)
        refused = []
        for number in range(100):  # the database has some room of its own
            status, body = push_manifest(client, OLD, f"tag-{number}")
            if status != 201:
                assert_plain_refusal(status, body, small)
                refused.append(number)
        assert refused
        assert dangling(client) == []
        filler.unlink()
        for number in range(100):
            assert push_manifest(client, OLD, f"tag-{number}")[0] == 201
        assert_pulls(client, OLD, "tag-99")
        assert dangling(client) == []


def test_an_upload_goes_on_at_the_offset_it_tells_once_there_is_room(registry: Registry, small: Path) -> None:
    with Client(registry.port) as client:
        location = client.begin("app")
        client.append(location, NEW[:1000], 0)
        filler = fill(small)
        headers = {"Content-Range": f"1000-{len(NEW) - 1}"}
        status, _, body = client.ask("PATCH", location, NEW[1000:], headers)
        assert_plain_refusal(status, body, small)
    with Client(registry.port) as client:
        filler.unlink()
        held = int(client.demand(204, "GET", location)["Range"].removeprefix("0-")) + 1
        assert 1000 <= held < len(NEW)
        client.finish(location, Digest.of(NEW), NEW[held:])
        assert client.ask("GET", f"/v2/app/blobs/{Digest.of(NEW)}")[::2] == (200, NEW)
