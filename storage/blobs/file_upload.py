"""One upload on local disk: a file whose length is the offset, so that it outlives the process that wrote it."""

import contextlib
import io
import os
import threading
from collections.abc import Iterator

from estiva.digest import Digest
from storage.blobs import DigestMismatchError, StoredBlob, UploadUnknownError, identity, writeback
from storage.blobs.hashing import RunningHash, RunningHashes, digest_of_file
from storage.blobs.identity import Identity
from storage.blobs.names import new_storage_key
from storage.blobs.writing import write_all
from storage.durable import sync_entry

WORTH_MARKING = 1024 * 1024
"""Bytes. Less is read again by its first pull faster than three more system calls are made of each push."""


class FileUpload:
    """An upload that is held; see `storage.blobs.Upload` for what is promised."""

    def __init__(
        self,
        path: str,
        blobs: str,
        file: io.FileIO,
        size: int,
        running: RunningHash | None,
        waiting: RunningHashes,
    ) -> None:
        self._path = path
        self._id = os.path.basename(path)
        self._blobs = blobs
        self._file = file
        self._offset = self._sent = size
        self._running = running
        self._waiting = waiting
        self._busy = threading.RLock()

    @property
    def offset(self) -> int:
        """How many bytes the file holds."""
        return self._offset

    def write(self, data: memoryview) -> None:
        """Append and hash one piece, or leave the upload as it was."""
        with self._at_work():
            try:
                self._append(data)
            except OSError:
                self._take_back()
                raise
            if self._running is not None:
                self._running.update(data)

    def _append(self, data: memoryview) -> None:
        write_all(self._file.fileno(), data, self._offset)
        self._offset += len(data)
        if self._offset - self._sent >= writeback.STEP:
            writeback.begin_writeback(self._file.fileno(), self._sent, self._offset - self._sent)
            self._sent = self._offset

    def _take_back(self) -> None:
        """Cut off what a failed write left. Where that fails too, the file's length is the truth, to be hashed anew."""
        try:
            os.ftruncate(self._file.fileno(), self._offset)
        except OSError:
            self._offset = os.fstat(self._file.fileno()).st_size
            self._running = None

    def commit(self, digest: Digest) -> StoredBlob:
        """Verify, make durable, and only then let it appear among the blobs.

        The order is the promise: content on disk, then its name, then the name on disk. `rename` and not link +
        unlink, since a crash between those two would leave one file that is both a blob and a writable upload.
        `rename` would overwrite, but the key's 128 random bits name nothing that exists.
        """
        with self._at_work():
            if self._digest(digest) != digest:
                raise DigestMismatchError(str(digest))
            key = new_storage_key(digest)
            target = f"{self._blobs}/{key}"
            os.fchmod(self._file.fileno(), 0o444)
            marked = identity.mark(self._file.fileno()) if self._offset >= WORTH_MARKING else None
            self._sync_file()
            committed = self._move(target, marked)
            sync_entry(target)
            return StoredBlob(key, self._offset, committed)

    def _digest(self, named: Digest) -> Digest:
        if self._running is not None and self._running.algorithm is named.algorithm:
            return self._running.digest()
        return digest_of_file(self._file, named.algorithm)

    def _sync_file(self) -> None:
        """The kernel reports a failed write-back once and then calls the pages clean: a second try would lie."""
        try:
            os.fsync(self._file.fileno())
        except OSError:
            with contextlib.closing(self):
                self._running = None
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(self._path)
            raise

    def _move(self, target: str, marked: int | None) -> Identity:
        """Give the file its name: its identity from then on, for renaming changes it."""
        try:
            os.rename(self._path, target)
        except FileNotFoundError:
            if os.path.exists(self._path):
                raise
            self._let_go()
            raise UploadUnknownError(self._id) from None
        file = self._file.fileno()
        is_as_hashed = marked is not None and identity.is_marked(file, marked)
        committed = identity.identity_of(file) if is_as_hashed else b""
        self._let_go()
        return committed

    def _let_go(self) -> None:
        """Release the file of an upload that is no more."""
        self._running = None
        self.close()

    def close(self) -> None:
        """Let go; the hash waits for the next request of this process."""
        with self._busy:
            if self._running is not None:
                self._waiting.keep(self._id, self._running)
            self._running = None
            self._file.close()  # and with it the lock: the last step

    @contextlib.contextmanager
    def _at_work(self) -> Iterator[None]:
        """Keeps `close` out: a request that is cancelled may let go while its thread is still at work here."""
        with self._busy:
            if self._file.closed:
                raise ValueError("the upload was let go")
            yield
