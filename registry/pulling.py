"""Pulling: manifests by tag or digest, blobs by digest."""

import asyncio
import logging
import time
from typing import BinaryIO

from estiva.digest import Digest
from estiva.errors import BlobUnknown, ManifestUnknown
from estiva.reference import Reference, RepositoryName
from registry.elsewhere import Elsewhere
from registry.verifying import Examined, Proven, Reading, examine
from storage.blobs import BlobMissingError, BlobStore
from storage.blobs.direct import DirectBody, Wanted
from storage.blobs.identity import Identity, identity_of_opened
from storage.metadata import blobs, manifests, soundness
from storage.metadata.blobs import BlobRecord
from storage.metadata.database import Database
from storage.metadata.manifests import StoredManifest
from storage.metadata.soundness import Promised, State

logger = logging.getLogger("estiva.pulling")

VERIFIED_AT_ONCE = 16


class Pulling:
    """Reads what a repository holds."""

    def __init__(
        self,
        database: Database,
        blob_store: BlobStore,
        grace: float = 86400.0,
        elsewhere: Elsewhere | None = None,
        proven: Proven | None = None,
    ) -> None:
        self.elsewhere = elsewhere
        """Where the blob store's bytes are, if not on this machine."""
        self._database = database
        self._blob_store = blob_store
        self._grace = grace
        self._proven = proven or Proven()
        self._proving: dict[str, asyncio.Task[bool]] = {}
        self.slots = asyncio.Semaphore(VERIFIED_AT_ONCE)
        """One for each blob that is verified while it is sent: each takes some memory."""

    @property
    def word_holds_for(self) -> float:
        """For how many seconds an answer that a blob is here may be given again without asking for the blob again."""
        return self._grace / 4

    def version(self) -> int | None:
        """What `Database.version` says: whatever is read after this call is at least that new."""
        return self._database.version()

    async def manifest(self, name: RepositoryName, reference: Reference) -> StoredManifest:
        """The manifest, byte for byte as it was pushed; ManifestUnknown."""
        found = await self.find_manifest(name, reference)
        if found is None:
            raise ManifestUnknown(detail={"name": name.text, "reference": str(reference)})
        return found

    async def find_manifest(self, name: RepositoryName, reference: Reference) -> StoredManifest | None:
        """The manifest, None where this repository does not have it."""
        return await self._database.read(manifests.find(name, reference))

    async def find_blob(self, name: RepositoryName, digest: Digest) -> BlobRecord | None:
        """What is known of the blob, None where this repository does not have it.

        The answer is a promise: for half of the grace at least, garbage collection does not take the blob.
        """
        found = await self._database.read(blobs.find(name, digest))
        if found is not None and found.promised_at is not None and found.promised_at < time.time() - self._grace / 2:
            found = await self._database.write(lambda: blobs.renew(name, digest), durable=False, serializable=False)
        return found

    async def blob(self, name: RepositoryName, digest: Digest) -> BlobRecord:
        """What is known of the blob; BlobUnknown where this repository does not have it. A promise, as `find_blob`."""
        found = await self.find_blob(name, digest)
        if found is None:
            raise BlobUnknown(detail={"digest": str(digest)})
        return found

    async def open(self, blob: BlobRecord, offset: int = 0) -> BinaryIO:
        """The blob's bytes, seekable; BlobUnknown, from now on, where the store has lost them.

        From `offset` on, where they are elsewhere.
        """
        try:
            if self.elsewhere is not None:
                return await self._open_elsewhere(self.elsewhere, blob, offset)
            return self._blob_store.open_blob(blob.key)
        except BlobMissingError:
            logger.error("blob %s: its bytes are gone", blob.digest)
            await self._database.write(lambda: soundness.mark(blob.digest, blob.key, State.MISSING))
            raise BlobUnknown(detail={"digest": str(blob.digest)}) from None

    async def _open_elsewhere(self, elsewhere: Elsewhere, blob: BlobRecord, offset: int) -> BinaryIO:
        opening = asyncio.get_running_loop().run_in_executor(elsewhere.threads, elsewhere.open, blob.key, offset)
        try:
            return await asyncio.shield(opening)
        except (asyncio.CancelledError, GeneratorExit):
            # The thread goes on: what it opens for nobody has to be closed again.
            opening.add_done_callback(_close_opened)
            raise

    async def connect(self, blob: BlobRecord, wanted: Wanted) -> DirectBody | None:
        """A part of the blob's bytes on a plain socket, where they are elsewhere and that goes well; None otherwise.

        What it brings is verified by nobody.
        """
        if self.elsewhere is None:
            return None
        connecting = asyncio.get_running_loop().run_in_executor(
            self.elsewhere.threads, self.elsewhere.connect, blob.key, wanted
        )
        try:
            return await asyncio.shield(connecting)
        except (asyncio.CancelledError, GeneratorExit):
            connecting.add_done_callback(_close_opened)
            raise

    def proven_for(self, blob: BlobRecord, identity: Identity = b"") -> float:
        """For how many seconds the blob's file of this identity may be sent unread: this process has hashed it.

        0 where it has to be read first, as it was not hashed, or long ago, or the file was changed since.
        """
        return self._proven.seconds_left(blob.key, identity)

    async def prove(self, blob: BlobRecord, file: BinaryIO) -> None:
        """Read a small blob, and go back to its beginning; BlobUnknown, from now on, where its bytes are wrong."""
        reading = Reading(blob.digest, blob.size, identity_of_opened(file))
        reading.take(file.read(blob.size + 1))
        file.seek(0)
        if not await self.judge(blob, reading):
            file.close()
            raise BlobUnknown(detail={"digest": str(blob.digest)})

    async def prove_apart(self, blob: BlobRecord) -> None:
        """Read a blob in a thread, once for all who ask for it now; BlobUnknown, from now on, where it is wrong."""
        proving = self._proving.get(blob.key)
        if proving is None:
            proving = self._proving[blob.key] = asyncio.ensure_future(self._prove(blob))
            proving.add_done_callback(lambda _: self._proving.pop(blob.key, None))
        if not await asyncio.shield(proving):
            raise BlobUnknown(detail={"digest": str(blob.digest)})

    async def _prove(self, blob: BlobRecord) -> bool:
        promised = Promised(blob.digest, blob.size, blob.key, State.LIVE)
        return await self._conclude(blob, await asyncio.to_thread(examine, self._blob_store, promised, lambda _: None))

    async def judge(self, blob: BlobRecord, reading: Reading) -> bool:
        """Whether what was read, to its end, is the blob. Where it is not, nobody is told any more that it is here."""
        state = State.LIVE if reading.is_right else State.CORRUPT
        return await self._conclude(blob, Examined(state, reading.identity))

    async def _conclude(self, blob: BlobRecord, examined: Examined) -> bool:
        if examined.state is State.LIVE:
            self._proven.add_read(blob.key, examined.identity)
            return True
        self._proven.forget(blob.key)
        logger.error("blob %s: its bytes are %s", blob.digest, examined.state.value)
        await self._database.write(lambda: soundness.mark(blob.digest, blob.key, examined.state))
        return False


def _close_opened(opening: "asyncio.Future[BinaryIO] | asyncio.Future[DirectBody | None]") -> None:
    if not opening.cancelled() and opening.exception() is None and (opened := opening.result()) is not None:
        opened.close()
