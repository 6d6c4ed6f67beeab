"""Uploading: how a blob's bytes come in, piece by piece or at once, and become a blob."""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Iterable, Sequence
from concurrent.futures import Executor
from contextlib import asynccontextmanager, closing, contextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from estiva.digest import Algorithm, Digest
from estiva.errors import BlobUploadInvalid, BlobUploadOutOfOrder, BlobUploadUnknown, DigestInvalid, QuotaExceeded
from estiva.reference import RepositoryName
from registry.allowance import ANYTHING, Allowance, allowance
from registry.begun import Begun, BegunUploads, UploadKey
from registry.known import KnownRepositories
from registry.reserve import anything
from registry.streamed import Stream, StreamedUpload
from registry.threads import in_thread
from registry.upload_ids import mark_of
from registry.verifying import Proven
from storage.blobs import BlobStore, DigestMismatchError, StoredBlob, Upload, UploadBusyError, UploadUnknownError
from storage.metadata import blobs, clock, uploads
from storage.metadata.database import Database

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

T = TypeVar("T")

LEAST_JUMP = 1200.0
"""Seconds, more than two rounds of the purge: looks at the clock further apart than a quarter of an upload's expiry,
though not than this, are a jump."""

Body = Callable[[Callable[[memoryview], None]], Awaitable[int]]
"""A request's body: given a `write`, it calls that with every piece, in a worker thread, and returns the length."""


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
        known: KnownRepositories | None = None,
    ) -> None:
        self._database = database
        self._blob_store = blob_store
        self._threads = threads
        self.require_room = require_room
        """Returns where more may be taken in; StorageFull otherwise."""
        self._presence = clock.Presence()
        self._proven = proven or Proven()
        self._known = known or KnownRepositories(database)
        self._begun = BegunUploads(database, blob_store, threads, self._known)

    async def require_quota(self, name: RepositoryName, size: int = 1, digest: Digest | None = None) -> None:
        """Return where the repository may hold so many bytes more, or has the blob already; QuotaExceeded otherwise.

        The last word is the transaction's that enters the blob.
        """
        known = await self._known.find(name)
        if known is None or known.is_limited:
            (await self._database.read(allowance(name, digest))).require(size)

    async def start(self, name: RepositoryName, algorithm: Algorithm = Algorithm.SHA256, owner: str = "") -> str:
        """Begin an upload and return its id, which nobody can guess. It outlives this process. StorageFull.

        The blob store hears of it with its first bytes: most uploads are one request after this, or none. The database
        does with its end. In a repository that is known this waits for nothing.
        """
        self.require_room()
        return await self._begun.begin(name, algorithm, owner)

    async def offset(self, key: UploadKey) -> int:
        """How many bytes of the upload are here. BlobUploadUnknown."""
        begun = await self._begun.require(key)
        try:
            return await self._blocking(self._blob_store.upload_offset, begun.id)
        except UploadUnknownError:
            return 0

    async def append(self, key: UploadKey, body: Body, start: int | None = None, size: int = 0) -> int:
        """Add the body's bytes, `size` of them where that is known, and return the new offset. BlobUploadUnknown.

        With `start`, BlobUploadOutOfOrder unless the upload ends exactly there. When the body breaks off,
        what came of it stays. QuotaExceeded, after which the upload is gone.
        """
        record = await self._begun.require(key)
        allowed = await self._allowance(record)
        async with self._opened_for(record, size, allowed) as upload:
            _require_order(upload, start)
            with _in_the_protocols_words():
                await body(self._writing(upload, allowed))
            return upload.offset

    async def append_stream(self, key: UploadKey, stream: Stream) -> int:
        """As `append`, of a body that tells neither where it begins nor how long it is: in one turn of one thread."""
        record = await self._begun.require(key)
        allowed = await self._allowance(record)
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

    async def start_parts(self, name: RepositoryName, owner: str = "") -> str:
        """As `start`, of an upload that is told by a UUID alone, as ECR's are."""
        self.require_room()
        return await self._begun.note(name, owner)

    async def append_part(self, key: UploadKey, body: Body, start: int, short: bool) -> int:
        """As `append`, and remember a part that is too short for any but the last."""
        begun = await self._begun.require(key)
        offset = await self.append(key, body, start)
        if short:
            await self._database.write(lambda: uploads.note_short_part(begun.id, offset), durable=False)
        return offset

    async def finish_parts(self, key: UploadKey, digest: Digest) -> None:
        """As `finish`, without a further byte. ShortPart where a part before the last was too short."""
        begun = await self._begun.require(key)
        ends_at = await self._database.read(uploads.short_part_end(begun.id))
        if ends_at is not None and ends_at < await self.offset(key):
            raise ShortPart
        await self.finish(key, digest, _nothing)

    async def finish(self, key: UploadKey, digest: Digest, body: Body, start: int | None = None, size: int = 0) -> None:
        """Add the body's bytes, if any, and make the upload a blob of that digest; durable when this returns.

        BlobUploadUnknown, BlobUploadOutOfOrder; DigestInvalid and QuotaExceeded, after which the upload is gone.
        """
        record = await self._begun.find(key)
        if record is None:
            await self._require_finished(key, digest)
            return
        allowed = await self._allowance(record, digest)
        async with self._opened_for(replace(record, algorithm=digest.algorithm), size, allowed) as upload:
            _require_order(upload, start)
            with _in_the_protocols_words():
                await body(self._writing(upload, allowed))
            await self._enter(record, digest, partial(upload.commit, digest))

    async def finish_whole(self, key: UploadKey, digest: Digest, content: bytes, start: int | None = None) -> None:
        """As `finish`, with a body that is here already: everything up to the blob in one turn of a thread."""
        record = await self._begun.find(key)
        if record is None:
            await self._require_finished(key, digest)
            return
        allowed = await self._allowance(record, digest)
        upload = replace(record, algorithm=digest.algorithm)
        await self._enter(record, digest, partial(self._store, upload, digest, content, allowed, start))

    async def take(self, name: RepositoryName, digest: Digest, content: bytes) -> None:
        """Make this content a blob of that digest; durable when this returns. DigestInvalid, QuotaExceeded."""
        # Nobody is told of this upload, so nothing is entered for it: if the process dies, its bytes are an orphan's.
        known = await self._known.find(name)
        is_limited = known is None or known.is_limited
        record = Begun(secrets.token_hex(16), name, digest.algorithm, is_limited=is_limited)
        allowed = await self._allowance(record, digest)
        try:
            await self._enter(record, digest, partial(self._store, record, digest, content, allowed))
        except BaseException:
            await self._blocking(self._blob_store.discard_upload, record.id)
            raise

    def _store(
        self, record: Begun, digest: Digest, content: bytes, allowed: Allowance, start: int | None = None
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
        begun = await self._begun.require(key)
        await self.discard([begun.id])

    async def discard(self, upload_ids: Iterable[str]) -> None:
        """End these uploads, wherever they belong, without their bytes. Idempotent.

        Their bytes first: on a full disk that is what makes room for the database.
        """
        for upload_id in upload_ids:
            self._begun.ending(upload_id)
            await self._blocking(self._blob_store.discard_upload, upload_id)
            await self._database.write(partial(uploads.end, upload_id), durable=False, serializable=False)

    async def discard_all_of(self, repository: int) -> None:
        """Forget the bytes of all uploads to a repository that is no more, but for those that are written to just now.

        Those can't become blobs either: whoever enters a blob finds that the repository is another, or none.
        """
        await self._blocking(self._discard_marked, await self._begun.mark(repository))

    def _discard_marked(self, mark: str) -> None:
        for upload_id in list(self._blob_store.stale_uploads(0.0)):
            if mark_of(upload_id) == mark:
                self._blob_store.discard_upload(upload_id)

    async def purge(self, idle: float) -> int:
        """Forget the bytes of uploads, known or orphaned, that nobody has touched for `idle` seconds: of how many.

        Those that have none are unknown from then on after as long, and after an hour at most. Nothing of this for as
        long after a jump of the clock, nor for an hour after an absence: what seems idle may be under way.
        """
        stale = await self._blocking(lambda: list(self._blob_store.stale_uploads(idle)))
        # Asked last, so that a jump in the midst of this is seen.
        longest = max(LEAST_JUMP, min(clock.UNEVEN, idle / 4))
        evenly = partial(clock.ran_evenly, "uploads", idle, longest, self._presence.since_last())
        if not await self._database.write(evenly, durable=False, serializable=False):
            return 0
        await self._begun.expire(idle)
        for upload_id in stale:
            await self._blocking(self._blob_store.discard_upload, upload_id)
        return len(stale)

    async def mount(self, name: RepositoryName, digest: Digest, sources: Sequence[RepositoryName]) -> bool:
        """Show a blob of one of `sources` in `name` too, without copying a byte: whether one of them had it.

        QuotaExceeded.
        """
        return await self._database.write(lambda: blobs.mount(name, digest, sources), serializable=False)

    async def holders(self, digest: Digest) -> list[RepositoryName]:
        """Repositories that have the blob: who may be told is the caller's to decide."""
        return await self._database.read(blobs.holders(digest))

    def _writing(self, upload: Upload, allowed: Allowance) -> Callable[[memoryview], None]:
        """Writes to the upload while there is room for more: StorageFull, QuotaExceeded."""

        def write(data: memoryview) -> None:
            self.require_room()
            allowed.require(upload.offset + len(data))
            upload.write(data)

        return write

    async def _allowance(self, upload: Begun, digest: Digest | None = None) -> Allowance:
        """What its repository allows the upload to become."""
        return await self._database.read(allowance(upload.repository, digest)) if upload.is_limited else ANYTHING

    async def _require_finished(self, key: UploadKey, digest: Digest) -> None:
        """Return where the upload's end was only never heard of; a repeated request then gets its answer."""
        if await self._database.read(blobs.find(key.repository, digest)) is None:
            raise BlobUploadUnknown(detail={"upload": key.id[:128]})

    @asynccontextmanager
    async def _opened_for(self, record: Begun, size: int, allowed: Allowance) -> "AsyncIterator[Upload]":
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

    async def _open(self, record: Begun) -> Upload:
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

    def _opened(self, record: Begun) -> Upload:
        """The upload, open; in a thread. One that the store does not know has got no bytes yet, or lost them."""
        try:
            return self._blob_store.open_upload(record.id, record.algorithm)
        except UploadUnknownError:
            return self._blob_store.begin_upload(record.id, record.algorithm)

    async def _enter(self, record: Begun, digest: Digest, store: Callable[[], StoredBlob]) -> None:
        """Have the blob stored, in a thread, and then entered.

        DigestInvalid and QuotaExceeded, after which the upload is gone.
        """
        blob: list[StoredBlob] = []
        self._begun.ending(record.id)
        try:
            with _in_the_protocols_words():
                served = await self._database.write_after(
                    lambda: blob.append(store()),
                    self._threads,
                    lambda: blobs.record(record.repository, record.of, digest, blob[0].size, blob[0].key),
                )
        except DigestMismatchError:
            await self._give_up(record)
            raise DigestInvalid(detail={"digest": str(digest)}) from None
        except (QuotaExceeded, BlobUploadUnknown):
            # Where it is the transaction that refused, no fact names these bytes.
            await self._delete_unnamed(blob)
            await self._give_up(record)
            raise
        except OSError:
            # Where the store gave the bytes up, the upload has ended: nobody shall go on with a part that is no more.
            if not await self._begun.has_bytes(record.id):
                await self._give_up(record)
            raise
        if served != blob[0].key:
            # The content was here already; no fact names these bytes, and none ever will.
            await self._delete_unnamed(blob)
        elif blob[0].identity:
            self._proven.add_committed(blob[0].key, blob[0].identity)

    async def _give_up(self, record: Begun) -> None:
        """End the upload; where nobody was told of it, whoever made it sees to its bytes (`take`)."""
        if record.of is not None:
            await self.discard([record.id])

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
