"""Blobs in a local directory.

    root/uploads/<id>                                         one file per upload; its length is its offset
    root/blobs/<algorithm>/<2 hex>/<digest hex>.<generation>  one read-only file per committed blob

Several processes may share the directory: what they must agree on (who writes to an upload, which blobs there are)
is held by the file system. Nothing temporary is ever outside `uploads`.
"""

import io
import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from estiva.digest import Algorithm, Digest
from storage.blobs import BlobEntry, BlobMissingError, Room, StoredBlob, Upload, UploadUnknownError
from storage.blobs.directories import prepare
from storage.blobs.file_upload import FileUpload
from storage.blobs.hashing import RunningHashes
from storage.blobs.held_file import begin_file, create_file, hold_file, is_idle
from storage.blobs.listing import foreign_names, list_blobs
from storage.blobs.names import is_storage_key, is_upload_id
from storage.blobs.whole_file import store_whole_file


class FilesystemBlobStore:
    """A `storage.blobs.BlobStore` in a directory of a local file system; makes the directory where it is missing."""

    def __init__(self, root: Path) -> None:
        # Strings and not Paths: joining those is a third of the work of opening a file.
        self._uploads, self._blobs = map(str, prepare(root.absolute()))
        self._waiting = RunningHashes()

    def create_upload(self, upload_id: str) -> None:
        """Begin an upload. It outlives the process; a power loss before its commit may take it."""
        if not is_upload_id(upload_id):
            raise ValueError("not an upload id")
        create_file(f"{self._uploads}/{upload_id}")

    def open_upload(self, upload_id: str, algorithm: Algorithm = Algorithm.SHA256) -> Upload:
        """Continue an upload: with the hash that this process kept, or else a second pass over the file at commit."""
        path = self._upload_path(upload_id)
        return self._held(upload_id, *hold_file(path), algorithm)

    def begin_upload(self, upload_id: str, algorithm: Algorithm = Algorithm.SHA256) -> Upload:
        """Create and hold it in one go."""
        if not is_upload_id(upload_id):
            raise ValueError("not an upload id")
        path = f"{self._uploads}/{upload_id}"
        try:
            file, size = begin_file(path)
        except FileExistsError:
            file, size = hold_file(path)
        return self._held(upload_id, file, size, algorithm)

    def _held(self, upload_id: str, file: io.FileIO, size: int, algorithm: Algorithm) -> FileUpload:
        running = self._waiting.take(upload_id, algorithm, size)
        return FileUpload(f"{self._uploads}/{upload_id}", self._blobs, file, size, running, self._waiting)

    def store_whole(self, upload_id: str, digest: Digest, content: bytes) -> StoredBlob | None:
        """Store it by itself, unless there is a file of that upload: then it is what has to be gone on with."""
        if not is_upload_id(upload_id):
            raise ValueError("not an upload id")
        if os.path.exists(f"{self._uploads}/{upload_id}"):
            return None
        return store_whole_file(self._uploads, self._blobs, digest, content)

    def upload_offset(self, upload_id: str) -> int:
        """The length of the upload's file."""
        try:
            return os.stat(self._upload_path(upload_id)).st_size
        except FileNotFoundError:
            raise UploadUnknownError(upload_id) from None

    def discard_upload(self, upload_id: str) -> None:
        """Remove the upload's file; somebody who writes to it just now finds out when committing."""
        if is_upload_id(upload_id):
            Path(self._uploads, upload_id).unlink(missing_ok=True)

    def stale_uploads(self, older_than: float) -> Iterator[str]:
        """Uploads that nobody holds and whose files were last written to at least `older_than` seconds ago."""
        latest = time.time() - older_than
        with os.scandir(self._uploads) as entries:
            for entry in entries:
                if is_upload_id(entry.name) and is_idle(entry, latest):
                    yield entry.name

    def open_blob(self, key: str) -> BinaryIO:
        """The blob's file, unbuffered."""
        if not is_storage_key(key):
            raise BlobMissingError(key)
        try:
            return open(f"{self._blobs}/{key}", "rb", buffering=0)
        except FileNotFoundError:
            # Where the whole directory is away, nothing is known of this blob.
            os.stat(os.path.dirname(f"{self._blobs}/{key}"))
            raise BlobMissingError(key) from None

    def size_of_blob(self, key: str) -> int:
        """The length of the blob's file."""
        with self.open_blob(key) as file:
            return os.fstat(file.fileno()).st_size

    def delete_blob(self, key: str) -> None:
        """Remove the blob's file.

        Its directory isn't synced: when a power loss brings the file back, no fact names it and its key is never
        made again, so all it takes is room, until the next check for blobs without facts finds it.
        """
        if is_storage_key(key):
            Path(self._blobs, key).unlink(missing_ok=True)

    def delete_blobs(self, keys: Iterable[str]) -> None:
        """Remove the files, one after the other."""
        for key in keys:
            self.delete_blob(key)

    def stored_blobs(self, after: str = "") -> Iterator[BlobEntry]:
        """The files of `blobs` that are blobs, a directory at a time."""
        return list_blobs(Path(self._blobs), after)

    def foreign_names(self, after: str = "", until: str = "") -> Iterator[str]:
        """Files, folders and whatever else is in `blobs` and was not put there by a store."""
        return foreign_names(Path(self._blobs), after, until)

    def room(self) -> Room:
        """Of the file system that the blobs are on."""
        disk = os.statvfs(self._blobs)
        return Room(disk.f_bavail * disk.f_frsize, disk.f_blocks * disk.f_frsize)

    def probe(self) -> None:
        """Write a byte to a file beside the uploads and remove it. Its name is no upload's, and always the same."""
        path = Path(self._uploads, ".probe")
        path.write_bytes(b"\0")
        path.unlink(missing_ok=True)

    def _upload_path(self, upload_id: str) -> str:
        if not is_upload_id(upload_id):
            raise UploadUnknownError(upload_id)
        return f"{self._uploads}/{upload_id}"
