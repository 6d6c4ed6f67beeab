"""An image as files, for a scanner that is a program: an OCI image layout (image-spec image-layout.md)."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

from estiva.digest import Digest
from estiva.mediatypes import OCI_INDEX
from storage.metadata.manifests import StoredManifest


def write_layout(folder: Path, stored: StoredManifest, blobs: Mapping[Digest, BinaryIO]) -> None:
    """Write the image into an empty folder. Blocking."""
    (folder / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    descriptor = {"mediaType": stored.media_type, "digest": str(stored.digest), "size": len(stored.payload)}
    index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [descriptor]}
    (folder / "index.json").write_text(json.dumps(index))
    _place(folder, stored.digest).write_bytes(stored.payload)
    for digest, source in blobs.items():
        with _place(folder, digest).open("wb") as target:
            shutil.copyfileobj(source, target, 1024 * 1024)


def _place(folder: Path, digest: Digest) -> Path:
    place = folder / "blobs" / digest.algorithm.value
    place.mkdir(parents=True, exist_ok=True)
    return place / digest.hex
