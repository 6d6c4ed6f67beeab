"""Fetching a blob from upstream into the store, while those who asked for it read along."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import Executor
from functools import partial
from pathlib import Path

from estiva.digest import Digest
from estiva.errors import DigestInvalid
from estiva.reference import RepositoryName
from registry.begun import UploadKey
from registry.mirroring.arriving import ArrivingBlob
from registry.uploading import Uploading
from registry.upstream.errors import UpstreamError, UpstreamInvalid, UpstreamUnavailable
from registry.upstream.remote import RemoteRegistry

PIECE = 512 * 1024
MOST_RESUMES = 5
OWNER = "upstream"


class Fetching:
    """Brings blobs in, each once."""

    def __init__(self, uploading: Uploading, threads: Executor, folder: Path | None = None) -> None:
        self._uploading = uploading
        self._threads = threads
        self._folder = folder
        self._arriving: dict[tuple[RepositoryName, Digest], ArrivingBlob] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def begin(
        self,
        name: RepositoryName,
        digest: Digest,
        remote: RemoteRegistry,
        theirs: RepositoryName,
        prepare: Callable[[], Awaitable[None]],
        stored: Callable[[], Awaitable[None]],
    ) -> ArrivingBlob:
        """The blob on its way, begun now unless it is already.

        `theirs` is the repository at the upstream; `prepare` is awaited when that has the blob, `stored` when it is
        here. Goes on when everybody who asked has left.
        """
        key = (name, digest)
        known = self._arriving.get(key)
        if known is None:
            known = self._arriving[key] = ArrivingBlob(digest, self._folder, self._threads)
            task = asyncio.create_task(self._fetch(name, known, remote, theirs, prepare, stored))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return known

    async def close(self) -> None:
        """End every fetch."""
        tasks = [*self._tasks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _fetch(
        self,
        name: RepositoryName,
        blob: ArrivingBlob,
        remote: RemoteRegistry,
        theirs: RepositoryName,
        prepare: Callable[[], Awaitable[None]],
        stored: Callable[[], Awaitable[None]],
    ) -> None:
        failure: Exception | None = UpstreamUnavailable("this server is ending")
        try:
            pieces = _whole(remote, theirs, blob)
            first = await anext(pieces, b"")
            await prepare()
            await self._store(name, blob, first, pieces)
            await stored()
            failure = None
        except Exception as error:
            failure = error
        finally:
            self._arriving.pop((name, blob.digest), None)
            blob.end(failure)

    async def _store(
        self, name: RepositoryName, blob: ArrivingBlob, first: bytes, pieces: AsyncIterator[bytes]
    ) -> None:
        upload_id = await self._uploading.start(name, blob.digest.algorithm, OWNER)
        key = UploadKey(name, upload_id, OWNER)
        pour = partial(self._pour, blob, first, pieces)
        try:
            await self._uploading.finish(key, blob.digest, pour)
        except BaseException as error:
            await self._uploading.discard([upload_id])
            if isinstance(error, DigestInvalid):
                raise UpstreamInvalid(f"{remote_text(blob)} has another digest") from None
            raise

    async def _pour(
        self,
        blob: ArrivingBlob,
        first: bytes,
        pieces: AsyncIterator[bytes],
        write: Callable[[memoryview], None],
    ) -> int:
        """The upstream's body as `Uploading` takes one: in large pieces, each written twice in a worker thread."""
        loop, total, waiting = asyncio.get_running_loop(), 0, bytearray(first)

        def keep(data: bytes) -> None:
            write(memoryview(data))
            blob.write(memoryview(data))

        async def flush() -> None:
            data = bytes(waiting)
            waiting.clear()
            await loop.run_in_executor(self._threads, keep, data)
            blob.came(len(data))

        async for piece in pieces:
            waiting += piece
            if len(waiting) >= PIECE:
                total += len(waiting)
                await flush()
        if waiting:
            total += len(waiting)
            await flush()
        return total


def remote_text(blob: ArrivingBlob) -> str:
    """What to call it in an error."""
    return f"what the upstream sent for {blob.digest}"


async def _whole(remote: RemoteRegistry, theirs: RepositoryName, blob: ArrivingBlob) -> AsyncIterator[bytes]:
    """Every piece of the blob; a body that breaks off is taken up again where it did."""
    offset, resumes = 0, 0
    while True:
        before = offset
        try:
            async with remote.blob(theirs, blob.digest, offset) as incoming:
                blob.begins(incoming.size)
                async for piece in incoming.pieces:
                    offset += len(piece)
                    yield piece
            return
        except UpstreamError:
            resumes += 1
            if offset == before or resumes > MOST_RESUMES:
                raise
