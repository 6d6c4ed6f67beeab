"""The images that fill a registry, and the names under which they are found."""

from __future__ import annotations

import hashlib
import json

REPOSITORY = "bench/image"
BLOBS = "bench/blobs"
TAGS = "bench/tags"
TAG = "latest"
CATALOGUE = "catalog"
"""What the names of the catalogue's repositories begin with."""
MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
_CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
_LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar+gzip"
LAYERS = 9

CONFIG = b"{}"
SIZES = {"1k": 1 << 10, "64k": 64 << 10, "10m": 10 << 20, "256m": 256 << 20}


def digest(content: bytes) -> str:
    """The sha256 digest of a small content."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def manifest(number: int | None = None) -> bytes:
    """An image of nine small layers; each number gives another manifest of the same layers."""
    layers = [(_LAYER_TYPE, layer(index)) for index in range(LAYERS)]
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
    return f"{CATALOGUE}/r{index:06d}"


def small_image() -> bytes:
    """The image of a catalogue entry: a config and no layers, so that one mount is enough."""
    config = {"mediaType": _CONFIG_TYPE, "digest": digest(CONFIG), "size": len(CONFIG)}
    value = {"schemaVersion": 2, "mediaType": MANIFEST_TYPE, "config": config, "layers": []}
    return json.dumps(value).encode()
