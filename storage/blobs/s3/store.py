"""A blob store in a bucket."""

import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Any, BinaryIO, cast

from estiva.digest import Algorithm, Digest
from storage.blobs import BlobEntry, BlobMissingError, Upload, UploadBusyError, UploadUnknownError
from storage.blobs.direct import DirectBody, Wanted
from storage.blobs.hashing import RunningHash
from storage.blobs.names import is_storage_key, is_upload_id
from storage.blobs.s3 import sweeping
from storage.blobs.s3.adopting import adopt
from storage.blobs.s3.bucket import Bucket, MultipartMissingError, ObjectMissingError, Part
from storage.blobs.s3.content import Content, Equipment, part_size
from storage.blobs.s3.direct import DirectReading, can_read_directly
from storage.blobs.s3.holding import Renewal
from storage.blobs.s3.location import S3Location
from storage.blobs.s3.memory import UploadMemory
from storage.blobs.s3.names import Names, is_key, size_in
from storage.blobs.s3.reader import ObjectReader
from storage.blobs.s3.state import StateObject, UploadState, lease_is_over
from storage.blobs.s3.upload import S3Upload

KEPT = 1024
PART_THREADS = 16
DELETED_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class _Kept:
    """What this process knows of an upload that waits for its next request; losing it costs requests, nothing else."""

    record: StateObject
    parts: list[Part]
    running: RunningHash | None


class S3BlobStore:
    """A `storage.blobs.BlobStore` in a bucket, shared by any number of processes and machines."""

    def __init__(
        self,
        location: S3Location,
        threads: Executor | None = None,
        *,
        size_of_part: Callable[[int], int] = part_size,
        session: Any = None,
    ) -> None:
        threads = threads or ThreadPoolExecutor(PART_THREADS, thread_name_prefix="s3-part")
        self._bucket = Bucket(location, session)
        self._names = Names(location.prefix)
        self._equipment = Equipment(self._bucket, self._names, UploadMemory(), threads, size_of_part)
        self._holder = secrets.token_hex(16)
        self._renewal = Renewal()
        self._direct = DirectReading(self._bucket.own_url) if can_read_directly(location.endpoint) else None
        self._lock = threading.Lock()
        self._held: dict[str, S3Upload | None] = {}
        self._kept: OrderedDict[str, _Kept] = OrderedDict()

    def create_upload(self, upload_id: str) -> None:
        """Begin an upload: its state is an object that must not be there yet."""
        if not is_upload_id(upload_id):
            raise ValueError("not an upload id")
        record = StateObject(self._bucket, self._names.state(upload_id), upload_id)
        record.create()
        self._keep(_Kept(record, [], None))

    def open_upload(self, upload_id: str, algorithm: Algorithm = Algorithm.SHA256) -> Upload:
        """Continue an upload: with what this process kept of it, or from what the bucket knows."""
        if not is_upload_id(upload_id):
            raise UploadUnknownError(upload_id)
        with self._lock:
            if upload_id in self._held:
                raise UploadBusyError(upload_id)
            self._held[upload_id] = None
            kept = self._kept.pop(upload_id, None)
        try:
            known = self._known(kept) or self._found(upload_id)
        except BaseException:
            with self._lock:
                del self._held[upload_id]
            raise
        return self._hold(upload_id, algorithm, known)

    def begin_upload(self, upload_id: str, algorithm: Algorithm = Algorithm.SHA256) -> Upload:
        """Begin an upload, and write its state only when it has something, or when it has lasted for a while.

        Content that comes whole in this request, and fits into one, needs no state at all.
        """
        if not is_upload_id(upload_id):
            raise ValueError("not an upload id")
        with self._lock:
            if upload_id in self._held:
                raise UploadBusyError(upload_id)
            self._held[upload_id] = None
        record = StateObject(self._bucket, self._names.state(upload_id), upload_id)
        record.begin(self._holder)
        return self._hold(upload_id, algorithm, _Kept(record, [], None))

    def store_whole(self, upload_id: str, digest: Digest, content: bytes) -> None:
        """There is no shorter way than an upload: content that fits into one request goes in one there, too."""
        return

    def _hold(self, upload_id: str, algorithm: Algorithm, known: _Kept) -> S3Upload:
        upload = self._upload(upload_id, algorithm, known)
        with self._lock:
            self._held[upload_id] = upload
        self._renewal.begin(upload.record)
        return upload

    def _upload(self, upload_id: str, algorithm: Algorithm, known: _Kept) -> S3Upload:
        content = Content(self._equipment, upload_id, known.record.state, known.parts)
        running = known.running
        if running is None or (running.length, running.algorithm) != (content.offset, algorithm):
            running = RunningHash(algorithm) if content.offset == 0 else None
        return S3Upload(self._equipment, known.record, content, running, self._let_go)

    def _known(self, kept: _Kept | None) -> _Kept | None:
        """What was kept, held, if nobody else has touched the upload since."""
        if kept is None:
            return None
        try:
            kept.record.save(holder=self._holder)
        except UploadBusyError:
            return None
        return kept

    def _found(self, upload_id: str) -> _Kept:
        """What the bucket knows of the upload, held."""
        record = StateObject(self._bucket, self._names.state(upload_id), upload_id)
        age = record.load()
        state = record.state
        if state.ending:
            raise UploadUnknownError(upload_id)
        if state.holder not in ("", self._holder) and not lease_is_over(age):
            raise UploadBusyError(upload_id)
        record.save(holder=self._holder)
        return _Kept(record, self._parts(upload_id, state), None)

    def _parts(self, upload_id: str, state: UploadState) -> list[Part]:
        """The parts that the bucket has without a gap."""
        if state.large is None or state.large.multipart is None:
            return []
        try:
            found = self._bucket.parts(self._names.large(state.large.generation), state.large.multipart)
        except MultipartMissingError:
            raise UploadUnknownError(upload_id) from None
        return [part for number, part in enumerate(found, 1) if part.number == number]

    def upload_offset(self, upload_id: str) -> int:
        """How many bytes the upload holds; of one that a process left behind by dying, what the bucket has of it."""
        with self._lock:
            upload = self._held.get(upload_id)
        if upload is not None and upload.is_left:
            return upload.offset
        if not is_upload_id(upload_id) or upload is not None:
            raise UploadUnknownError(upload_id)
        record = StateObject(self._bucket, self._names.state(upload_id), upload_id)
        record.load()
        if record.state.ending:
            raise UploadUnknownError(upload_id)
        if record.state.holder == "":
            return record.state.size
        return Content(self._equipment, upload_id, record.state, self._parts(upload_id, record.state)).offset

    def discard_upload(self, upload_id: str) -> None:
        """Forget an upload: its state first, so that no replica goes on, then what it has stored."""
        if not is_upload_id(upload_id):
            return
        with self._lock:
            upload = self._held.get(upload_id)
            self._kept.pop(upload_id, None)
        if upload is not None:
            upload.discard()
        sweeping.discard(self._bucket, self._names, upload_id)

    def stale_uploads(self, older_than: float) -> Iterator[str]:
        """Uploads whose state nobody has written for so long, and multipart uploads that lost their upload."""
        with self._lock:
            held = set(self._held)
        return sweeping.stale_uploads(self._bucket, self._names, older_than, held)

    def open_blob(self, key: str) -> BinaryIO:
        """The blob's bytes; the request for them is sent, so that it is known that there are any."""
        return self.open_blob_at(key, 0)

    def open_blob_at(self, key: str, offset: int) -> BinaryIO:
        """The same, from there on."""
        if not is_key(key):
            raise BlobMissingError(key)
        reader = ObjectReader(self._bucket, self._names.content(key), size_in(key))
        reader.seek(offset)
        reader.open()
        return cast(BinaryIO, reader)

    def connect_blob(self, key: str, wanted: Wanted) -> DirectBody | None:
        """A part of the blob's bytes on a socket; None where `open_blob_at` has to do, or to say what is wrong."""
        if self._direct is None or not is_key(key):
            return None
        return self._direct.open(self._names.content(key), wanted)

    def hang_up(self) -> None:
        """Close the connections that `connect_blob` keeps for its next call."""
        if self._direct is not None:
            self._direct.hang_up()

    def size_of_blob(self, key: str) -> int:
        """The length of the object with the bytes, asked for by HEAD."""
        if not is_key(key):
            raise BlobMissingError(key)
        try:
            return self._bucket.size(self._names.content(key))
        except ObjectMissingError:
            raise BlobMissingError(key) from None

    def adopt_blob(self, key: str, file: BinaryIO, size: int) -> None:
        """Store a blob under a key that a store on disk has given it: one object, whatever its size."""
        if not is_storage_key(key):
            raise ValueError("not a key of a store on disk")
        adopt(self._equipment, self._names.entry(key), file, size)

    def delete_blob(self, key: str) -> None:
        """Remove the bytes of a key, and then the note about them."""
        self.delete_blobs([key])

    def delete_blobs(self, keys: Iterable[str]) -> None:
        """Remove the bytes of many keys with few requests, and then the notes about them."""
        wanted = (key for key in keys if is_key(key))
        while some := list(islice(wanted, DELETED_AT_ONCE)):
            self._bucket.delete(self._names.content(key) for key in some)
            if notes := [self._names.entry(key) for key in some if size_in(key) is not None]:
                self._bucket.delete(notes)

    def stored_blobs(self, after: str = "") -> Iterator[BlobEntry]:
        """Every object below `blobs` whose name is a key; the size of large content is that in its key."""
        for found in self._bucket.listed(self._names.blobs, self._names.entry(after) if after else ""):
            key = found.name.removeprefix(self._names.blobs)
            if is_key(key):
                size = size_in(key)
                measured = size is None
                yield BlobEntry(key, found.size if size is None else size, found.modified, is_measured=measured)

    def foreign_names(self, after: str = "", until: str = "") -> Iterator[str]:
        """Every object below `blobs` whose name is no key."""
        for found in self._bucket.listed(self._names.blobs, self._names.entry(after) if after else ""):
            name = found.name.removeprefix(self._names.blobs)
            if until and name > until:
                return
            if not is_key(name):
                yield name

    def url_of(self, key: str, seconds: int) -> str:
        """A signed address of the bytes, whether or not there are any. Asks nobody."""
        return self._bucket.signed_url(self._names.content(key), seconds)

    def room(self) -> None:
        """No limit is known."""
        return

    def probe(self) -> None:
        """Write an object that is always the same, and remove it."""
        self._bucket.put(self._names.probe, b"")
        self._bucket.delete([self._names.probe])

    def _keep(self, kept: _Kept) -> None:
        with self._lock:
            self._kept[kept.record.id] = kept
            if len(self._kept) > KEPT:
                self._kept.popitem(last=False)

    def _let_go(self, upload: S3Upload) -> None:
        self._renewal.end(upload.record)
        with self._lock:
            self._held.pop(upload.record.id, None)
        if upload.is_left and upload.record.state.holder == "":
            self._keep(_Kept(upload.record, upload.content.parts, upload.running))
