"""An unfinished upload's state: one small object, changed by conditional requests, so that replicas agree on it."""

import json
import secrets
import threading
from dataclasses import asdict, dataclass, replace
from time import monotonic
from typing import Any

from storage.blobs import UploadBusyError, UploadUnknownError
from storage.blobs.s3.bucket import Bucket, ConditionFailedError, ObjectMissingError

LEASE = 15.0
"""Seconds after which an upload whose holder said nothing is anybody's: its process has died."""

FREE_AFTER = LEASE + 3
"""Seconds after its holder's last word by which an upload is anybody's, if the server's Date is at most a second late.

An age is the difference of two times of the server in whole seconds. It may be one too high, so `lease_is_over` waits
for one more than LEASE; it is one too low where the server writes its Date header only once a second.
"""


def lease_is_over(age: float) -> bool:
    """Whether LEASE has passed for certain since a state was written, going by the age that `StateObject.load` gave."""
    return age > LEASE + 1


@dataclass(frozen=True, slots=True)
class Tail:
    """The last bytes of an upload, too few for a part: an object of their own."""

    name: str
    size: int
    after: int
    """How many bytes come before it. Once there are more in parts, the tail is in one of them."""


@dataclass(frozen=True, slots=True)
class Large:
    """Content too large for one request, under its generation."""

    generation: str
    multipart: str | None
    """The multipart upload; None when it was put together and then refused for its digest."""
    size: int = 0
    """Its size, where it is put together."""


@dataclass(frozen=True, slots=True)
class UploadState:
    """Where an upload's bytes are, and who may add to them."""

    holder: str = ""
    """The store that holds it; empty when nobody does."""
    size: int = 0
    """How many bytes it has; what it was when somebody last let go of it."""
    large: Large | None = None
    tail: Tail | None = None
    ending: bool = False
    """Whether it is about to be a blob: from then on it is nobody's to continue, and its content no purge's."""

    def as_json(self, revision: str) -> bytes:
        """The object's content."""
        return json.dumps({"revision": revision, **asdict(self)}, separators=(",", ":")).encode()

    @classmethod
    def from_json(cls, text: bytes) -> tuple["UploadState", str]:
        """The state and its revision."""
        value: dict[str, Any] = json.loads(text)
        revision = str(value.pop("revision"))
        large, tail = value.pop("large"), value.pop("tail")
        return cls(large=Large(**large) if large else None, tail=Tail(**tail) if tail else None, **value), revision


class StateObject:
    """The state of one upload as this process last saw it. May be used by several threads."""

    def __init__(self, bucket: Bucket, name: str, upload_id: str) -> None:
        self._bucket = bucket
        self.name = name
        self.id = upload_id
        self._etag = ""
        self._lock = threading.Lock()
        self._saved_at = 0.0
        self._ended = False
        self.state = UploadState()

    def create(self) -> None:
        """Begin. FileExistsError."""
        revision = secrets.token_hex(16)
        try:
            self._etag = self._bucket.put(self.name, self.state.as_json(revision), only_new=True)
        except ConditionFailedError:
            if not self._is_at(revision):
                raise FileExistsError(self.id) from None

    def begin(self, holder: str) -> None:
        """Be held by that store, without a word to others: the first `save` tells them, if nobody else was quicker."""
        self.state = UploadState(holder=holder)
        self._saved_at = monotonic()

    def end(self) -> bool:
        """Have every later `save` fail: whether there was one before, so that there is something to remove."""
        with self._lock:
            self._ended = True
            return self._etag != ""

    def load(self) -> float:
        """See how it is now: seconds since it was last written. UploadUnknownError."""
        try:
            fetched = self._bucket.fetch(self.name)
        except ObjectMissingError:
            raise UploadUnknownError(self.id) from None
        self._etag = fetched.etag
        self.state, _ = UploadState.from_json(fetched.body)
        return fetched.age

    def save(self, **changes: Any) -> None:
        """Write it with these changes, or else UploadBusyError (somebody else wrote), UploadUnknownError (deleted)."""
        with self._lock:
            if self._ended:
                raise UploadUnknownError(self.id)
            changed = replace(self.state, **changes)
            revision = secrets.token_hex(16)
            condition: dict[str, Any] = {"replacing": self._etag} if self._etag else {"only_new": True}
            try:
                self._etag = self._bucket.put(self.name, changed.as_json(revision), **condition)
            except ObjectMissingError:
                raise UploadUnknownError(self.id) from None
            except ConditionFailedError:
                if not self._is_at(revision):
                    raise UploadBusyError(self.id) from None
            self.state = changed
            self._saved_at = monotonic()

    def renew_after(self, seconds: float) -> None:
        """Write it as it is, to say that the holder lives, if nothing was written for so long."""
        if monotonic() - self._saved_at >= seconds and self.state.holder and not self.state.ending:
            self.save()

    def _is_at(self, revision: str) -> bool:
        """Whether it was our own request, whose answer was lost and that was then sent again."""
        try:
            fetched = self._bucket.fetch(self.name)
        except ObjectMissingError:
            raise UploadUnknownError(self.id) from None
        if UploadState.from_json(fetched.body)[1] != revision:
            return False
        self._etag = fetched.etag
        return True
