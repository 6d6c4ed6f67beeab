"""Whole images: pushed from a package, pulled into a layout, copied between repositories and registries."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from estiva import mediatypes
from estiva.descriptor import Descriptor
from estiva.digest import Digest
from estiva.errors import ManifestInvalid, ManifestUnknown
from estiva.failures import ContentInvalid
from estiva.imagereference import ImageReference
from estiva.layout import LayoutWriter, Package, Shelf, is_manifest, read_package, shelf_of
from estiva.manifest import parse_manifest
from estiva.platform import Platform
from estiva.progress import Progress
from estiva.protocol.blobs import (
    NoJournal,
    OutgoingBlob,
    UploadJournal,
    get_blob,
    has_blob,
    mount_blob,
    pull_blob,
    push_blob,
)
from estiva.protocol.manifests import StoredManifest, get_manifest, list_in_fallback, put_manifest, resolve
from estiva.protocol.registry import Registry
from estiva.protocol.steps import Call, FileSlice, Parallel, Steps
from estiva.reference import Reference, RepositoryName

if TYPE_CHECKING:
    from estiva.image import Image


@dataclass(frozen=True, slots=True)
class Pushing:
    """How to push: where blobs may be taken over from, who is told, and what remembers uploads."""

    sources: tuple[RepositoryName, ...] = ()
    progress: Progress = field(default_factory=Progress)
    journal: UploadJournal = field(default_factory=NoJournal)


@dataclass(frozen=True, slots=True)
class Tree:
    """A manifest with all that it needs: its child manifests, each after its own, and their blobs."""

    root: StoredManifest
    children: tuple[StoredManifest, ...]
    blobs: tuple[Descriptor, ...]


def push_path(registry: Registry, image: ImageReference, path: Path, chosen: str, how: Pushing) -> Steps[Descriptor]:
    """Push the image in a layout (a folder, or a tar file) or in what `docker save` wrote."""
    shelf = yield Call(lambda: shelf_of(path))
    if shelf.find("index.json"):
        package = yield Call(lambda: read_package(shelf, chosen))
        return (yield from push_package(registry, image, package, how))
    with workspace() as place:
        package = yield from _saved(shelf, chosen, place)
        return (yield from push_package(registry, image, package, how))


def push_package(registry: Registry, image: ImageReference, package: Package, how: Pushing) -> Steps[Descriptor]:
    """Push blobs at the same time, then the manifests, the root last; a root that is there already is only tagged."""
    name, root = image.repository, package.root
    blobs = _largest_first(package.blobs)
    if blobs:
        # The first one alone: it finds out how to sign in, once for all of them.
        found = yield from has_blob(registry, name, blobs[-1].descriptor.digest)
        ahead = blobs[-1].descriptor.digest if found else None
        yield Parallel([_push(registry, name, blob, how, known=blob.descriptor.digest == ahead) for blob in blobs])
    for child in package.children:
        yield from put_manifest(registry, name, child.digest, child)
    yield from push_manifest(registry, name, image.or_latest, root)
    return root.descriptor


def push_manifest(
    registry: Registry, name: RepositoryName, reference: Reference, stored: StoredManifest
) -> Steps[None]:
    """Store a manifest, and see to it that its subject's referrers list it."""
    listed = yield from put_manifest(registry, name, reference, stored)
    manifest = parse_manifest(stored.content, stored.media_type)
    if manifest.subject and not listed:
        own = stored.descriptor
        told = Descriptor(own.media_type, own.digest, own.size, manifest.artifact_type, manifest.annotations)
        yield from list_in_fallback(registry, name, manifest.subject.digest, told)


def pull_layout(
    registry: Registry,
    image: ImageReference,
    folder: Path,
    platform: Platform | None,
    progress: Progress,
    *,
    strict: bool = True,
) -> Steps[Descriptor]:
    """Pull into an OCI layout: all of an index, or its image for one platform.

    An image that is in no index has to be for that platform too, where `strict` says so.
    """
    root = yield from resolve(registry, image)
    if platform:
        found = yield from select_platform(registry, image.repository, root, platform)
        if strict and found is root:
            yield from _hold_to(registry, image, root, platform)
        root = found
    tree = yield from read_tree(registry, image.repository, root)
    writer = LayoutWriter(folder)
    yield Parallel([_pull(registry, image.repository, blob, writer, progress) for blob in tree.blobs])
    name = "" if isinstance(image.or_latest, Digest) else str(image.or_latest)
    yield Call(lambda: _write_manifests(writer, tree, name))
    return root.descriptor


def pull_archive(
    registry: Registry, image: ImageReference, target: Path, platform: Platform | None, progress: Progress
) -> Steps[Descriptor]:
    """Pull the image for one platform (by default this machine's) into a file that `docker load` reads."""
    import shutil

    from estiva.dockerarchive import write_archive

    folder = yield Call(lambda: _folder_beside(target))
    wanted = platform or Platform.of_containers_here()
    root = yield from pull_layout(registry, image, folder, wanted, progress, strict=platform is not None)
    name = "" if isinstance(image.or_latest, Digest) else str(image.at(image.or_latest))
    yield Call(lambda: write_archive(folder, root.digest, name, target))
    yield Call(lambda: shutil.rmtree(folder, ignore_errors=True))
    return root


def _folder_beside(target: Path) -> Path:
    """Where the layers of an archive come together: the next try goes on with what is there.

    An earlier one may have been for another image: its blobs may serve, its names do not.
    """
    if not target.parent.is_dir():
        raise ContentInvalid(f"cannot write to {target.parent}: there is no such folder")
    folder = target.with_name(f".{target.name}.partial")
    with suppress(OSError):
        (folder / "index.json").unlink()
    return folder


def copy_image(
    source: Registry, image: ImageReference, target: Registry, to: ImageReference, how: Pushing
) -> Steps[Descriptor]:
    """Copy an image with all its platforms; within a registry nothing passes through here where it can mount."""
    root = yield from resolve(source, image)
    tree = yield from read_tree(source, image.repository, root)
    with workspace() as place:
        if source is not target or image.repository != to.repository:
            first = tree.blobs[:1]
            yield Parallel([_copy(source, image, target, to, blob, LayoutWriter(place), how) for blob in first])
            rest = tree.blobs[1:]
            yield Parallel([_copy(source, image, target, to, blob, LayoutWriter(place), how) for blob in rest])
    for child in tree.children:
        yield from put_manifest(target, to.repository, child.digest, child)
    yield from push_manifest(target, to.repository, to.or_latest, root)
    return root.descriptor


def read_tree(registry: Registry, name: RepositoryName, root: StoredManifest) -> Steps[Tree]:
    """The manifest with all that it needs."""
    manifests: dict[Digest, StoredManifest] = {}
    blobs: dict[Digest, Descriptor] = {}
    yield from _collect(registry, name, root, manifests, blobs)
    del manifests[root.digest]
    return Tree(root, tuple(manifests.values()), tuple(sorted(blobs.values(), key=lambda blob: -blob.size)))


def _collect(
    registry: Registry,
    name: RepositoryName,
    stored: StoredManifest,
    manifests: dict[Digest, StoredManifest],
    blobs: dict[Digest, Descriptor],
) -> Steps[None]:
    manifest = parse_manifest(stored.content, stored.media_type)
    for child in manifest.children:
        if not is_manifest(child):
            blobs[child.digest] = child
        elif child.digest not in manifests:
            yield from _collect(
                registry, name, (yield from get_manifest(registry, name, child.digest)), manifests, blobs
            )
    # What has URLs of its own may not be distributed by registries, and need not be there.
    blobs.update((blob.digest, blob) for blob in manifest.blobs if not blob.urls)
    manifests[stored.digest] = stored


def select_platform(
    registry: Registry, name: RepositoryName, stored: StoredManifest, platform: Platform
) -> Steps[StoredManifest]:
    """The image of an index for a platform; what is no index itself. ManifestUnknown where there is none."""
    if stored.media_type not in mediatypes.INDEXES:
        return stored
    offered = [
        (Platform.from_json(entry.get("platform") or {}), Digest.parse(entry["digest"]))
        for entry in _children(stored)
        if entry.get("mediaType") in mediatypes.INDEXES | mediatypes.IMAGES
    ]
    for candidate, digest in offered:
        if platform.matches(candidate):
            return (yield from get_manifest(registry, name, digest))
    names = ", ".join(sorted(str(candidate) for candidate, _ in offered if str(candidate) != "unknown/unknown"))
    raise ManifestUnknown(f"there is no image for {platform}, but for {names or 'none that says which'}")


def _hold_to(registry: Registry, image: ImageReference, stored: StoredManifest, platform: Platform) -> Steps[None]:
    """ManifestUnknown where this is an image for another platform; of an artifact there is nothing to say."""
    from estiva.image import parse_config

    described = next(iter(parse_manifest(stored.content, stored.media_type).blobs), None)
    if described is not None and described.media_type in mediatypes.CONFIGS:
        config = parse_config((yield from get_blob(registry, image.repository, described)))
        _check_platform(image, config.platform, platform)


def _check_platform(image: ImageReference, offered: Platform, wanted: Platform) -> None:
    """ManifestUnknown where the image is for another; a config need not say which, nor which variant."""
    told = offered if offered.variant else replace(wanted, os=offered.os, architecture=offered.architecture)
    if offered.architecture and not wanted.matches(told):
        raise ManifestUnknown(f"{image} is an image for {offered} alone, not for {wanted}")


def read_image(registry: Registry, image: ImageReference, platform: Platform | None) -> "Steps[Image]":
    """The image of a reference, of an index the one for the platform (by default this machine's)."""
    from estiva.image import Image, history_of, parse_config

    root = yield from resolve(registry, image)
    wanted = platform or Platform.of_containers_here()
    stored = yield from select_platform(registry, image.repository, root, wanted)
    manifest = parse_manifest(stored.content, stored.media_type)
    if not manifest.blobs:
        raise ManifestInvalid(f"{image} is no image")
    described, *layers = manifest.blobs
    config = parse_config((yield from get_blob(registry, image.repository, described)))
    if platform and stored is root:
        _check_platform(image, config.platform, platform)
    return Image(
        reference=image,
        digest=stored.digest,
        media_type=stored.media_type,
        manifest=stored.content,
        config=config,
        layers=tuple(layers),
        history=history_of(config, tuple(layers)),
        annotations=manifest.annotations,
    )


def _children(stored: StoredManifest) -> list[dict[str, Any]]:
    parse_manifest(stored.content, stored.media_type)
    entries: list[dict[str, Any]] = json.loads(stored.content)["manifests"]
    return entries


def _saved(shelf: Shelf, chosen: str, workspace: Path) -> Steps[Package]:
    """What `docker save` wrote, its layers compressed."""
    from estiva.dockerarchive import as_package, saved_image

    saved = yield Call(lambda: saved_image(shelf, chosen))
    layers = yield Parallel([_compress(layer, workspace, number) for number, layer in enumerate(saved.layers)])
    return as_package(saved.config, tuple(layers))


def _compress(layer: FileSlice, workspace: Path, number: int) -> Steps[OutgoingBlob]:
    from estiva.dockerarchive import compressed_layer

    blob = yield Call(lambda: compressed_layer(layer, workspace, number))
    assert isinstance(blob, OutgoingBlob)
    return blob


def _push(registry: Registry, name: RepositoryName, blob: OutgoingBlob, how: Pushing, *, known: bool) -> Steps[None]:
    if known:
        how.progress.began(blob.descriptor)
        how.progress.ended(blob.descriptor, "exists")
        return
    yield from push_blob(registry, name, blob, sources=how.sources, journal=how.journal, progress=how.progress)


def _pull(
    registry: Registry, name: RepositoryName, blob: Descriptor, writer: LayoutWriter, progress: Progress
) -> Steps[None]:
    if (yield Call(lambda: writer.holds(blob))):
        progress.began(blob)
        progress.ended(blob, "exists")
        return
    yield from pull_blob(registry, name, blob, writer.partial(blob.digest), writer.target(blob.digest), progress)


def _copy(
    source: Registry,
    image: ImageReference,
    target: Registry,
    to: ImageReference,
    blob: Descriptor,
    writer: LayoutWriter,
    how: Pushing,
) -> Steps[None]:
    how.progress.began(blob)
    if (yield from has_blob(target, to.repository, blob.digest)):
        how.progress.ended(blob, "exists")
    elif source is target and (yield from mount_blob(target, to.repository, blob.digest, image.repository)):
        how.progress.ended(blob, "mounted")
    else:
        path = writer.target(blob.digest)
        yield from pull_blob(source, image.repository, blob, writer.partial(blob.digest), path, Progress())
        outgoing = OutgoingBlob(blob, FileSlice(path, 0, blob.size))
        yield from push_blob(target, to.repository, outgoing, progress=how.progress, journal=how.journal)
        yield Call(path.unlink)


def _write_manifests(writer: LayoutWriter, tree: Tree, name: str) -> None:
    for stored in (*tree.children, tree.root):
        writer.write(stored.digest, stored.content)
    writer.finish(tree.root.descriptor, name)


def _largest_first(blobs: Sequence[OutgoingBlob]) -> list[OutgoingBlob]:
    return sorted(blobs, key=lambda blob: -blob.descriptor.size)


@contextmanager
def workspace() -> Iterator[Path]:
    """A folder that is gone afterwards; ContentInvalid where none can be made."""
    import tempfile

    try:
        folder = tempfile.TemporaryDirectory(prefix="estiva-", ignore_cleanup_errors=True)
    except OSError as error:
        raise ContentInvalid(f"cannot write to {tempfile.gettempdir()}: {error.strerror}") from None
    with folder as name:
        yield Path(name)
