"""Another registry, as one that copies are pushed to."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from concurrent.futures import Executor
from typing import BinaryIO
from urllib.parse import urlencode, urljoin, urlsplit, urlunsplit

from estiva.digest import Digest
from estiva.reference import Reference, RepositoryName
from registry.upstream.errors import UpstreamAbsent, UpstreamInvalid
from registry.upstream.network import Answer, origin
from registry.upstream.remote import ACCEPT, Ask, RemoteRegistry, pull_scope, require, same_origin

PIECE = 256 * 1024


class ReceivingRegistry:
    """Pushes to `remote`, with these headers on every request. Every method raises `UpstreamError`s and no others."""

    def __init__(self, remote: RemoteRegistry, headers: Mapping[str, str], threads: Executor) -> None:
        self._remote = remote
        self._headers = dict(headers)
        self._threads = threads

    async def has_blob(self, name: RepositoryName, digest: Digest) -> bool:
        """Whether the repository there has the blob."""
        return await self._is_there(Ask("HEAD", f"/v2/{name}/blobs/{digest}", _scope(name), self._headers))

    async def has_manifest(self, name: RepositoryName, digest: Digest) -> bool:
        """Whether the repository there has the manifest."""
        headers = {**self._headers, "Accept": ACCEPT}
        return await self._is_there(Ask("HEAD", f"/v2/{name}/manifests/{digest}", _scope(name), headers))

    async def tag(self, name: RepositoryName, reference: Reference) -> Digest | None:
        """What the reference stands for there; None where it stands for nothing."""
        try:
            return await self._remote.digest_of(name, reference)
        except UpstreamAbsent:
            return None

    async def push_blob(
        self,
        name: RepositoryName,
        digest: Digest,
        size: int,
        file: BinaryIO,
        mount_from: RepositoryName | None = None,
    ) -> None:
        """Give the repository there the blob: shown from another one there where that has it, else sent."""
        query, scope = {}, _scope(name)
        if mount_from is not None:
            query = {"mount": str(digest), "from": mount_from.text}
            scope = f"{scope} {pull_scope(mount_from)}"
        path = f"/v2/{name}/blobs/uploads/" + (f"?{urlencode(query)}" if query else "")
        async with self._remote.ask(Ask("POST", path, scope, self._headers, b"")) as answer:
            require(answer, 201, 202)
            if answer.status == 201:
                return
            target = self._location(answer)
        parts = urlsplit(target)
        target = urlunsplit(parts._replace(query="&".join(filter(None, (parts.query, f"digest={digest}")))))
        headers = {**self._headers, "Content-Length": str(size), "Content-Type": "application/octet-stream"}
        ask = Ask("PUT", target, scope, headers, self._read(file, size))
        async with self._remote.ask(ask) as answer:
            require(answer, 201)

    async def put_manifest(self, name: RepositoryName, reference: Reference, media_type: str, payload: bytes) -> None:
        """Put the manifest there under this tag or digest."""
        headers = {**self._headers, "Content-Type": media_type}
        ask = Ask("PUT", f"/v2/{name}/manifests/{reference}", _scope(name), headers, payload)
        async with self._remote.ask(ask) as answer:
            require(answer, 201)

    async def _is_there(self, ask: Ask) -> bool:
        async with self._remote.ask(ask) as answer:
            if answer.status == 404:
                return False
            require(answer, 200)
            return True

    def _location(self, answer: Answer) -> str:
        target = urljoin(answer.url, answer.headers.get("location", ""))
        if not same_origin(target, self._remote.base):
            raise UpstreamInvalid(f"{origin(self._remote.base)} sends uploads elsewhere")
        return target

    async def _read(self, file: BinaryIO, size: int) -> AsyncIterator[bytes]:
        loop = asyncio.get_running_loop()
        while size:
            piece = await loop.run_in_executor(self._threads, file.read, min(PIECE, size))
            if not piece:
                return
            size -= len(piece)
            yield piece


def _scope(name: RepositoryName) -> str:
    return f"repository:{name}:pull,push"
