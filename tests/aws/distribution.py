"""CNCF distribution as an upstream: another registry than ours, of the kind that most upstreams are."""

import contextlib
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from estiva.digest import Digest
from estiva.mediatypes import OCI_MANIFEST
from tests.fixtures.documents import image
from tests.hostile.conversation import ask
from tests.serving import free_port
from tests.tools import find_tool, running

USER, SECRET = "robot", "secret"
PASSWORDS = "robot:$2b$05$aaaaaaaaaaaaaaaaaaaaaOjOHCcGZ1ZydhnG2lX11qSmiRJbsbsA.\n"
"""The same, as htpasswd writes it."""
CONFIGURATION = """version: 0.1
log: {{level: error}}
storage:
  filesystem: {{rootdirectory: {folder}/data}}
http: {{addr: "127.0.0.1:{port}"}}
"""
CLOSED = "auth:\n  htpasswd: {{realm: here, path: {folder}/passwords}}\n"
CONFIG = b'{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}'


@contextlib.contextmanager
def distribution(folder: Path, *, closed: bool = False) -> Iterator[int]:
    """Distribution on a free loopback port, with one user where it is closed, until the block ends."""
    folder.mkdir()
    port = free_port()
    (folder / "passwords").write_text(PASSWORDS)
    text = CONFIGURATION + (CLOSED if closed else "")
    (folder / "config.yml").write_text(text.format(folder=folder, port=port))
    command: list[str | Path] = [find_tool("registry"), "serve", folder / "config.yml"]
    with running(command, folder / "log", environment={"OTEL_TRACES_EXPORTER": "none"}) as process:
        deadline = time.monotonic() + 60
        while not _answers(port):
            ended = process.poll() is not None or time.monotonic() > deadline
            assert not ended, (folder / "log").read_text()[-2000:]
            time.sleep(0.1)
        yield port


def _answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/v2/", timeout=5):
            return True
    except urllib.error.HTTPError as answer:
        with answer:
            return answer.code == 401
    except OSError:
        return False


def push(port: int, name: str, tag: str, *layers: bytes, who: tuple[str, str] | None = None, **more: Any) -> Digest:
    """An image of these layers in the registry, pushed as any client does; without a tag where that is empty."""
    fields = [("Authorization", who[1])] if who else []
    for content in (CONFIG, *layers):
        begun = ask(port, "POST", f"/v2/{name}/blobs/uploads/", *fields)
        assert begun.status == 202, begun
        location = urlsplit(begun.field("location") or "")
        path = f"{location.path}?{location.query}&digest={Digest.of(content)}"
        kind = ("Content-Type", "application/octet-stream")
        assert ask(port, "PUT", path, kind, *fields, body=content).status == 201
    return put(port, name, tag, image(CONFIG, *layers, **more), OCI_MANIFEST, fields)


def put(
    port: int, name: str, tag: str, manifest: bytes, media_type: str, fields: list[tuple[str, str]] | None = None
) -> Digest:
    """A manifest in the registry."""
    digest = Digest.of(manifest)
    path = f"/v2/{name}/manifests/{tag or digest}"
    answer = ask(port, "PUT", path, ("Content-Type", media_type), *(fields or []), body=manifest)
    assert answer.status == 201, answer
    return digest
