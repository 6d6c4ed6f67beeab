"""What `docker save` writes and `docker load` reads."""

import gzip
import hashlib
import json
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from estiva import mediatypes
from estiva.descriptor import Descriptor
from estiva.digest import Algorithm, Digest
from estiva.failures import ContentInvalid
from estiva.layout import Package, Shelf, path_of, read_slice
from estiva.protocol.blobs import OutgoingBlob
from estiva.protocol.manifests import StoredManifest
from estiva.protocol.steps import FileSlice

_LARGEST_CONFIG = 32 << 20
_CHUNK = 1 << 20
_LEVEL = 6
_GZIP_MAGIC, _ZSTD_MAGIC = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"


@dataclass(frozen=True, slots=True)
class SavedImage:
    """One image of an archive that holds no OCI layout: its config, and its layers as tar files."""

    config: bytes
    layers: tuple[FileSlice, ...]


def saved_image(shelf: Shelf, chosen: str = "") -> SavedImage:
    """The only image of the archive, or the one with the repository and tag `chosen`."""
    where = shelf.find("manifest.json")
    if where is None:
        raise ContentInvalid(f"{shelf.name} holds neither an OCI layout nor what docker save writes")
    entries = _entries(shelf, where)
    fitting = [entry for entry in entries if not chosen or chosen in (entry.get("RepoTags") or [])]
    if len(fitting) != 1:
        names = ", ".join(name for entry in entries for name in entry.get("RepoTags") or ["an image without a name"])
        raise ContentInvalid(f"{shelf.name} has not just one such image, choose one: {names}")
    config = read_slice(_member(shelf, fitting[0].get("Config")), _LARGEST_CONFIG)
    return SavedImage(config, tuple(_member(shelf, layer) for layer in fitting[0].get("Layers") or []))


def compressed_layer(layer: FileSlice, workspace: Path, number: int) -> OutgoingBlob:
    """The layer as it is pushed: compressed with gzip, the same bytes each time; as it is where it is compressed."""
    with layer.path.open("rb", buffering=0) as file:
        file.seek(layer.offset)
        start = file.read(min(4, layer.length))
        if start.startswith((_GZIP_MAGIC, _ZSTD_MAGIC)):
            kind = "+gzip" if start.startswith(_GZIP_MAGIC) else "+zstd"
            digest = Digest(Algorithm.SHA256, _hash(layer))
            return OutgoingBlob(Descriptor(mediatypes.OCI_LAYER + kind, digest, layer.length), layer)
    target = workspace / f"layer-{number}.tar.gz"
    with target.open("wb") as raw, gzip.GzipFile("", "wb", _LEVEL, raw, mtime=0) as packed:
        for piece in _pieces(layer):
            packed.write(piece)
    whole = FileSlice(target, 0, target.stat().st_size)
    digest = Digest(Algorithm.SHA256, _hash(whole))
    return OutgoingBlob(Descriptor(mediatypes.OCI_LAYER_GZIP, digest, whole.length), whole)


def as_package(config: bytes, layers: tuple[OutgoingBlob, ...]) -> Package:
    """The image as a push sends it."""
    described = Descriptor(mediatypes.OCI_CONFIG, Digest.of(config), len(config))
    document = {
        "schemaVersion": 2,
        "mediaType": mediatypes.OCI_MANIFEST,
        "config": described.as_json(),
        "layers": [layer.descriptor.as_json() for layer in layers],
    }
    content = json.dumps(document, separators=(",", ":")).encode()
    root = StoredManifest(Digest.of(content), mediatypes.OCI_MANIFEST, content)
    distinct = {layer.descriptor.digest: layer for layer in layers}
    return Package(root, (), (OutgoingBlob(described, config), *distinct.values()))


def write_archive(layout: Path, root: Digest, name: str, target: Path) -> None:
    """One tar file of an image in a layout that `docker load` reads too, as docker writes it since version 25.

    `root` is the image's manifest, `name` what it is called after loading; what else the layout holds is left out.
    ContentInvalid where the disk refuses.
    """
    document = json.loads((layout / path_of(root)).read_bytes())
    config, layers = _path(document["config"]), [_path(layer) for layer in document["layers"]]
    entry = {"Config": config, "RepoTags": [name] if name else None, "Layers": layers}
    members = {"oci-layout", "index.json", "manifest.json", path_of(root), config, *layers}
    partial = target.with_name(f".{target.name}.new")
    try:
        (layout / "manifest.json").write_text(json.dumps([entry]))
        with tarfile.open(partial, "w") as tar:
            for member in sorted(members):
                _add(tar, layout / member, member)
        partial.replace(target)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise ContentInvalid(f"cannot write {target}: {error.strerror}") from None


def _add(tar: tarfile.TarFile, path: Path, name: str) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode = path.stat().st_size, 0o644
    with path.open("rb") as file:
        tar.addfile(member, file)


def _path(descriptor: dict[str, Any]) -> str:
    return path_of(Digest.parse(descriptor["digest"]))


def _entries(shelf: Shelf, where: FileSlice) -> list[dict[str, Any]]:
    try:
        entries = json.loads(read_slice(where, _LARGEST_CONFIG))
    except ValueError:
        entries = None
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise ContentInvalid(f"{shelf.name} is not what docker save writes: its manifest.json is no list")
    return entries


def _member(shelf: Shelf, name: Any) -> FileSlice:
    found = shelf.find(str(name))
    if found is None:
        raise ContentInvalid(f"{shelf.name} lacks {name}")
    return found


def _hash(layer: FileSlice) -> str:
    hashed = hashlib.sha256()
    for piece in _pieces(layer):
        hashed.update(piece)
    return hashed.hexdigest()


def _pieces(layer: FileSlice) -> Iterator[bytes]:
    with layer.path.open("rb", buffering=0) as file:
        file.seek(layer.offset)
        left = layer.length
        while left and (piece := file.read(min(left, _CHUNK))):
            left -= len(piece)
            yield piece
