"""The registry's own API, asked directly and past the recording proxy: what the tests compare clients with."""

import json
from dataclasses import dataclass
from typing import Any

import httpx

from tests.clients.people import ADMIN

ANY_MANIFEST = ", ".join(
    (
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.docker.distribution.manifest.v2+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
    )
)


@dataclass(frozen=True)
class Manifest:
    """A manifest as the registry returned it."""

    media_type: str
    digest: str
    content: bytes

    @property
    def document(self) -> dict[str, Any]:
        """The manifest, parsed."""
        parsed: dict[str, Any] = json.loads(self.content)
        return parsed


class Api:
    """Requests of the administrator to one registry."""

    def __init__(self, host: str) -> None:
        self._host = host
        login = (ADMIN.name, ADMIN.password)
        self._http = httpx.Client(base_url=f"http://{host}/v2", auth=login, timeout=30, trust_env=False)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def manifest(self, repository: str, reference: str) -> Manifest:
        """The manifest; an error where there is none."""
        answer = self._get_manifest(repository, reference).raise_for_status()
        return Manifest(answer.headers["Content-Type"], answer.headers["Docker-Content-Digest"], answer.content)

    def has_manifest(self, repository: str, reference: str) -> bool:
        """Whether there is such a manifest; an error for any answer but yes and no."""
        answer = self._get_manifest(repository, reference)
        if answer.status_code == 404:
            return False
        answer.raise_for_status()
        return True

    def put_manifest(self, repository: str, reference: str, media_type: str, content: bytes) -> None:
        """Store a manifest."""
        url = f"/{repository}/manifests/{reference}"
        self._http.put(url, content=content, headers={"Content-Type": media_type}).raise_for_status()

    def delete_manifest(self, repository: str, digest: str) -> None:
        """Delete a manifest, with every tag on it."""
        self._http.delete(f"/{repository}/manifests/{digest}").raise_for_status()

    def delete_tagged(self, reference: str) -> None:
        """Delete the manifest that a reference of the form host/repository:tag names."""
        repository, _, tag = reference.partition("/")[2].rpartition(":")
        self.delete_manifest(repository, self.manifest(repository, tag).digest)

    def put_blob(self, repository: str, content: bytes, digest: str) -> None:
        """Store a blob."""
        location = self._http.post(f"/{repository}/blobs/uploads/").raise_for_status().headers["Location"]
        target = httpx.URL(f"http://{self._host}").join(location).copy_merge_params({"digest": digest})
        self._http.put(target, content=content).raise_for_status()

    def blob(self, repository: str, digest: str) -> bytes:
        """A blob's bytes."""
        return self._http.get(f"/{repository}/blobs/{digest}").raise_for_status().content

    def tags(self, repository: str) -> list[str]:
        """A repository's tags."""
        found: list[str] = self._http.get(f"/{repository}/tags/list").raise_for_status().json()["tags"]
        return found

    def _get_manifest(self, repository: str, reference: str) -> httpx.Response:
        return self._http.get(f"/{repository}/manifests/{reference}", headers={"Accept": ANY_MANIFEST})
