"""Untimed calls: filling a little, checking that an answer is right before it is timed."""

from __future__ import annotations

import http.client
from contextlib import closing

from benchmarks.images import CONFIG, LAYERS, MANIFEST_TYPE, digest, layer, manifest
from benchmarks.operations import with_digest
from benchmarks.scenario import ScenarioFailed, Target


class Caller:
    """Untimed calls, one after another."""

    def __init__(self, target: Target) -> None:
        self._door = target.door

    def call(
        self, expected: int, method: str, path: str, body: bytes = b"", **headers: str
    ) -> tuple[http.client.HTTPMessage, bytes]:
        """The headers and body of an answer of the expected status; anything else is a failure."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if self._door.authorization:
            named["Authorization"] = self._door.authorization
        with closing(http.client.HTTPConnection(*self._door.address, timeout=120)) as connection:
            connection.request(method, path, body, named)
            answer = connection.getresponse()
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
        for content in [CONFIG, *(layer(index) for index in range(LAYERS))]:
            self.push_blob(repository, content)
        self.call(201, "PUT", f"/v2/{repository}/manifests/{tag}", manifest(), Content_Type=MANIFEST_TYPE)
        return digest(manifest())
