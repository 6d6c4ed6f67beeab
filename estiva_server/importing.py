"""Taking over what CNCF distribution's filesystem driver has stored: digests and tags, byte for byte.

ROOT/docker/registry/v2/blobs/<algorithm>/<2 hex>/<hex>/data
ROOT/docker/registry/v2/repositories/<name>/_layers/<algorithm>/<hex>/link
ROOT/docker/registry/v2/repositories/<name>/_manifests/revisions/<algorithm>/<hex>/link
ROOT/docker/registry/v2/repositories/<name>/_manifests/tags/<tag>/current/link
"""

import asyncio
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from estiva.digest import Digest
from estiva.errors import BlobUnknown, ManifestBlobUnknown, ManifestUnknown, RegistryError
from estiva.mediatypes import OCI_INDEX, OCI_MANIFEST
from estiva.reference import RepositoryName, Tag
from registry import Registry
from registry.begun import UploadKey
from registry.pushed import Push

TREE = Path("docker/registry/v2")
PIECE = 1024 * 1024
COPY = Push(is_copy=True)


@dataclass(slots=True)
class Imported:
    """What an import did."""

    blobs: int = 0
    manifests: int = 0
    tags: int = 0
    present: int = 0
    """Blobs that the repository had already."""
    skipped: list[str] = field(default_factory=list)
    """What could not be taken over, each with its reason."""


class Importing:
    """Imports one tree. What is here already is left alone, so an import that was broken off goes on when repeated."""

    def __init__(self, registry: Registry, root: Path) -> None:
        self._registry = registry
        self._tree = root / TREE
        self.done = Imported()

    async def run(self) -> Imported:
        """Import every repository. Trouble with this registry's own storage is a RegistryError or OSError."""
        for folder in sorted((self._tree / "repositories").rglob("_manifests")):
            name = folder.parent.relative_to(self._tree / "repositories").as_posix()
            try:
                repository = RepositoryName.parse(name)
            except RegistryError as error:
                self._skip(name, error)
                continue
            await self._repository(repository, folder.parent)
        return self.done

    async def _repository(self, name: RepositoryName, folder: Path) -> None:
        for digest in self._links(folder / "_layers"):
            await self._blob(name, digest)
        await self._manifests(name, list(self._links(folder / "_manifests" / "revisions")))
        for link in sorted((folder / "_manifests" / "tags").glob("*/current/link")):
            await self._tag(name, link)

    async def _blob(self, name: RepositoryName, digest: Digest) -> None:
        try:
            await self._registry.pulling.blob(name, digest)
            self.done.present += 1
            return
        except BlobUnknown:
            pass
        uploading = self._registry.uploading
        if not await uploading.mount(name, digest, await uploading.holders(digest)):
            if not self._data(digest).is_file():
                self._skip(f"{name} {digest}", "its bytes are missing")
                return
            try:
                upload = await uploading.start(name, digest.algorithm)
                await uploading.finish(UploadKey(name, upload), digest, self._body(self._data(digest)))
            except RegistryError as error:
                self._skip(f"{name} {digest}", error)
                return
        self.done.blobs += 1

    def _body(self, path: Path) -> Callable[[Callable[[memoryview], None]], "asyncio.Future[int]"]:
        def pour(write: Callable[[memoryview], None]) -> "asyncio.Future[int]":
            def all_of_it() -> int:
                with path.open("rb", buffering=0) as file:
                    for piece in iter(lambda: file.read(PIECE), b""):
                        write(memoryview(piece))
                    return file.tell()

            return asyncio.get_running_loop().run_in_executor(None, all_of_it)

        return pour

    async def _manifests(self, name: RepositoryName, digests: list[Digest]) -> None:
        """An index needs what it lists first: rounds, until one brings nothing new."""
        left = dict.fromkeys(digests, "")
        while left:
            before = len(left)
            for digest in list(left):
                try:
                    await self._put(name, digest)
                    del left[digest]
                    self.done.manifests += 1
                except ManifestBlobUnknown as error:
                    left[digest] = f"{error.text}: {error.detail}"
                except (RegistryError, OSError, ValueError) as error:
                    del left[digest]
                    self._skip(f"{name} {digest}", error)
            if len(left) == before:
                break
        for digest, reason in left.items():
            self._skip(f"{name} {digest}", reason)

    async def _put(self, name: RepositoryName, reference: Digest) -> None:
        payload = self._data(reference).read_bytes()
        await self._registry.pushing.manifest(name, reference, [], media_type_of(payload), payload, COPY)

    async def _tag(self, name: RepositoryName, link: Path) -> None:
        text = link.parent.parent.name
        try:
            tag, digest = Tag.parse(text), _digest_in(link)
            found = await self._registry.pulling.manifest(name, digest)
            await self._registry.pushing.manifest(name, digest, [tag], found.media_type, found.payload, COPY)
            self.done.tags += 1
        except (ManifestUnknown, RegistryError, OSError) as error:
            self._skip(f"{name}:{text}", error)

    def _links(self, folder: Path) -> Iterator[Digest]:
        for link in sorted(folder.glob("*/*/link")):
            try:
                yield _digest_in(link)
            except (RegistryError, OSError, ValueError) as error:
                self._skip(str(link.relative_to(self._tree)), error)

    def _data(self, digest: Digest) -> Path:
        return self._tree / "blobs" / digest.algorithm.value / digest.hex[:2] / digest.hex / "data"

    def _skip(self, what: str, reason: object) -> None:
        text = getattr(reason, "text", None) or str(reason)
        self.done.skipped.append(f"{what}: {text}")


def _digest_in(link: Path) -> Digest:
    return Digest.parse(link.read_text().strip())


def media_type_of(payload: bytes) -> str:
    """What a stored manifest is: it says so itself, or is of OCI's types, which need not. ValueError."""
    document = json.loads(payload)
    if not isinstance(document, dict):
        raise ValueError("no manifest")
    stated = document.get("mediaType")
    if isinstance(stated, str):
        return stated
    return OCI_INDEX if "manifests" in document else OCI_MANIFEST
