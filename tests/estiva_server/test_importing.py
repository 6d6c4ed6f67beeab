"""Importing what the real CNCF distribution has stored."""

import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from estiva.mediatypes import OCI_INDEX, OCI_MANIFEST
from tests.fixtures.wire import digest_of
from tests.serving import ESTIVA, OPEN, free_port, registry_running
from tests.tools import find_tool, running

pytestmark = pytest.mark.real

LAYERS = [b"", b"layer", os.urandom(3 * 1024 * 1024)]


@pytest.fixture
def tree(tmp_path: Path) -> Iterator[tuple[httpx.Client, Path]]:
    """A client of the real distribution, and the directory that it writes to."""
    port, directory, config = free_port(), tmp_path / "distribution", tmp_path / "config.yml"
    directory.mkdir()
    config.write_text(
        f"version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: {directory}\nhttp:\n  addr: 127.0.0.1:{port}\n"
    )
    with (
        running([find_tool("registry"), "serve", config], tmp_path / "distribution.log"),
        httpx.Client(base_url=f"http://127.0.0.1:{port}") as client,
    ):
        _await(client)
        yield client, directory


def _await(client: httpx.Client) -> None:
    for _ in range(200):
        try:
            if client.get("/v2/").status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.1)
    raise AssertionError("distribution did not come up")


def push(client: httpx.Client, name: str, content: bytes) -> dict[str, object]:
    location = client.post(f"/v2/{name}/blobs/uploads/").headers["location"]
    joint = "&" if "?" in location else "?"
    answer = client.put(f"{location}{joint}digest={digest_of(content)}", content=content)
    assert answer.status_code == 201, answer.text
    return {"mediaType": "application/octet-stream", "digest": digest_of(content), "size": len(content)}


def put(client: httpx.Client, name: str, reference: str, document: dict[str, object]) -> bytes:
    payload = json.dumps(document, indent=3).encode()  # not as anybody else would write it
    headers = {"Content-Type": str(document["mediaType"])}
    assert client.put(f"/v2/{name}/manifests/{reference}", content=payload, headers=headers).status_code == 201
    return payload


def image(client: httpx.Client, name: str, tag: str) -> bytes:
    layers = [push(client, name, content) for content in LAYERS]
    config = push(client, name, b"{}")
    return put(client, name, tag, {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": layers})


def imported(directory: Path, data: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "ESTIVA_DATA": str(data), **OPEN}
    command = [str(ESTIVA), "import", "distribution", str(directory)]
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=60)


def test_digests_and_tags_are_the_same_byte_for_byte(tree: tuple[httpx.Client, Path], tmp_path: Path) -> None:
    client, directory = tree
    payloads = {(name, tag): image(client, name, tag) for name, tag in (("a", "1"), ("a", "2"), ("deep/er/b", "x"))}
    child = {"mediaType": OCI_MANIFEST, "digest": digest_of(payloads["a", "1"]), "size": len(payloads["a", "1"])}
    index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [child]}
    payloads["a", "all"] = put(client, "a", "all", index)
    done = imported(directory, tmp_path / "data")
    assert (done.returncode, done.stderr) == (0, "")
    again = imported(directory, tmp_path / "data")
    assert "imported 0 blobs" in again.stdout
    with (
        registry_running(tmp_path) as registry,
        httpx.Client(base_url=f"http://{registry.host}") as estiva,
    ):
        for (name, tag), payload in payloads.items():
            answer = estiva.get(f"/v2/{name}/manifests/{tag}")
            assert (answer.status_code, answer.content) == (200, payload)
            assert answer.headers["docker-content-digest"] == digest_of(payload)
        for content in LAYERS:
            assert estiva.get(f"/v2/deep/er/b/blobs/{digest_of(content)}").content == content
        assert estiva.get("/v2/a/tags/list").json()["tags"] == ["1", "2", "all"]


def test_what_is_missing_is_named_and_the_rest_is_imported(tree: tuple[httpx.Client, Path], tmp_path: Path) -> None:
    client, directory = tree
    good, bad = image(client, "good", "1"), image(client, "bad", "1")
    assert good == bad
    lost = push(client, "bad", b"lost")
    put(client, "bad", "2", {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": lost, "layers": []})
    hexadecimal = digest_of(b"lost").removeprefix("sha256:")
    data = directory / "docker/registry/v2/blobs/sha256" / hexadecimal[:2] / hexadecimal / "data"
    data.unlink()
    done = imported(directory, tmp_path / "data")
    assert done.returncode == 1
    assert f"skipped bad sha256:{hexadecimal}: its bytes are missing" in done.stderr
    assert "skipped bad:2" in done.stderr
    assert "good" not in done.stderr
