"""What there is to be hostile to: a repository with an image in it and an upload that is not finished."""

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from estiva import mediatypes
from tests.hostile.conversation import ask

BLOB = bytes(range(256)) * 16
CONFIG = b"{}"
CHUNK = b"x" * 1000


def digest_of(content: bytes) -> str:
    """Its sha256 digest."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def descriptor(content: bytes, media_type: str = "application/octet-stream") -> dict[str, Any]:
    """What a manifest says of it."""
    return {"mediaType": media_type, "digest": digest_of(content), "size": len(content)}


def image(**members: Any) -> dict[str, Any]:
    """The manifest of an image of BLOB and CONFIG, with further members."""
    return {
        "schemaVersion": 2,
        "mediaType": mediatypes.OCI_MANIFEST,
        "config": descriptor(CONFIG, mediatypes.OCI_EMPTY),
        "layers": [descriptor(BLOB)],
        **members,
    }


@dataclass(frozen=True)
class World:
    """The repository, and all names in it."""

    port: int
    name: str
    manifest: bytes
    upload: str
    blob_digest: str = digest_of(BLOB)
    config_digest: str = digest_of(CONFIG)
    tag: str = "v1"

    @property
    def manifest_digest(self) -> str:
        """The image's."""
        return digest_of(self.manifest)

    @classmethod
    def pushed(cls, port: int, name: str) -> "World":
        """Push it."""
        for content in (BLOB, CONFIG):
            stored = ask(port, "POST", f"/v2/{name}/blobs/uploads/?digest={digest_of(content)}", body=content)
            assert stored.status == 201
        world = cls(port, name, json.dumps(image()).encode(), begin_upload(port, name))
        assert world.put(world.manifest) == 201
        assert ask(port, "PATCH", f"/v2/{name}/blobs/uploads/{world.upload}", body=CHUNK).status == 202
        return world

    def put(self, manifest: bytes, reference: str = tag, media_type: str = mediatypes.OCI_MANIFEST) -> int:
        """The status of pushing that manifest here."""
        target = f"/v2/{self.name}/manifests/{reference}"
        return ask(self.port, "PUT", target, ("Content-Type", media_type), body=manifest).status

    def require_unharmed(self) -> None:
        """Nothing where all of it comes back byte for byte."""
        by_tag = ask(self.port, "GET", f"/v2/{self.name}/manifests/{self.tag}")
        assert (by_tag.status, by_tag.body) == (200, self.manifest)
        blob = ask(self.port, "GET", f"/v2/{self.name}/blobs/{self.blob_digest}")
        assert (blob.status, blob.body) == (200, BLOB)
        upload = ask(self.port, "GET", f"/v2/{self.name}/blobs/uploads/{self.upload}")
        assert (upload.status, upload.field("range")) == (204, f"0-{len(CHUNK) - 1}")


def begin_upload(port: int, name: str) -> str:
    """Begin an upload there: its id."""
    begun = ask(port, "POST", f"/v2/{name}/blobs/uploads/")
    assert begun.status == 202
    location = begun.field("location") or ""
    return location.rpartition("/")[2]
