"""The stock that the reading scenarios need in a registry, pushed through its API."""

from __future__ import annotations

import hashlib
import http.client
import json
from collections.abc import Callable, Iterator
from functools import partial
from urllib.parse import urlsplit

from benchmarks import load
from benchmarks.contents import Body
from benchmarks.scenario import Sample, ScenarioFailed, Target

REPOSITORY = "bench/image"
BLOBS = "bench/blobs"
TAGS = "bench/tags"
TAG = "latest"
MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
_CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
_LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar+gzip"
_LAYERS = 9
_FILLERS = 16
_FILL_SECONDS = 600.0

CONFIG = b"{}"
SIZES = {"1k": 1 << 10, "64k": 64 << 10, "10m": 10 << 20, "256m": 256 << 20}


def digest(content: bytes) -> str:
    """The sha256 digest of a small content."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def manifest(number: int | None = None) -> bytes:
    """An image of nine small layers; each number gives another manifest of the same layers."""
    layers = [(_LAYER_TYPE, layer(index)) for index in range(_LAYERS)]
    config, *described = (
        {"mediaType": kind, "digest": digest(content), "size": len(content)}
        for kind, content in [(_CONFIG_TYPE, CONFIG), *layers]
    )
    value = {"schemaVersion": 2, "mediaType": MANIFEST_TYPE, "config": config, "layers": described}
    if number is not None:
        value["annotations"] = {"number": str(number)}
    return json.dumps(value, indent=2).encode()


def layer(index: int) -> bytes:
    """A layer of 1 KiB."""
    return bytes([ord("a") + index]) * 1024


def tag_name(index: int) -> str:
    """The tags of the repository of tags, in order."""
    return f"t{index:06d}"


def repository_name(index: int) -> str:
    """The repositories of the catalogue, in order; all stand behind those named ``bench/``."""
    return f"catalog/r{index:06d}"


class Caller:
    """Untimed calls, one after another."""

    def __init__(self, target: Target) -> None:
        self._connection = http.client.HTTPConnection(target.host, target.port, timeout=120)

    def call(
        self, expected: int, method: str, path: str, body: bytes = b"", **headers: str
    ) -> tuple[http.client.HTTPMessage, bytes]:
        """The headers and body of an answer of the expected status; anything else is a failure."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self._connection.request(method, path, body, named)
        answer = self._connection.getresponse()
        content = answer.read()
        if answer.status != expected:
            raise ScenarioFailed(f"{method} {path} was answered {answer.status}: {content[:300]!r}")
        return answer.headers, content

    def push_blob(self, repository: str, content: bytes) -> str:
        """Push a small blob; its digest."""
        headers, _ = self.call(202, "POST", f"/v2/{repository}/blobs/uploads/")
        location = with_digest(headers["Location"], digest(content))
        self.call(201, "PUT", location, content, Content_Type="application/octet-stream")
        return digest(content)

    def push_image(self, repository: str, tag: str) -> str:
        """Push the image of nine layers; its digest."""
        for content in [CONFIG, *(layer(index) for index in range(_LAYERS))]:
            self.push_blob(repository, content)
        self.call(201, "PUT", f"/v2/{repository}/manifests/{tag}", manifest(), Content_Type=MANIFEST_TYPE)
        return digest(manifest())


def path_of(location: str) -> str:
    """The path and query of a Location, which may be absolute or relative."""
    parts = urlsplit(location)
    return f"{parts.path}?{parts.query}" if parts.query else parts.path


def with_digest(location: str, value: str) -> str:
    """The path that finishes an upload."""
    path = path_of(location)
    return f"{path}{'&' if '?' in path else '?'}digest={value}"


def put(repository: str, body: Body, contents: int) -> load.Operation:
    """POST a session and PUT the whole blob."""

    def operation(user: load.Connection) -> load.Waiting[int]:
        location = yield from _session(user, repository)
        length = f"Content-Length: {body.size}"
        head = user.request("PUT", with_digest(location, body.digest), length, _OCTETS)
        yield from user.send(head, more=True)
        yield from user.send_file(contents, body.plain_prefix)
        yield from user.send(body.tail)
        yield from user.answer(201)
        return body.size

    return operation


def patch(repository: str, body: Body, contents: int) -> load.Operation:
    """As docker pushes: POST a session, PATCH a chunked body of unknown length, PUT nothing."""

    def operation(user: load.Connection) -> load.Waiting[int]:
        location = yield from _session(user, repository)
        head = user.request("PATCH", path_of(location), "Transfer-Encoding: chunked")
        yield from user.send(head, more=True)
        yield from user.send_file(contents, body.framed_prefix)
        yield from user.send(body.framed_tail)
        answer = yield from user.answer(202)
        path = with_digest(answer.headers["location"], body.digest)
        yield from user.send(user.request("PUT", path, "Content-Length: 0"))
        yield from user.answer(201)
        return body.size

    return operation


_OCTETS = "Content-Type: application/octet-stream"


def _session(user: load.Connection, repository: str) -> load.Waiting[str]:
    yield from user.send(user.request("POST", f"/v2/{repository}/blobs/uploads/", "Content-Length: 0"))
    answer = yield from user.answer(202)
    return answer.headers["location"]


def put_manifest(repository: str, reference: str, content: bytes) -> load.Operation:
    """PUT a manifest under a tag."""

    def operation(user: load.Connection) -> load.Waiting[int]:
        path = f"/v2/{repository}/manifests/{reference}"
        headers = f"Content-Type: {MANIFEST_TYPE}", f"Content-Length: {len(content)}"
        yield from user.send(user.request("PUT", path, *headers) + content)
        yield from user.answer(201)
        return len(content)

    return operation


def _mount(repository: str, value: str) -> load.Operation:
    def operation(user: load.Connection) -> load.Waiting[int]:
        path = f"/v2/{repository}/blobs/uploads/?mount={value}&from={REPOSITORY}"
        yield from user.send(user.request("POST", path, "Content-Length: 0"))
        yield from user.answer(201)
        return 0

    return operation


def small_image() -> bytes:
    """The image of a catalogue entry: a config and no layers, so that one mount is enough."""
    config = {"mediaType": _CONFIG_TYPE, "digest": digest(CONFIG), "size": len(CONFIG)}
    value = {"schemaVersion": 2, "mediaType": MANIFEST_TYPE, "config": config, "layers": []}
    return json.dumps(value).encode()


def _image(target: Target) -> None:
    Caller(target).push_image(REPOSITORY, TAG)


def _blob(size: int, target: Target) -> None:
    if size < 64 << 10:
        Caller(target).push_blob(BLOBS, bytes(size))
        return
    _fill(target, iter([put(BLOBS, target.contents.fixed(size), target.contents.plain)]), connections=1)


def _tags(target: Target) -> None:
    Caller(target).push_image(TAGS, tag_name(0))
    _fill(target, (put_manifest(TAGS, tag_name(index), manifest()) for index in range(1, target.entries)))


def _catalogue(target: Target) -> None:
    Caller(target).push_blob(REPOSITORY, CONFIG)
    _fill(target, _repositories(target.entries))


def _repositories(entries: int) -> Iterator[load.Operation]:
    for index in range(entries):
        yield _one_repository(repository_name(index))


def _one_repository(repository: str) -> load.Operation:
    mount, tag = _mount(repository, digest(CONFIG)), put_manifest(repository, TAG, small_image())

    def operation(user: load.Connection) -> load.Waiting[int]:
        yield from mount(user)
        yield from tag(user)
        return 0

    return operation


def _fill(target: Target, operations: Iterator[load.Operation], connections: int = _FILLERS) -> Sample:
    done = load.run(target.address, connections, _FILL_SECONDS, operations)
    if next(operations, None) is not None:
        raise ScenarioFailed(f"the registry could not be filled within {_FILL_SECONDS:g} seconds")
    return done


PARTS: dict[str, Callable[[Target], object]] = {
    "image": _image,
    **{f"blob-{name}": partial(_blob, size) for name, size in SIZES.items()},
    "tags": _tags,
    "catalogue": _catalogue,
}
"""What a scenario may need, and how it gets into a registry."""
