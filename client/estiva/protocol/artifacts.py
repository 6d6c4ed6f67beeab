"""Files as artifacts, as oras stores them: a layer per file (OCI image-spec, "Guidelines for Artifact Usage")."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from estiva import mediatypes
from estiva.descriptor import Descriptor
from estiva.digest import Algorithm, Digest
from estiva.errors import ManifestInvalid
from estiva.failures import ContentInvalid
from estiva.imagereference import ImageReference
from estiva.layout import Package
from estiva.manifest import parse_manifest
from estiva.mediatypes import OCTETS, UNKNOWN_ARTIFACT
from estiva.progress import Progress
from estiva.protocol.blobs import OutgoingBlob, pull_blob
from estiva.protocol.manifests import StoredManifest, resolve
from estiva.protocol.registry import Registry
from estiva.protocol.steps import Call, FileSlice, Parallel, Steps
from estiva.protocol.transfer import Pushing, push_package

TITLE = "org.opencontainers.image.title"
_EMPTY = b"{}"
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Artifact:
    """What is to be stored: files, of which type, with which annotations."""

    files: Sequence[Path]
    artifact_type: str = UNKNOWN_ARTIFACT
    annotations: Mapping[str, str] = field(default_factory=dict)
    media_type: str = OCTETS
    """Of every file."""

    def __post_init__(self) -> None:
        for text in (self.artifact_type, self.media_type):
            if not mediatypes.is_media_type(text):
                raise ContentInvalid(f"{text!r} is no media type such as {OCTETS}")


def push_artifact(registry: Registry, image: ImageReference, artifact: Artifact, how: Pushing) -> Steps[Descriptor]:
    """Push files as one artifact."""
    package = yield Call(lambda: _package(artifact, None))
    return (yield from push_package(registry, image, package, how))


def attach_artifact(registry: Registry, image: ImageReference, artifact: Artifact, how: Pushing) -> Steps[Descriptor]:
    """Push files as an artifact that refers to an image, under its own digest."""
    subject = (yield from resolve(registry, image)).descriptor
    package = yield Call(lambda: _package(artifact, subject))
    return (yield from push_package(registry, image.at(package.root.digest), package, how))


def pull_artifact(registry: Registry, image: ImageReference, folder: Path, progress: Progress) -> Steps[list[Path]]:
    """Write the files of an artifact into a folder; ManifestInvalid where it holds none that has a name."""
    stored = yield from resolve(registry, image)
    manifest = parse_manifest(stored.content, stored.media_type)
    named = [(blob, _target(folder, blob)) for blob in manifest.blobs if blob.annotations.get(TITLE)]
    if not named:
        raise ManifestInvalid(f"{image} holds no named files; `estiva pull` fetches it as an OCI layout")
    name = image.repository
    yield Parallel([pull_blob(registry, name, blob, _partial(path), path, progress) for blob, path in named])
    return [path for _, path in named]


def _target(folder: Path, blob: Descriptor) -> Path:
    """Where the file goes, which is never outside the folder."""
    title = PurePosixPath(blob.annotations[TITLE])
    if title.is_absolute() or ".." in title.parts or not title.parts or "\\" in str(title) or "\0" in str(title):
        raise ManifestInvalid("the artifact names a file outside of the folder", detail=str(title)[:255])
    path = folder.joinpath(*title.parts)
    if any(parent.is_symlink() for parent in (path, *path.parents) if folder in parent.parents):
        raise ContentInvalid(f"{path} is, or is behind, a symbolic link")
    return path


def _partial(path: Path) -> Path:
    return path.with_name(f".{path.name}.partial")


def _package(artifact: Artifact, subject: Descriptor | None) -> Package:
    layers = [_layer(path, artifact.media_type) for path in artifact.files]
    empty = Descriptor(mediatypes.OCI_EMPTY, Digest.of(_EMPTY), len(_EMPTY))
    listed = [layer.descriptor for layer in layers] or [empty]
    document = {
        "schemaVersion": 2,
        "mediaType": mediatypes.OCI_MANIFEST,
        "artifactType": artifact.artifact_type,
        "config": empty.as_json(),
        "layers": [layer.as_json() for layer in listed],
        **({"subject": subject.as_json()} if subject else {}),
        **({"annotations": dict(artifact.annotations)} if artifact.annotations else {}),
    }
    content = json.dumps(document, separators=(",", ":")).encode()
    root = StoredManifest(Digest.of(content), mediatypes.OCI_MANIFEST, content)
    distinct = {layer.descriptor.digest: layer for layer in [OutgoingBlob(empty, _EMPTY), *layers]}
    return Package(root, (), tuple(distinct.values()))


def _layer(path: Path, media_type: str) -> OutgoingBlob:
    hashed, size = hashlib.sha256(), 0
    try:
        with path.open("rb", buffering=0) as file:
            while piece := file.read(_CHUNK):
                hashed.update(piece)
                size += len(piece)
    except OSError as error:
        raise ContentInvalid(f"cannot read {path}: {error.strerror}") from None
    digest = Digest(Algorithm.SHA256, hashed.hexdigest())
    return OutgoingBlob(Descriptor(media_type, digest, size, annotations={TITLE: path.name}), FileSlice(path, 0, size))
