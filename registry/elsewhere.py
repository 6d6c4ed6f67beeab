"""Blobs that are not on this machine: who asks for one is sent there, or it is passed on."""

from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from enum import Enum
from time import monotonic
from typing import BinaryIO, Protocol

from storage.blobs.direct import DirectBody, Wanted

URL_LIFE = 1200
"""Seconds that an address is good which a client is sent to."""
_KEPT = 4096


class Redirect(Enum):
    """What is done with who asks for a blob."""

    ALWAYS = "redirect"
    NEVER = "proxy"
    AUTO = "auto"
    """Redirect where it is known that clients reach the other server, and none is sent from https to http."""


class RemoteBlobStore(Protocol):
    """What a blob store elsewhere offers beside `storage.blobs.BlobStore`."""

    def open_blob_at(self, key: str, offset: int) -> BinaryIO:
        """The blob's bytes from there on, asked for already. Blocks. BlobMissingError."""
        ...

    def connect_blob(self, key: str, wanted: Wanted) -> DirectBody | None:
        """A part of the bytes on a plain socket, if that goes well; None otherwise. Blocks."""
        ...

    def hang_up(self) -> None:
        """Close the connections that nobody uses. Idempotent."""
        ...

    def url_of(self, key: str, seconds: int) -> str:
        """Where anybody may GET the bytes for so long. Asks nobody."""
        ...


@dataclass(frozen=True, slots=True)
class Reach:
    """What is known of clients' way to the other server."""

    known: bool
    """Whether they reach it."""
    encrypted: bool
    """Whether by https."""


class Elsewhere:
    """A remote blob store with the threads that read from it."""

    def __init__(self, store: RemoteBlobStore, threads: Executor, redirect: Redirect, reach: Reach) -> None:
        self.threads = threads
        self._store = store
        self._redirect = redirect
        self._reach = reach
        self._urls: OrderedDict[str, tuple[str, float]] = OrderedDict()

    def redirects(self, is_encrypted: Callable[[], bool]) -> bool:
        """Whether a client is sent there; `is_encrypted` tells whether it came by https."""
        if self._redirect is not Redirect.AUTO:
            return self._redirect is Redirect.ALWAYS
        return self._reach.known and (self._reach.encrypted or not is_encrypted())

    def url_of(self, key: str) -> str:
        """Where the bytes are, good for half of URL_LIFE at least. Signing takes a while, so it is not always done."""
        url, until = self._urls.get(key, ("", 0.0))
        if monotonic() >= until:
            url = self._store.url_of(key, URL_LIFE)
            self._urls[key] = url, monotonic() + URL_LIFE / 2
            self._urls.move_to_end(key)
            if len(self._urls) > _KEPT:
                self._urls.popitem(last=False)
        return url

    def connect(self, key: str, wanted: Wanted) -> DirectBody | None:
        """A part of the bytes on a plain socket, if that goes well; None otherwise. Blocks."""
        return self._store.connect_blob(key, wanted)

    def hang_up(self) -> None:
        """Close the connections that nobody uses."""
        self._store.hang_up()

    def open(self, key: str, offset: int) -> BinaryIO:
        """The bytes from there on. Blocks. BlobMissingError."""
        return self._store.open_blob_at(key, offset)
