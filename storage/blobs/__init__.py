"""Where bytes live: content-addressed, written once, never changed.

A blob store knows nothing of repositories, tags or rights: it holds blobs by storage key and unfinished uploads
by id. Which digest is which key, and who may see it, are facts of `storage.metadata`.

Every method blocks (disk, network) and is called from a worker thread, except where it says otherwise. An upload's
data goes through `Upload.write`, which hashes and stores one large piece at a time.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO, Protocol

from estiva.digest import Algorithm, Digest
from storage.blobs.identity import Identity


class UploadUnknownError(LookupError):
    """The store has no upload of that id."""


class UploadBusyError(RuntimeError):
    """Another request, of this process or another, is writing to that upload."""


class DigestMismatchError(ValueError):
    """The upload's content does not have the digest that was named."""


class BlobMissingError(LookupError):
    """The store has no bytes under that key."""


@dataclass(frozen=True, slots=True)
class StoredBlob:
    """What a committed upload became."""

    key: str
    """The storage key: the digest plus a generation that is never used twice."""
    size: int
    """Length in bytes."""
    identity: Identity = b""
    """Of the file that holds exactly the bytes that were hashed; empty where the store can't promise that."""


@dataclass(frozen=True, slots=True)
class BlobEntry:
    """A blob as the store lists it, whether or not any fact names it."""

    key: str
    """Its storage key."""
    size: int
    """Length in bytes."""
    modified: float
    """When it was committed or (on disk) last written to: seconds since the epoch, by the store's clock."""
    is_measured: bool = True
    """Whether the size is that of bytes that were seen. Otherwise it was noted when they came: they may be gone."""


@dataclass(frozen=True, slots=True)
class Room:
    """What the place that blobs are in has room for, in bytes."""

    free: int
    """For this process, without what the file system keeps for root."""
    total: int


class Upload(Protocol):
    """One unfinished upload, held exclusively until `close`. One thread at a time uses it.

    Only `close` may be called while another thread is in `write` or `commit`: it takes effect after that.
    """

    @property
    def offset(self) -> int:
        """How many bytes the store holds: where the next piece goes."""
        ...

    def write(self, data: memoryview) -> None:
        """Append and hash one piece. OSError when it can't be stored; `offset` then still tells the truth.

        A store that keeps pieces on their way to elsewhere may find out about one in a later call. One that notices
        that the upload was discarded meanwhile raises UploadUnknownError.
        """
        ...

    def commit(self, digest: Digest) -> StoredBlob:
        """Make the content a blob: verified, and durable when this returns. The upload is gone afterwards.

        DigestMismatchError leaves the upload as it is. UploadUnknownError when it was discarded meanwhile. OSError
        when it can't be made durable: nothing was promised then, and the upload may be gone (where the disk no
        longer says what it holds, the content has to come again). Each commit makes a new key, also for known content.
        """
        ...

    def close(self) -> None:
        """Let go of the upload; what was written stays, to be continued. Idempotent, also after `commit`.

        OSError when that can't be promised, or UploadBusyError when another process has taken the upload over since
        this one could not reach the store: then `BlobStore.upload_offset` tells what is there.
        """
        ...


class BlobStore(Protocol):
    """Blobs by key, uploads by id.

    Names may come from anywhere: an id or key that the store could never have given is one that it does not have.
    """

    def create_upload(self, upload_id: str) -> None:
        """Begin an upload of that id, a name that the caller made unguessable and never reuses.

        ValueError for anything but 1 to 128 letters, digits, `-` and `_`; FileExistsError for one that is there.
        """
        ...

    def open_upload(self, upload_id: str, algorithm: Algorithm = Algorithm.SHA256) -> Upload:
        """Continue an upload, hashing with `algorithm`. UploadUnknownError, or UploadBusyError at once."""
        ...

    def begin_upload(self, upload_id: str, algorithm: Algorithm = Algorithm.SHA256) -> Upload:
        """Begin an upload that `open_upload` did not know, or continue what somebody began meanwhile.

        Other processes may hear of it no earlier than it has something that they could go on with: where two begin it
        at once, one may get UploadBusyError as late as when it lets go. ValueError as `create_upload`, UploadBusyError.
        """
        ...

    def store_whole(self, upload_id: str, digest: Digest, content: bytes) -> StoredBlob | None:
        """Make content that is here whole a blob of that digest: verified, and durable when this returns.

        As an upload of that id would, that is begun, written once and committed, in fewer steps. None, and nothing has
        happened, where the store has no such shorter way, or that upload holds something already. DigestMismatchError;
        OSError when it can't be made durable: nothing was promised then. ValueError as `create_upload`.
        """
        ...

    def upload_offset(self, upload_id: str) -> int:
        """How many bytes an upload holds, without holding it. UploadUnknownError."""
        ...

    def discard_upload(self, upload_id: str) -> None:
        """Forget an upload and its bytes, also while somebody writes to it: it can't be committed then. Idempotent."""
        ...

    def stale_uploads(self, older_than: float) -> Iterator[str]:
        """The ids of uploads that nobody holds and that got no byte for `older_than` seconds."""
        ...

    def open_blob(self, key: str) -> BinaryIO:
        """The blob's bytes, seekable; a real file (with `fileno`) where the kernel can send it. BlobMissingError.

        OSError, and not BlobMissingError, where the store itself can't be reached.

        Quick enough on local disk to be called on the event loop. Unbuffered: `read(n)` may give fewer than n bytes
        before the end. A blob that is deleted while open stays readable through what was opened.
        """
        ...

    def size_of_blob(self, key: str) -> int:
        """The length of the bytes that are there now. BlobMissingError, OSError as `open_blob`."""
        ...

    def delete_blob(self, key: str) -> None:
        """Remove the bytes of a key for good. Idempotent. Callers remove every fact that names it first."""
        ...

    def delete_blobs(self, keys: Iterable[str]) -> None:
        """`delete_blob` for many keys, in as few steps as the store can. On an error some may be gone; idempotent."""
        ...

    def stored_blobs(self, after: str = "") -> Iterator[BlobEntry]:
        """Every blob whose key comes after that one, in the order of the keys' bytes, read page by page.

        For finding bytes that no fact names; never for deciding whether a blob exists. A blob that is committed or
        deleted meanwhile may or may not come up.
        """
        ...

    def foreign_names(self, after: str = "", until: str = "") -> Iterator[str]:
        """What is among the blobs and can't be one, by its name there: those after the one and up to the other name.

        Without `until` to the last, in any order. For telling of it: nobody reads, serves or removes it.
        """
        ...

    def room(self) -> Room | None:
        """How much room there is, asked now; None where no limit is known. OSError.

        Quick enough on local disk to be called on the event loop.
        """
        ...

    def probe(self) -> None:
        """Return when the store can be written to; OSError with the reason otherwise. For readiness checks."""
        ...
