"""One repository, spoken to in the words of the distribution specification."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx

from estiva.digest import Algorithm, Digest
from estiva.mediatypes import OCI_MANIFEST

OCTETS = {"Content-Type": "application/octet-stream"}
# Header fields that say nothing of what was asked for.
OF_THE_TRANSPORT = frozenset({"date", "x-request-id", "docker-distribution-api-version"})


@dataclass(frozen=True)
class Repository:
    """A repository of a registry; each test has its own."""

    http: httpx.AsyncClient
    name: str

    @property
    def path(self) -> str:
        """Where its parts begin."""
        return f"/v2/{self.name}"

    async def ask(self, method: str, part: str, **more: Any) -> httpx.Response:
        """One request; `part` is below the repository, or a whole path such as a Location."""
        path = part if part.startswith("/v2/") else f"{self.path}/{part}"
        return await self.http.request(method, path, **more)

    async def get(self, part: str, **more: Any) -> httpx.Response:
        """GET."""
        return await self.ask("GET", part, **more)

    async def head(self, part: str, **more: Any) -> httpx.Response:
        """HEAD."""
        return await self.ask("HEAD", part, **more)

    async def start_upload(self, query: str = "") -> str:
        """Begin an upload; its location."""
        response = await self.ask("POST", f"blobs/uploads/{query}")
        assert response.status_code == 202
        return response.headers["Location"]

    async def push_blob(self, content: bytes, algorithm: Algorithm = Algorithm.SHA256) -> str:
        """Push a blob in one PUT; its digest."""
        digest = str(Digest.of(content, algorithm))
        location = await self.start_upload()
        response = await self.ask("PUT", with_digest(location, digest), content=content, headers=OCTETS)
        assert response.status_code == 201
        return digest

    async def put_manifest(
        self, payload: bytes, reference: str = "", media_type: str = OCI_MANIFEST, **more: Any
    ) -> httpx.Response:
        """PUT a manifest under the reference, or under its own digest; whatever the answer is."""
        part = f"manifests/{reference or Digest.of(payload)}"
        return await self.ask("PUT", part, content=payload, headers={"Content-Type": media_type}, **more)

    async def push_manifest(self, payload: bytes, reference: str = "", media_type: str = OCI_MANIFEST) -> str:
        """Push a manifest; its digest."""
        response = await self.put_manifest(payload, reference, media_type)
        assert response.status_code == 201, response.text
        return response.headers["Docker-Content-Digest"]

    async def tags(self) -> list[str]:
        """All tags."""
        tags: list[str] = (await self.get("tags/list")).json()["tags"]
        return tags


def with_digest(location: str, digest: str) -> str:
    """The location with the digest added to its query, whatever else is there, as clients do."""
    return f"{location}{'&' if '?' in location else '?'}digest={digest}"


def refused(response: httpx.Response, status: int, code: str) -> Any:
    """The refusal's detail; AssertionError where the answer is anything else than this refusal."""
    assert response.status_code == status, (response.status_code, response.text)
    assert response.headers["Content-Type"] == "application/json"
    document = json.loads(response.content)
    assert list(document) == ["errors"]
    [error] = document["errors"]
    assert set(error) <= {"code", "message", "detail"}
    assert error["code"] == code
    assert error["message"]
    return error.get("detail")


def fields(response: httpx.Response) -> dict[str, str]:
    """The answer's header fields but for those that every answer has."""
    return {name: value for name, value in response.headers.items() if name not in OF_THE_TRANSPORT}


async def pieces(*contents: bytes) -> AsyncIterator[bytes]:
    """A body in these pieces: it is sent with chunked transfer coding."""
    for content in contents:
        yield content
