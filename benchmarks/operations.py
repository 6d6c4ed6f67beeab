"""What is timed on a connection: pushing blobs in two styles, mounting, manifests, plain reads."""

from __future__ import annotations

from urllib.parse import urlsplit

from benchmarks import load
from benchmarks.contents import Body
from benchmarks.images import MANIFEST_TYPE
from benchmarks.scenario import Door, ScenarioFailed

_OCTETS = "Content-Type: application/octet-stream"


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


def mount(repository: str, source: str, value: str) -> load.Operation:
    """Mount a blob of another repository."""

    def operation(user: load.Connection) -> load.Waiting[int]:
        path = f"/v2/{repository}/blobs/uploads/?mount={value}&from={source}"
        yield from user.send(user.request("POST", path, "Content-Length: 0"))
        yield from user.answer(201)
        return 0

    return operation


def get_blob(path: str, size: int) -> load.Operation:
    """GET a blob of that size, from wherever the registry sends for it."""

    def operation(user: load.Connection) -> load.Waiting[int]:
        yield from user.send(user.request("GET", path))
        answer = yield from user.answer(200, 307)
        if answer.status == 307:
            location = answer.headers["location"]
            there = urlsplit(location)
            other = user.other(Door(there.hostname or "", there.port or 80))
            yield from other.send(other.request("GET", path_of(location)))
            answer = yield from other.answer(200)
        if answer.length != size:
            raise ScenarioFailed(f"{answer.length} bytes came where {size} belong")
        return answer.length

    return operation


def get(path: str, size: int | None = None, *headers: str) -> load.Operation:
    """GET a path, with an answer of the given size where one is given."""

    def operation(user: load.Connection) -> load.Waiting[int]:
        yield from user.send(user.request("GET", path, *headers))
        answer = yield from user.answer(200)
        if size is not None and answer.length != size:
            raise ScenarioFailed(f"{answer.length} bytes came where {size} belong")
        return answer.length

    return operation
