"""Images on this side: OCI image layouts in a folder or a tar file (OCI image-spec image-layout.md)."""

import hashlib
import json
import posixpath
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from estiva import mediatypes
from estiva.descriptor import Descriptor
from estiva.digest import Digest
from estiva.errors import RegistryError
from estiva.failures import ContentInvalid
from estiva.manifest import Manifest, parse_manifest
from estiva.protocol.blobs import OutgoingBlob
from estiva.protocol.manifests import StoredManifest
from estiva.protocol.steps import FileSlice

if TYPE_CHECKING:
    import tarfile

REF_NAME = "org.opencontainers.image.ref.name"
_LARGEST_MANIFEST = 32 << 20
_CHUNK = 1 << 20
_LONGEST_CHAIN = 8


@dataclass(frozen=True, slots=True)
class Package:
    """What a push sends: the blobs, the manifests that an index needs, and at last the root."""

    root: StoredManifest
    children: tuple[StoredManifest, ...]
    """In an order in which each has what it needs before it."""
    blobs: tuple[OutgoingBlob, ...]


class Shelf(Protocol):
    """Where files of a layout are looked up by their path in it."""

    name: str

    def find(self, path: str) -> FileSlice | None:
        """Where that file's bytes are; None where there is none."""


class Folder:
    """A layout that is a folder."""

    def __init__(self, path: Path) -> None:
        self.name = str(path)
        self._path = path

    def find(self, path: str) -> FileSlice | None:
        file = self._path / path
        return FileSlice(file, 0, file.stat().st_size) if file.is_file() else None


class Archive:
    """A layout, or what `docker save` writes, that is a tar file without compression."""

    def __init__(self, path: Path) -> None:
        import tarfile  # here, as most layouts are folders

        self.name = str(path)
        self._path = path
        self._members: dict[str, FileSlice] = {}
        self._links: dict[str, str] = {}
        try:
            with tarfile.open(path, "r:") as tar:
                for member in tar:
                    self._enter(member)
        except (tarfile.TarError, OSError) as error:
            why = getattr(error, "strerror", None) or "it is no tar file, or a compressed one"
            raise ContentInvalid(f"cannot read {path}: {why}") from None

    def _enter(self, member: "tarfile.TarInfo") -> None:
        name = posixpath.normpath(member.name)
        if member.isreg():
            self._members[name] = FileSlice(self._path, member.offset_data, member.size)
        elif member.islnk():
            self._links[name] = posixpath.normpath(member.linkname)
        elif member.issym():  # docker save links layers that are the same
            self._links[name] = posixpath.normpath(posixpath.join(posixpath.dirname(name), member.linkname))

    def find(self, path: str) -> FileSlice | None:
        name = posixpath.normpath(path)
        for _ in range(_LONGEST_CHAIN):
            if name not in self._links:
                break
            name = self._links[name]
        return self._members.get(name)


def shelf_of(path: Path) -> Shelf:
    """The layout or archive at that path; ContentInvalid where there is none."""
    if path.is_dir():
        if not (path / "index.json").is_file():
            raise ContentInvalid(
                f"{path} is no OCI image layout: it has no index.json; `estiva pack` makes an image of a folder"
            )
        return Folder(path)
    if not path.exists():
        raise ContentInvalid(f"{path} does not exist")
    return Archive(path)


def read_package(shelf: Shelf, chosen: str = "") -> Package:
    """The image of a layout: the only one, or the one that is tagged `chosen` (or has that digest).

    ContentInvalid where there is none, several to choose from, or something is missing or has another size.
    """
    root = _choose(shelf, _json(shelf, "index.json").get("manifests"), chosen)
    reader = _Reader(shelf)
    reader.take(root)
    *children, top = reader.manifests.values()
    return Package(top, tuple(children), tuple(reader.blobs.values()))


def _choose(shelf: Shelf, entries: Any, chosen: str) -> Descriptor:
    try:
        found = [Descriptor.parse(entry, "index.json's manifest") for entry in entries or []]
    except (RegistryError, TypeError) as error:
        raise ContentInvalid(f"{shelf.name} is no OCI image layout: {error}") from None
    fitting = [entry for entry in found if chosen in (entry.annotations.get(REF_NAME), str(entry.digest))]
    fitting = fitting if chosen else found
    if len({entry.digest for entry in fitting}) == 1:
        return fitting[0]
    names = ", ".join(entry.annotations.get(REF_NAME) or str(entry.digest) for entry in found) or "none at all"
    raise ContentInvalid(
        f"{shelf.name} holds several images, choose one: {names}"
        if not chosen
        else f"{shelf.name} holds no image {chosen}, but {names}"
    )


class _Reader:
    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        self.manifests: dict[Digest, StoredManifest] = {}
        self.blobs: dict[Digest, OutgoingBlob] = {}

    def take(self, descriptor: Descriptor) -> None:
        """The manifest after all that it needs."""
        if descriptor.digest in self.manifests:
            return
        content = read_slice(self._slice(descriptor), _LARGEST_MANIFEST)
        stored = StoredManifest(descriptor.digest, descriptor.media_type, content)
        manifest = checked(stored, self._shelf.name)
        for child in manifest.children:
            if is_manifest(child):
                self.take(child)
            else:
                self._take_blob(child)
        for blob in manifest.blobs:
            self._take_blob(blob)
        self.manifests[descriptor.digest] = stored

    def _take_blob(self, blob: Descriptor) -> None:
        if blob.urls and self._shelf.find(path_of(blob.digest)) is None:
            return  # it may not be distributed, and is fetched from there
        self.blobs[blob.digest] = OutgoingBlob(blob, self._slice(blob))

    def _slice(self, descriptor: Descriptor) -> FileSlice:
        found = self._shelf.find(path_of(descriptor.digest))
        if found is None:
            raise ContentInvalid(f"{self._shelf.name} lacks {descriptor.digest}")
        if found.length != descriptor.size:
            raise ContentInvalid(
                f"{self._shelf.name} has {descriptor.digest} with {found.length} bytes, not {descriptor.size}"
            )
        return found


def checked(stored: StoredManifest, where: str) -> Manifest:
    """What is in a manifest; ContentInvalid where it is not its digest's, or none."""
    if Digest.of(stored.content, stored.digest.algorithm) != stored.digest:
        raise ContentInvalid(f"{where} has something else under {stored.digest}")
    try:
        return parse_manifest(stored.content, stored.media_type)
    except RegistryError as error:
        raise ContentInvalid(f"{where}: {stored.digest}: {error.text}") from None


def is_manifest(descriptor: Descriptor) -> bool:
    """Whether it points to a manifest; build caches list blobs as if they were."""
    return descriptor.media_type in mediatypes.INDEXES | mediatypes.IMAGES


def path_of(digest: Digest) -> str:
    """Where a layout keeps content."""
    return f"blobs/{digest.algorithm.value}/{digest.hex}"


def read_slice(where: FileSlice, limit: int) -> bytes:
    """The bytes of a small file; ContentInvalid beyond the limit."""
    if where.length > limit:
        raise ContentInvalid(f"{where.path} has something of {where.length} bytes where a manifest should be")
    with where.path.open("rb") as file:
        file.seek(where.offset)
        return file.read(where.length)


class LayoutWriter:
    """A layout in a folder that a pull fills; what is in it already stays."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def target(self, digest: Digest) -> Path:
        """Where the content goes."""
        return self.folder / path_of(digest)

    def partial(self, digest: Digest) -> Path:
        """Where the content is until all of it is there."""
        return self.folder / "ingest" / f"{digest.algorithm.value}-{digest.hex}"

    def holds(self, blob: Descriptor) -> bool:
        """Whether the content is there and good."""
        path = self.target(blob.digest)
        if not path.is_file() or path.stat().st_size != blob.size:
            return False
        hashed = hashlib.new(blob.digest.algorithm.value)
        with path.open("rb", buffering=0) as file:
            while piece := file.read(_CHUNK):
                hashed.update(piece)
        return hashed.hexdigest() == blob.digest.hex

    def write(self, digest: Digest, content: bytes) -> None:
        """Enter small content; ContentInvalid where the disk refuses."""
        _write(self.target(digest), content)

    def finish(self, root: Descriptor, name: str) -> None:
        """Name the image in index.json, in place of what had the name before."""
        index = self.folder / "index.json"
        document = _json(Folder(self.folder), "index.json") if index.is_file() else {}
        entry = Descriptor(root.media_type, root.digest, root.size, annotations={REF_NAME: name} if name else {})
        others = [other for other in document.get("manifests") or [] if not _replaces(entry, other)]
        document |= {"schemaVersion": 2, "mediaType": mediatypes.OCI_INDEX, "manifests": [*others, entry.as_json()]}
        _write(self.folder / "oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
        _write(index, json.dumps(document, indent=2).encode())
        ingest = self.folder / "ingest"
        if ingest.is_dir() and not any(ingest.iterdir()):
            ingest.rmdir()


def _replaces(entry: Descriptor, other: Mapping[str, Any]) -> bool:
    name = (other.get("annotations") or {}).get(REF_NAME, "")
    wanted = entry.annotations.get(REF_NAME, "")
    return name == wanted if wanted else (not name and other.get("digest") == str(entry.digest))


def _write(path: Path, content: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}.new")
        partial.write_bytes(content)
        partial.replace(path)
    except OSError as error:
        raise ContentInvalid(f"cannot write {path}: {error.strerror}") from None


def _json(shelf: Shelf, path: str) -> dict[str, Any]:
    where = shelf.find(path)
    try:
        document = json.loads(read_slice(where, _LARGEST_MANIFEST)) if where else None
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise ContentInvalid(f"{shelf.name} is no OCI image layout: it has no sound {path}")
    return document
