"""One upload to a bucket, held: hashed while it comes, verified before its content becomes a blob."""

import contextlib
import logging
import secrets
import threading
from collections.abc import Callable, Iterator

from estiva.digest import Digest
from storage.blobs import DigestMismatchError, StoredBlob, UploadUnknownError
from storage.blobs.hashing import RunningHash, digest_of_pieces
from storage.blobs.names import new_storage_key
from storage.blobs.s3.bucket import Bucket
from storage.blobs.s3.content import Content, Equipment
from storage.blobs.s3.names import Names, large_key
from storage.blobs.s3.reader import ObjectReader
from storage.blobs.s3.state import Large, StateObject

logger = logging.getLogger("estiva.blobs")

PIECE = 1024 * 1024


class S3Upload:
    """An upload that is held; see `storage.blobs.Upload` for what is promised."""

    def __init__(
        self,
        equipment: Equipment,
        record: StateObject,
        content: Content,
        running: RunningHash | None,
        let_go: Callable[["S3Upload"], None],
    ) -> None:
        self._bucket: Bucket = equipment.bucket
        self._names: Names = equipment.names
        self.record = record
        self.content = content
        self.running = running
        self._on_let_go = let_go
        self._busy = threading.RLock()
        self._open = True
        self._ended = False

    @property
    def offset(self) -> int:
        """How many bytes were taken; after a failure, how many are stored."""
        return self.content.offset

    @property
    def is_left(self) -> bool:
        """Whether the upload goes on after this: it was neither committed nor discarded."""
        return not self._ended

    def write(self, data: memoryview) -> None:
        """Take and hash one piece; parts are stored in the background."""
        with self._at_work():
            try:
                self.content.append(data, self._begin_multipart)
            except BaseException:
                self.running = None
                raise
            if self.running is not None:
                self.running.update(data)

    def commit(self, digest: Digest) -> StoredBlob:
        """Verify, store what is not stored yet, and only then give it its key."""
        with self._at_work():
            if self._ended:
                raise UploadUnknownError(self.record.id)
            self._settle()
            running = self.running
            known = running is not None and running.algorithm is digest.algorithm and running.length == self.offset
            if running is not None and known and running.digest() != digest:
                raise DigestMismatchError(str(digest))
            blob = self._commit_small(digest, known) if self.content.is_small else self._commit_large(digest, known)
            self._ended = True
            self._clean_up()
            return blob

    def _settle(self) -> None:
        try:
            self.content.settle()
        except BaseException:
            self.running = None
            raise

    def _commit_small(self, digest: Digest, known: bool) -> StoredBlob:
        if not known and Digest.of(self.content.small(), digest.algorithm) != digest:
            raise DigestMismatchError(str(digest))
        key, size = new_storage_key(digest), self.offset
        self.content.put_small(self._names.entry(key))
        return StoredBlob(key, size)

    def _commit_large(self, digest: Digest, known: bool) -> StoredBlob:
        if self.content.is_put_together and self.content.has_loose_end:
            self._begin_multipart()
        if not self.content.is_put_together:
            self.content.finish_parts()
        if not known:
            self._require(digest)
        large, size = self.content.large, self.offset
        assert large is not None
        base = new_storage_key(digest)
        key = large_key(f"{base.rpartition('.')[0]}.{large.generation}", size)
        # From here on no purge touches the content, and nobody can continue the upload: its bytes are the key's.
        self._ended = True
        self.record.save(ending=True)
        self._bucket.put(self._names.entry(key), b"")
        if large.multipart is not None:
            self.content.put_together()
        return StoredBlob(key, size)

    def _require(self, digest: Digest) -> None:
        """Hash content whose hash nobody kept: parts can only be read when they are put together."""
        large = self.content.large
        assert large is not None
        if large.multipart is not None:
            size = self.content.put_together()
            large = self.content.large = Large(large.generation, None, size)
            self.content.parts = []
            self.record.save(large=large, tail=None, size=size)
        with contextlib.closing(ObjectReader(self._bucket, self._names.large(large.generation), large.size)) as reader:
            if digest_of_pieces(iter(lambda: reader.read(PIECE), b""), digest.algorithm) != digest:
                raise DigestMismatchError(str(digest))

    def _begin_multipart(self) -> None:
        self.content.begin_multipart(secrets.token_hex(16))
        self.record.save(large=self.content.large)

    def _clean_up(self) -> None:
        """Remove what only the upload needed. The blob is there, so trouble with that is none of the caller's."""
        if not self.record.end():
            return
        state = self.record.state
        names = [self.record.name] + ([state.tail.name] if state.tail else [])
        try:
            if self.content.is_small and state.large is not None and state.large.multipart is not None:
                self._bucket.abort_multipart(self._names.large(state.large.generation), state.large.multipart)
            self._bucket.delete(names)
        except OSError as error:
            logger.warning("what is left of a committed upload waits for the purge: %s", error)

    def discard(self) -> None:
        """Have every later commit fail, as the upload was discarded."""
        self._ended = True
        self.record.end()

    def close(self) -> None:
        """Let go; what was written is stored when this returns."""
        with self._busy:
            if not self._open:
                return
            self._open = False
            try:
                if not self._ended:
                    self._leave()
            except UploadUnknownError:
                self._ended = True  # discarded by another process: there is nothing to leave
            except BaseException:
                self.running = None
                raise
            finally:
                self.content.let_go()
                self._on_let_go(self)

    def _leave(self) -> None:
        self._settle()
        before = self.record.state.tail
        tail = self.content.stage()
        self.record.save(holder="", size=self.offset, large=self.content.large, tail=tail)
        if before is not None and before != tail:
            self._bucket.delete([before.name])

    @contextlib.contextmanager
    def _at_work(self) -> Iterator[None]:
        """Keeps `close` out: a request that is cancelled may let go while its thread is still at work here."""
        with self._busy:
            if not self._open:
                raise ValueError("the upload was let go")
            yield
