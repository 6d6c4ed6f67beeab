"""Blobs in this process's memory: for tests and for registries that forget."""

import contextlib
import io
import threading
import time
from collections.abc import Iterable, Iterator
from typing import BinaryIO

from estiva.digest import Algorithm, Digest
from storage.blobs import (
    BlobEntry,
    BlobMissingError,
    DigestMismatchError,
    StoredBlob,
    Upload,
    UploadBusyError,
    UploadUnknownError,
)
from storage.blobs.names import is_upload_id, new_storage_key


class _Unfinished:
    """An upload's bytes, and whether somebody holds them."""

    def __init__(self) -> None:
        self.content = bytearray()
        self.held = threading.Lock()
        self.written = time.monotonic()


class MemoryBlobStore:
    """A `storage.blobs.BlobStore` that lives as long as this object; durable means no more than that here."""

    def __init__(self) -> None:
        self._uploads: dict[str, _Unfinished] = {}
        self._blobs: dict[str, bytes] = {}
        self._committed: dict[str, float] = {}
        self._lock = threading.Lock()

    def create_upload(self, upload_id: str) -> None:
        """Begin an upload."""
        if not is_upload_id(upload_id):
            raise ValueError("not an upload id")
        with self._lock:
            if upload_id in self._uploads:
                raise FileExistsError(upload_id)
            self._uploads[upload_id] = _Unfinished()

    def open_upload(self, upload_id: str, algorithm: Algorithm = Algorithm.SHA256) -> Upload:
        """Continue an upload. The algorithm makes no difference here: the content is hashed at its commit."""
        unfinished = self._unfinished(upload_id)
        if not unfinished.held.acquire(blocking=False):
            raise UploadBusyError(upload_id)
        if self._uploads.get(upload_id) is not unfinished:  # committed or discarded before it was held
            unfinished.held.release()
            raise UploadUnknownError(upload_id)
        return _MemoryUpload(self, upload_id, unfinished)

    def begin_upload(self, upload_id: str, algorithm: Algorithm = Algorithm.SHA256) -> Upload:
        """Create and open it."""
        with contextlib.suppress(FileExistsError):
            self.create_upload(upload_id)
        return self.open_upload(upload_id, algorithm)

    def store_whole(self, upload_id: str, digest: Digest, content: bytes) -> None:
        """There is no shorter way than an upload."""
        return

    def upload_offset(self, upload_id: str) -> int:
        """How many bytes the upload holds."""
        return len(self._unfinished(upload_id).content)

    def discard_upload(self, upload_id: str) -> None:
        """Forget an upload; somebody who writes to it just now finds out when committing."""
        with self._lock:
            self._uploads.pop(upload_id, None)

    def stale_uploads(self, older_than: float) -> Iterator[str]:
        """Uploads that nobody holds and that got nothing for `older_than` seconds."""
        latest = time.monotonic() - older_than
        with self._lock:
            uploads = list(self._uploads.items())
        for upload_id, unfinished in uploads:
            if unfinished.written <= latest and not unfinished.held.locked():
                yield upload_id

    def open_blob(self, key: str) -> BinaryIO:
        """The blob's bytes, not copied."""
        try:
            return io.BytesIO(self._blobs[key])
        except KeyError:
            raise BlobMissingError(key) from None

    def size_of_blob(self, key: str) -> int:
        """The length of the bytes."""
        try:
            return len(self._blobs[key])
        except KeyError:
            raise BlobMissingError(key) from None

    def delete_blob(self, key: str) -> None:
        """Remove the bytes; those who read them keep them to the end."""
        with self._lock:
            self._blobs.pop(key, None)
            self._committed.pop(key, None)

    def delete_blobs(self, keys: Iterable[str]) -> None:
        """Remove the bytes of many keys."""
        for key in keys:
            self.delete_blob(key)

    def stored_blobs(self, after: str = "") -> Iterator[BlobEntry]:
        """The blobs after that key, as they are when the first is asked for."""
        with self._lock:
            entries = [BlobEntry(key, len(self._blobs[key]), moment) for key, moment in self._committed.items()]
        yield from sorted((entry for entry in entries if entry.key > after), key=lambda entry: entry.key)

    def foreign_names(self, after: str = "", until: str = "") -> Iterator[str]:
        """Nobody else can put anything here."""
        return iter(())

    def room(self) -> None:
        """No limit is known."""
        return

    def probe(self) -> None:
        """Memory can always be written to."""

    def finish(self, upload_id: str, unfinished: _Unfinished, digest: Digest, content: bytes) -> str:
        """Turn an upload into a blob, unless it was discarded; the blob's key."""
        key = new_storage_key(digest)
        with self._lock:
            if self._uploads.get(upload_id) is not unfinished:
                raise UploadUnknownError(upload_id)
            del self._uploads[upload_id]
            self._blobs[key] = content
            self._committed[key] = time.time()
        return key

    def _unfinished(self, upload_id: str) -> _Unfinished:
        try:
            return self._uploads[upload_id]
        except KeyError:
            raise UploadUnknownError(upload_id) from None


class _MemoryUpload:
    """An upload that is held; see `storage.blobs.Upload` for what is promised."""

    def __init__(self, store: MemoryBlobStore, upload_id: str, unfinished: _Unfinished) -> None:
        self._store = store
        self._upload_id = upload_id
        self._unfinished = unfinished
        self._open = True
        self._busy = threading.RLock()

    @property
    def offset(self) -> int:
        """How many bytes the upload holds."""
        return len(self._unfinished.content)

    def write(self, data: memoryview) -> None:
        """Append one piece."""
        with self._at_work():
            self._unfinished.content += data
            self._unfinished.written = time.monotonic()

    def commit(self, digest: Digest) -> StoredBlob:
        """Make the content a blob."""
        with self._at_work():
            content = bytes(self._unfinished.content)
            if Digest.of(content, digest.algorithm) != digest:
                raise DigestMismatchError(str(digest))
            with contextlib.closing(self):
                return StoredBlob(self._store.finish(self._upload_id, self._unfinished, digest, content), len(content))

    def close(self) -> None:
        """Let go of the upload."""
        with self._busy:
            if self._open:
                self._open = False
                self._unfinished.held.release()

    @contextlib.contextmanager
    def _at_work(self) -> Iterator[None]:
        with self._busy:
            if not self._open:
                raise ValueError("the upload was let go")
            yield
