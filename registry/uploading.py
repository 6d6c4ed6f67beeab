"""Uploading: how a blob's bytes come in, piece by piece or at once, and become a blob."""

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable, Iterable, Sequence
from concurrent.futures import Executor
from contextlib import asynccontextmanager, closing, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from estiva.digest import Algorithm, Digest
from estiva.errors import BlobUploadInvalid, BlobUploadOutOfOrder, BlobUploadUnknown, DigestInvalid, QuotaExceeded
from estiva.reference import RepositoryName
from registry.allowance import Allowance, allowance, upload_and_allowance
from registry.reserve import anything
from registry.streamed import Stream, StreamedUpload
from registry.threads import in_thread
from registry.verifying import Proven
from storage.blobs import BlobStore, DigestMismatchError, StoredBlob, Upload, UploadBusyError, UploadUnknownError
from storage.metadata import blobs, clock, uploads
from storage.metadata.database import Database
from storage.metadata.uploads import UploadRecord

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

T = TypeVar("T")

PURGED_AT_ONCE = 1000
LEAST_JUMP = 1200.0
"""Seconds, more than two rounds of the purge: looks at the clock further apart than a quarter of an upload's expiry,
though not than this, are a jump."""

Body = Callable[[Callable[[memoryview], None]], Awaitable[int]]
"""A request's body: given a `write`, it calls that with every piece, in a worker thread, and returns the length."""


@dataclass(frozen=True, slots=True)
class UploadKey:
    """Names an upload: its id counts only in its repository, and only for whoever began it."""

    repository: RepositoryName
    id: str
    owner: str = ""


class ShortPart(BlobUploadInvalid):
    """A part of the upload is too short to be followed by another."""

    message = "a part before the last is too short"


async def _nothing(write: Callable[[memoryview], None]) -> int:
    return 0


class Uploading:
    """Takes blobs in."""

    def __init__(
        self,
        database: Database,
        blob_store: BlobStore,
        threads: Executor,
        require_room: Callable[[], None] = anything,
        proven: Proven | None = None,
    ) -> None:
        self._database = database
        self._blob_store = blob_store
        self._threads = threads
        self.require_room = require_room
        """Returns where more may be taken in; StorageFull otherwise."""
        self._presence = clock.Presence()
        self._proven = proven or Proven()

    async def require_quota(self, name: RepositoryName, size: int = 1, digest: Digest | None = None) -> None:
        """Return where the repository may hold so many bytes more, or has the blob already; QuotaExceeded otherwise.

        The last word is the transaction's that enters the blob.
        """
        (await self._database.read(allowance(name, digest))).require(size)

    async def start(self, name: RepositoryName, algorithm: Algorithm = Algorithm.SHA256, owner: str = "") -> str:
        """Begin an upload and return its id, which nobody can guess. It outlives this process. StorageFull.

        The blob store hears of it with its first bytes: most uploads are one request after this, or none.
        """
        self.require_room()
        upload_id = str(uuid.uuid4())
        record = UploadRecord(upload_id, name, algorithm, owner)
        # Power loss may take an upload that holds nothing yet: its client is told so, and begins again.
        await self._database.write(lambda: uploads.start(record), durable=False, serializable=False)
        return upload_id

    async def offset(self, key: UploadKey) -> int:
        """How many bytes of the upload are here. BlobUploadUnknown."""
        await self._record(key)
        try:
            return await self._blocking(self._blob_store.upload_offset, key.id)
        except UploadUnknownError:
            return 0

    async def append(self, key: UploadKey, body: Body, start: int | None = None, size: int = 0) -> int:
        """Add the body's bytes, `size` of them where that is known, and return the new offset. BlobUploadUnknown.

        With `start`, BlobUploadOutOfOrder unless the upload ends exactly there. When the body breaks off,
        what came of it stays. QuotaExceeded, after which the upload is gone.
        """
        record, allowed = await self._allowed(key)
        async with self._opened_for(record, size, allowed) as upload:
            _require_order(upload, start)
            with _in_the_protocols_words():
                await body(self._writing(upload, allowed))
            return upload.offset

    async def append_stream(self, key: UploadKey, stream: Stream) -> int:
        """As `append`, of a body that tells neither where it begins nor how long it is: in one turn of one thread."""
        record, allowed = await self._allowed(key)
        streamed = StreamedUpload(partial(self._opened, record), partial(self._writing, allowed=allowed))
        try:
            try:
                with _in_the_protocols_words():
                    await stream(streamed.write, streamed.end)
            finally:
                if streamed.upload is not None:
                    await self._let_go(streamed.upload)
        except QuotaExceeded:
            await self.discard([record.id])
            raise
        return streamed.offset

    async def append_part(self, key: UploadKey, body: Body, start: int, short: bool) -> int:
        """As `append`, and remember a part that is too short for any but the last."""
        offset = await self.append(key, body, start)
        if short:
            await self._database.write(lambda: uploads.note_short_part(key.id, offset), durable=False)
        return offset

    async def finish_parts(self, key: UploadKey, digest: Digest) -> None:
        """As `finish`, without a further byte. ShortPart where a part before the last was too short."""
        ends_at = await self._database.read(uploads.short_part_end(key.id))
        if ends_at is not None and ends_at < await self.offset(key):
            raise ShortPart
        await self.finish(key, digest, _nothing)

    async def finish(self, key: UploadKey, digest: Digest, body: Body, start: int | None = None, size: int = 0) -> None:
        """Add the body's bytes, if any, and make the upload a blob of that digest; durable when this returns.

        BlobUploadUnknown, BlobUploadOutOfOrder; DigestInvalid and QuotaExceeded, after which the upload is gone.
        """
        record, allowed = await self._find_allowed(key, digest)
        if record is None:
            await self._require_finished(key, digest)
            return
        async with self._opened_for(replace(record, algorithm=digest.algorithm), size, allowed) as upload:
            _require_order(upload, start)
            with _in_the_protocols_words():
                await body(self._writing(upload, allowed))
            await self._enter(record, digest, partial(upload.commit, digest))

    async def finish_whole(self, key: UploadKey, digest: Digest, content: bytes, start: int | None = None) -> None:
        """As `finish`, with a body that is here already: everything up to the blob in one turn of a thread."""
        record, allowed = await self._find_allowed(key, digest)
        if record is None:
            await self._require_finished(key, digest)
            return
        upload = replace(record, algorithm=digest.algorithm)
        await self._enter(record, digest, partial(self._store, upload, digest, content, allowed, start))

    async def take(self, name: RepositoryName, digest: Digest, content: bytes) -> None:
        """Make this content a blob of that digest; durable when this returns. DigestInvalid, QuotaExceeded."""
        # Nobody is told of this upload, so nothing is entered for it: if the process dies, its bytes are an orphan's.
        record = UploadRecord(str(uuid.uuid4()), name, digest.algorithm)
        allowed = await self._database.read(allowance(name, digest))
        try:
            await self._enter(record, digest, partial(self._store, record, digest, content, allowed))
        except BaseException:
            await self._blocking(self._blob_store.discard_upload, record.id)
            raise

    def _store(
        self, record: UploadRecord, digest: Digest, content: bytes, allowed: Allowance, start: int | None = None
    ) -> StoredBlob:
        """Store content that came whole; in a thread."""
        if content and not start:
            self.require_room()
            allowed.require(len(content))
            stored = self._blob_store.store_whole(record.id, digest, content)
            if stored is not None:
                return stored
        with closing(self._opened(record)) as upload:
            _require_order(upload, start)
            if content:
                self._writing(upload, allowed)(memoryview(content))
            return upload.commit(digest)

    async def cancel(self, key: UploadKey) -> None:
        """Forget the upload and its bytes. BlobUploadUnknown."""
        await self._record(key)
        await self.discard([key.id])

    async def discard(self, upload_ids: Iterable[str]) -> None:
        """Forget these uploads, wherever they belong, and their bytes. Idempotent.

        Their bytes first: on a full disk that is what makes room for the database. An entry without bytes is unknown
        to everybody, and purged in time.
        """
        for upload_id in upload_ids:
            await self._blocking(self._blob_store.discard_upload, upload_id)
            await self._database.write(partial(uploads.forget, upload_id), durable=False, serializable=False)

    async def purge(self, idle: float) -> int:
        """Forget uploads, known or orphaned, that nobody has touched for `idle` seconds: how many.

        None for as long after a jump of the clock, nor for an hour after an absence: what seems idle may be under way.
        """
        stale = await self._blocking(lambda: list(self._blob_store.stale_uploads(idle)))
        # An upload without bytes (its process died between the two steps) has only its entry left.
        entries = await self._database.read(uploads.started_before(time.time() - idle, PURGED_AT_ONCE))
        lost = [upload_id for upload_id in entries if not await self._has_bytes(upload_id)]
        # Asked last, so that a jump in the midst of this is seen.
        longest = max(LEAST_JUMP, min(clock.UNEVEN, idle / 4))
        evenly = partial(clock.ran_evenly, "uploads", idle, longest, self._presence.since_last())
        if not await self._database.write(evenly, durable=False, serializable=False):
            return 0
        purged = {*stale, *lost}
        await self.discard(purged)
        return len(purged)

    async def mount(self, name: RepositoryName, digest: Digest, sources: Sequence[RepositoryName]) -> bool:
        """Show a blob of one of `sources` in `name` too, without copying a byte: whether one of them had it.

        QuotaExceeded.
        """
        return await self._database.write(lambda: blobs.mount(name, digest, sources), serializable=False)

    async def holders(self, digest: Digest) -> list[RepositoryName]:
        """Repositories that have the blob: who may be told is the caller's to decide."""
        return await self._database.read(blobs.holders(digest))

    async def _has_bytes(self, upload_id: str) -> bool:
        try:
            await self._blocking(self._blob_store.upload_offset, upload_id)
        except UploadUnknownError:
            return False
        return True

    def _writing(self, upload: Upload, allowed: Allowance) -> Callable[[memoryview], None]:
        """Writes to the upload while there is room for more: StorageFull, QuotaExceeded."""

        def write(data: memoryview) -> None:
            self.require_room()
            allowed.require(upload.offset + len(data))
            upload.write(data)

        return write

    async def _find(self, key: UploadKey) -> UploadRecord | None:
        record = await self._database.read(uploads.find(key.repository, key.id))
        # Somebody else's upload is answered like one that never was.
        return record if record is not None and record.owner == key.owner else None

    async def _find_allowed(
        self, key: UploadKey, digest: Digest | None = None
    ) -> tuple[UploadRecord | None, Allowance]:
        """The upload as `_find`, and what its repository allows it to become."""
        record, allowed = await self._database.read(upload_and_allowance(key.repository, key.id, digest))
        return (record if record is not None and record.owner == key.owner else None), allowed

    async def _allowed(self, key: UploadKey) -> tuple[UploadRecord, Allowance]:
        """The same. BlobUploadUnknown."""
        record, allowed = await self._find_allowed(key)
        if record is None:
            raise BlobUploadUnknown(detail={"upload": key.id[:64]})
        return record, allowed

    async def _record(self, key: UploadKey) -> UploadRecord:
        record = await self._find(key)
        if record is None:
            raise BlobUploadUnknown(detail={"upload": key.id[:64]})
        return record

    async def _require_finished(self, key: UploadKey, digest: Digest) -> None:
        """Return where the upload's end was only never heard of; a repeated request then gets its answer."""
        if await self._database.read(blobs.find(key.repository, digest)) is None:
            raise BlobUploadUnknown(detail={"upload": key.id[:64]})

    @asynccontextmanager
    async def _opened_for(self, record: UploadRecord, size: int, allowed: Allowance) -> "AsyncIterator[Upload]":
        """The upload, open, where so many more bytes are allowed; whatever goes over the quota ends it."""
        upload = await self._open(record)
        try:
            try:
                allowed.require(upload.offset + size)
                yield upload
            finally:
                await self._let_go(upload)
        except QuotaExceeded:
            # Whoever goes on with it would only be refused again, and until then it takes room.
            await self.discard([record.id])
            raise

    async def _open(self, record: UploadRecord) -> Upload:
        opening = asyncio.ensure_future(self._blocking(self._opened, record))
        try:
            with _in_the_protocols_words():
                return await asyncio.shield(opening)
        except asyncio.CancelledError:
            # The thread goes on: what it opens for nobody has to be let go again.
            opening.add_done_callback(_close_opened)
            raise

    async def _let_go(self, upload: Upload) -> None:
        with _in_the_protocols_words():
            await self._blocking(upload.close)

    def _opened(self, record: UploadRecord) -> Upload:
        """The upload, open; in a thread. An entry without bytes is an upload that has got none yet, or lost them."""
        try:
            return self._blob_store.open_upload(record.id, record.algorithm)
        except UploadUnknownError:
            return self._blob_store.begin_upload(record.id, record.algorithm)

    async def _enter(self, record: UploadRecord, digest: Digest, store: Callable[[], StoredBlob]) -> None:
        """Have the blob stored, in a thread, and then entered.

        DigestInvalid and QuotaExceeded, after which the upload is gone.
        """
        blob: list[StoredBlob] = []
        try:
            with _in_the_protocols_words():
                served = await self._database.write_after(
                    lambda: blob.append(store()),
                    self._threads,
                    lambda: blobs.record(record.repository, record.id, digest, blob[0].size, blob[0].key),
                )
        except DigestMismatchError:
            await self.discard([record.id])
            raise DigestInvalid(detail={"digest": str(digest)}) from None
        except QuotaExceeded:
            # Where it is the transaction that refused, no fact names these bytes.
            await self._delete_unnamed(blob)
            await self.discard([record.id])
            raise
        except OSError:
            # Where the store gave the bytes up, the upload has ended: nobody shall go on with a part that is no more.
            if not await self._has_bytes(record.id):
                await self.discard([record.id])
            raise
        if served != blob[0].key:
            # The content was here already; no fact names these bytes, and none ever will.
            await self._delete_unnamed(blob)
        elif blob[0].identity:
            self._proven.add_committed(blob[0].key, blob[0].identity)

    async def _delete_unnamed(self, stored: Sequence[StoredBlob]) -> None:
        for blob in stored:
            await self._blocking(self._blob_store.delete_blob, blob.key)

    async def _blocking(self, function: Callable[..., T], *arguments: object) -> T:
        return await in_thread(self._threads, partial(function, *arguments) if arguments else function)


def _close_opened(opening: asyncio.Future[Upload]) -> None:
    if not opening.cancelled() and opening.exception() is None:
        opening.result().close()


def _require_order(upload: Upload, start: int | None) -> None:
    if start is not None and start != upload.offset:
        raise BlobUploadOutOfOrder(detail={"offset": upload.offset})


@contextmanager
def _in_the_protocols_words() -> "Iterator[None]":
    try:
        yield
    except UploadUnknownError:
        raise BlobUploadUnknown from None
    except UploadBusyError:
        raise BlobUploadInvalid("another request is writing to this upload") from None
