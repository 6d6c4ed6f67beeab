"""`AsyncClient`: what `Client` does, for asyncio (docs/client.md)."""

import asyncio
import ssl
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Self

from estiva.aio import AsyncConnections
from estiva.bodies import TIMEOUT
from estiva.credentials import Credential, DockerConfig
from estiva.descriptor import Descriptor
from estiva.image import Image
from estiva.imagereference import ImageReference
from estiva.journal import FileJournal
from estiva.mediatypes import OCTETS, UNKNOWN_ARTIFACT
from estiva.packing import PackConfig
from estiva.platform import Platform
from estiva.progress import Progress
from estiva.protocol.artifacts import Artifact
from estiva.protocol.manifests import StoredManifest
from estiva.protocol.operations import Operations

Name = str | ImageReference


class AsyncClient:
    """`Client` for asyncio, with the same arguments, methods and errors; no method blocks the event loop."""

    def __init__(
        self,
        *,
        credentials: Callable[[str], Credential | None] | None = None,
        plain_http: bool | None = None,
        parallel: int = 4,
        timeout: float = TIMEOUT,
        context: ssl.SSLContext | None = None,
        uploads: str | Path | None = None,
    ) -> None:
        journal = FileJournal(Path(uploads)) if uploads else None
        self._operations = Operations(credentials or DockerConfig().find, plain_http, journal)
        self._connections = AsyncConnections(parallel, timeout=timeout, context=context)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections."""
        await self._connections.close()

    async def login(self, host: str, username: str, password: str) -> str:
        """Sign in and keep the credential where docker does; says where. Unauthorized where it does not hold."""
        credential = Credential(username, password)
        await self._connections.run(self._operations.sign_in(host, credential))
        return await asyncio.to_thread(DockerConfig().store, host, credential)

    async def logout(self, host: str) -> bool:
        """Forget the credential for a registry; False where there was none."""
        self._operations.forget(host)
        return await asyncio.to_thread(DockerConfig().erase, host)

    async def push(
        self,
        source: str | Path,
        reference: Name,
        *,
        select: str = "",
        mount_from: Sequence[str] = (),
        progress: Progress | None = None,
    ) -> Descriptor:
        """Push an OCI layout (folder or tar file) or what `docker save` wrote; the descriptor of what was pushed.

        `select` chooses an image by tag or digest where there are several. Blobs are taken over from the
        repositories `mount_from` where they are there. ContentInvalid where there is nothing to push.
        """
        return await self._connections.run(self._operations.push(source, reference, select, mount_from, progress))

    async def pull(
        self,
        reference: Name,
        folder: str | Path,
        *,
        platform: Platform | str | None = None,
        progress: Progress | None = None,
    ) -> Descriptor:
        """Pull into an OCI layout in `folder`, all platforms unless one is named; the descriptor of what was pulled.

        ManifestUnknown where there is nothing for that platform.

        What is in the layout already stays and is not fetched again; a pull that was broken off goes on where it was.
        """
        return await self._connections.run(self._operations.pull(reference, folder, platform, progress))

    async def pull_archive(
        self,
        reference: Name,
        file: str | Path,
        *,
        platform: Platform | str | None = None,
        progress: Progress | None = None,
    ) -> Descriptor:
        """Pull one platform's image (by default this machine's) into a tar file for `docker load`."""
        return await self._connections.run(self._operations.pull_archive(reference, file, platform, progress))

    async def pack(
        self, folder: str | Path, reference: Name, config: PackConfig | None = None, *, progress: Progress | None = None
    ) -> Descriptor:
        """Make an image of a folder, the same for the same files, and push it."""
        return await self._connections.run(self._operations.pack(folder, reference, config or PackConfig(), progress))

    async def copy(self, source: Name, target: Name, *, progress: Progress | None = None) -> Descriptor:
        """Copy an image, all platforms, to another repository or registry; its descriptor.

        Within a registry its blobs are mounted; between two they pass through a temporary folder, one by one.
        """
        return await self._connections.run(self._operations.copy(source, target, progress))

    async def tag(self, reference: Name, *tags: str) -> Descriptor:
        """Give an image further tags in its repository."""
        return await self._connections.run(self._operations.tag(reference, tags))

    async def tags(self, repository: Name) -> list[str]:
        """Every tag of a repository, as the registry sorts them; NameUnknown where there is none."""
        return await self._connections.run(self._operations.tags(repository))

    async def repositories(self, host: str) -> list[str]:
        """Every repository of a registry that lists them."""
        return await self._connections.run(self._operations.repositories(host))

    async def manifest(self, reference: Name) -> StoredManifest:
        """A manifest, byte for byte; ManifestUnknown where there is none."""
        return await self._connections.run(self._operations.manifest(reference))

    async def put_manifest(self, reference: Name, content: bytes, media_type: str) -> Descriptor:
        """Store a manifest, under its digest where the reference has no tag."""
        return await self._connections.run(self._operations.put_manifest(reference, content, media_type))

    async def blob(self, repository: Name, blob: Descriptor) -> bytes:
        """A small blob (up to 32 MiB), such as a config; BlobUnknown where it is not there."""
        return await self._connections.run(self._operations.blob(repository, blob))

    async def image(self, reference: Name, *, platform: Platform | str | None = None) -> Image:
        """An image: config, layers, history; of an index the one for `platform` (by default this machine's)."""
        return await self._connections.run(self._operations.image(reference, platform))

    async def referrers(self, reference: Name, *, artifact_type: str = "") -> list[Descriptor]:
        """What refers to an image: signatures, SBOMs and the like, all or of one type."""
        return await self._connections.run(self._operations.referrers(reference, artifact_type))

    async def push_files(
        self,
        reference: Name,
        files: Sequence[str | Path],
        *,
        artifact_type: str = UNKNOWN_ARTIFACT,
        annotations: Mapping[str, str] | None = None,
        media_type: str = OCTETS,
        progress: Progress | None = None,
    ) -> Descriptor:
        """Push files as one artifact, as oras does."""
        artifact = Artifact([Path(file) for file in files], artifact_type, annotations or {}, media_type)
        return await self._connections.run(self._operations.push_files(reference, artifact, progress))

    async def attach(
        self,
        reference: Name,
        files: Sequence[str | Path],
        *,
        artifact_type: str = UNKNOWN_ARTIFACT,
        annotations: Mapping[str, str] | None = None,
        media_type: str = OCTETS,
        progress: Progress | None = None,
    ) -> Descriptor:
        """Push files as an artifact that refers to an image; the artifact's descriptor."""
        artifact = Artifact([Path(file) for file in files], artifact_type, annotations or {}, media_type)
        return await self._connections.run(self._operations.attach(reference, artifact, progress))

    async def pull_files(self, reference: Name, folder: str | Path, *, progress: Progress | None = None) -> list[Path]:
        """Write the files of an artifact into a folder; where they are."""
        return await self._connections.run(self._operations.pull_files(reference, folder, progress))

    async def delete(self, reference: Name) -> None:
        """Delete a tag, or by digest a manifest with its tags; ManifestUnknown where it is not there."""
        await self._connections.run(self._operations.delete(reference))
