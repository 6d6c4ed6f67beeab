"""Images made from nothing: no registry has to be reached to test one."""

import gzip
import hashlib
import io
import json
import os
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"

LAYERS = 9


def digest_of(content: bytes) -> str:
    """The sha256 digest of these bytes."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


@dataclass(frozen=True)
class Image:
    """What is in an image: its files, one per layer, the first being the program it runs."""

    files: tuple[tuple[str, bytes], ...]

    @classmethod
    def around(cls, program: bytes, *, shared: tuple[tuple[str, bytes], ...] = (), layers: int = LAYERS) -> "Image":
        """An image of so many layers around the program; no other image has a layer of it that is not `shared`."""
        own = layers - 1 - len(shared)
        program += os.urandom(16)  # a loader reads no further than the headers say
        padding = tuple((f"padding{number}", os.urandom(40_000 + 10_000 * number)) for number in range(own))
        return cls((("hello", program), *shared, *padding))

    @property
    def name(self) -> str:
        """A name of its own, as a part of a repository's."""
        return digest_of(self.files[0][1]).removeprefix("sha256:")[:12]

    def context(self, folder: Path) -> Path:
        """A build context: a Dockerfile that starts from nothing and adds file by file."""
        folder.mkdir(parents=True)
        for name, content in self.files:
            (folder / name).write_bytes(content)
            (folder / name).chmod(0o755)
        steps = [f"COPY {name} /{name}" for name, _ in self.files]
        (folder / "Dockerfile").write_text("\n".join(["FROM scratch", *steps, 'CMD ["/hello"]', ""]))
        return folder

    def layout(self, folder: Path, *, architectures: tuple[str, ...] = ("amd64",), tag: str = "image") -> "Layout":
        """An OCI image layout; with several architectures, an index of one image each."""
        layout = Layout(folder, tag)
        manifests = [layout.add_image(self, architecture) for architecture in architectures]
        layout.finish(manifests[0] if len(manifests) == 1 else layout.add_index(manifests))
        return layout


class Layout:
    """A folder in the OCI image layout, holding one tagged image or index."""

    def __init__(self, folder: Path, tag: str) -> None:
        self.folder = folder
        self.tag = tag
        self.digest = ""
        self._blobs = folder / "blobs" / "sha256"
        self._blobs.mkdir(parents=True)
        (folder / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')

    def add(self, media_type: str, content: bytes, **more: Any) -> dict[str, Any]:
        """Store these bytes and describe them."""
        digest = digest_of(content)
        (self._blobs / digest.removeprefix("sha256:")).write_bytes(content)
        return {"mediaType": media_type, "digest": digest, "size": len(content), **more}

    def add_image(self, image: Image, architecture: str) -> dict[str, Any]:
        """Store the image's layers, config and manifest; the manifest's descriptor."""
        tars = [_tar(name, content) for name, content in image.files]
        config = {
            "architecture": architecture,
            "os": "linux",
            "config": {"Cmd": ["/hello"]},
            "rootfs": {"type": "layers", "diff_ids": [digest_of(tar) for tar in tars]},
        }
        manifest = {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": self.add(OCI_CONFIG, _json(config)),
            "layers": [self.add(OCI_LAYER, gzip.compress(tar, 1, mtime=0)) for tar in tars],
        }
        platform = {"architecture": architecture, "os": "linux"}
        return self.add(OCI_MANIFEST, _json(manifest), platform=platform)

    def add_index(self, manifests: list[dict[str, Any]]) -> dict[str, Any]:
        """Store an index of these manifests; its descriptor."""
        return self.add(OCI_INDEX, _json({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": manifests}))

    def finish(self, root: dict[str, Any]) -> None:
        """Name the image or index that the layout is about."""
        self.digest = root["digest"]
        root = {**root, "annotations": {"org.opencontainers.image.ref.name": self.tag}}
        (self.folder / "index.json").write_bytes(_json({"schemaVersion": 2, "manifests": [root]}))

    def archive(self, path: Path) -> Path:
        """The layout as one tar file."""
        with tarfile.open(path, "w") as tar:
            for name in ("oci-layout", "index.json", "blobs"):
                tar.add(self.folder / name, arcname=name)
        return path


def blobs_of(manifest: dict[str, Any]) -> set[str]:
    """The digests of an image manifest's config and layers."""
    return {manifest["config"]["digest"], *(layer["digest"] for layer in manifest["layers"])}


def layers_of(manifest: dict[str, Any]) -> set[str]:
    """The digests of an image manifest's layers."""
    return {layer["digest"] for layer in manifest["layers"]}


def _json(document: dict[str, Any]) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()


def _tar(name: str, content: bytes) -> bytes:
    with io.BytesIO() as packed:
        with tarfile.open(fileobj=packed, mode="w") as tar:
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o755
            tar.addfile(entry, io.BytesIO(content))
        return packed.getvalue()
