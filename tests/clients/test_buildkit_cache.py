"""What BuildKit exports as a build cache, in both its forms, pushed as it pushes: layers are listed as manifests."""

import json
import os
from typing import Any

import pytest

from tests.clients.api import Api
from tests.clients.images import OCI_INDEX, OCI_LAYER, OCI_MANIFEST, digest_of

CACHE_CONFIG = "application/vnd.buildkit.cacheconfig.v0"


def _put(api: Api, repository: str, media_type: str, content: bytes) -> dict[str, Any]:
    digest = digest_of(content)
    api.put_blob(repository, content, digest)
    return {"mediaType": media_type, "digest": digest, "size": len(content)}


@pytest.fixture
def layers(api: Api) -> list[dict[str, Any]]:
    """Cached layers, as blobs in the repository."""
    annotations = {"buildkit/createdat": "2026-01-01T00:00:00Z"}
    return [{**_put(api, "buildkit/cache", OCI_LAYER, os.urandom(5000)), "annotations": annotations} for _ in "abc"]


@pytest.fixture
def config(api: Api, layers: list[dict[str, Any]]) -> dict[str, Any]:
    """The cache's config: which record is which layer."""
    records = [{"digest": digest_of(os.urandom(8)), "results": [{"layer": number}]} for number in range(len(layers))]
    document = {"layers": [{"blob": layer["digest"]} for layer in layers], "records": records}
    return _put(api, "buildkit/cache", CACHE_CONFIG, json.dumps(document).encode())


def test_keeps_a_cache_that_is_an_index_of_blobs(
    api: Api, layers: list[dict[str, Any]], config: dict[str, Any]
) -> None:
    index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [*layers, config]}
    content = json.dumps(index, indent=1).encode()

    api.put_manifest("buildkit/cache", "index", OCI_INDEX, content)

    stored = api.manifest("buildkit/cache", "index")
    assert (stored.content, stored.media_type, stored.digest) == (content, OCI_INDEX, digest_of(content))


def test_keeps_a_cache_that_is_an_image_manifest(
    api: Api, layers: list[dict[str, Any]], config: dict[str, Any]
) -> None:
    manifest = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": layers}
    content = json.dumps(manifest, indent=1).encode()

    api.put_manifest("buildkit/cache", "manifest", OCI_MANIFEST, content)

    stored = api.manifest("buildkit/cache", "manifest")
    assert (stored.content, stored.media_type, stored.digest) == (content, OCI_MANIFEST, digest_of(content))
    for layer in layers:
        assert digest_of(api.blob("buildkit/cache", layer["digest"])) == layer["digest"]
