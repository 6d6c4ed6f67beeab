"""Blobs: asked for, sent, fetched, taken over (distribution-spec, "Pulling blobs", "Pushing Blobs")."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from urllib.parse import urlencode, urljoin

from estiva.descriptor import Descriptor
from estiva.digest import Digest
from estiva.errors import BlobUnknown, BlobUploadInvalid, BlobUploadUnknown, DigestInvalid
from estiva.failures import ConnectionFailed
from estiva.incoming import IncomingBlob
from estiva.progress import Progress
from estiva.protocol.answers import expect, refusal
from estiva.protocol.manifests import pulling, pushing
from estiva.protocol.registry import TRIES, Registry, Scopes, is_momentary, pause
from estiva.protocol.steps import Call, FileSlice, Request, Response, Steps
from estiva.reference import RepositoryName

AT_ONCE = 4 << 20
"""Blobs up to this size are sent in one request; larger ones so that a broken upload can go on."""
_OCTETS = {"Content-Type": "application/octet-stream"}
_RANGE = re.compile(r"(?:bytes=)?0-(\d+)")


@dataclass(frozen=True, slots=True)
class OutgoingBlob:
    """A blob on this side: what it is and where its bytes are."""

    descriptor: Descriptor
    source: bytes | FileSlice

    def after(self, offset: int) -> bytes | FileSlice:
        """The bytes from there on."""
        return self.source.after(offset) if isinstance(self.source, FileSlice) else self.source[offset:]


class UploadJournal(Protocol):
    """Remembers where uploads were begun, so that another process can go on with them."""

    def find(self, registry: str, name: RepositoryName, digest: Digest) -> str:
        """The URL of an upload that was begun, empty where there is none."""

    def keep(self, registry: str, name: RepositoryName, digest: Digest, location: str) -> None:
        """An upload was begun, or goes on at another URL."""

    def forget(self, registry: str, name: RepositoryName, digest: Digest) -> None:
        """The upload is over."""


class NoJournal:
    """Remembers nothing."""

    def find(self, registry: str, name: RepositoryName, digest: Digest) -> str:
        return ""

    def keep(self, registry: str, name: RepositoryName, digest: Digest, location: str) -> None:
        pass

    def forget(self, registry: str, name: RepositoryName, digest: Digest) -> None:
        pass


def has_blob(registry: Registry, name: RepositoryName, digest: Digest, scopes: Scopes | None = None) -> Steps[bool]:
    """Whether the repository has the blob."""
    response = yield from registry.ask("HEAD", f"/v2/{name}/blobs/{digest}", scopes or pushing(name))
    return response.status != 404 and bool(expect(response, 200, otherwise=BlobUnknown))


def get_blob(registry: Registry, name: RepositoryName, blob: Descriptor) -> Steps[bytes]:
    """A small blob; BlobUnknown, and DigestInvalid where it is not what it should be."""
    response = yield from registry.ask("GET", f"/v2/{name}/blobs/{blob.digest}", pulling(name))
    content = expect(response, 200, otherwise=BlobUnknown).body
    if Digest.of(content, blob.digest.algorithm) != blob.digest:
        raise DigestInvalid(f"the registry sent something else than {blob.digest}")
    return content


def mount_blob(registry: Registry, name: RepositoryName, digest: Digest, source: RepositoryName) -> Steps[bool]:
    """Take a blob over from another repository of the same registry; False where the registry does not do it."""
    query = urlencode({"mount": str(digest), "from": str(source)})
    path = f"/v2/{name}/blobs/uploads/?{query}"
    response = yield from registry.ask("POST", path, pushing(name) | pulling(source))
    if response.status == 202 and response.header("location"):
        location = urljoin(response.url, response.header("location"))
        yield from registry.ask("DELETE", location, pushing(name))
    return response.status == 201 or (response.status not in (202, 404) and bool(expect(response, 201)))


def pull_blob(
    registry: Registry, name: RepositoryName, blob: Descriptor, partial: Path, target: Path, progress: Progress
) -> Steps[None]:
    """Fetch a blob into a file; what an earlier pull left in `partial` is not fetched again."""
    progress.began(blob)
    incoming = IncomingBlob(blob, partial, target, lambda count: progress.moved(blob, count))
    yield Call(incoming.open)
    try:
        tried, reached = 0, incoming.offset
        while not incoming.is_whole:
            tried = 1 if incoming.offset > reached else tried + 1
            reached = max(reached, incoming.offset)
            yield from _fetch(registry, name, incoming, tried)
        yield Call(incoming.finish)
    finally:
        incoming.close()
    progress.ended(blob, "done")


def _fetch(registry: Registry, name: RepositoryName, incoming: IncomingBlob, tried: int) -> Steps[None]:
    """One try to get the rest; what came stays."""
    blob = incoming.blob
    headers = {"Range": f"bytes={incoming.offset}-"} if incoming.offset else {}
    request = Request("GET", urljoin(registry.url, f"/v2/{name}/blobs/{blob.digest}"), headers, sink=incoming)
    try:
        response = yield from registry.ask_once(request, pulling(name))
    except ConnectionFailed:
        if tried >= TRIES:
            raise
        yield pause(tried)
        return
    if response.status in (200, 206) and incoming.is_whole:
        return
    if tried >= TRIES or not (response.status in (200, 206) or is_momentary(response)):
        if response.status in (200, 206):
            raise ConnectionFailed(
                f"{registry.host} sends only {incoming.offset} of the {blob.size} bytes of {blob.digest}"
            )
        raise refusal(response, BlobUnknown)
    yield pause(tried, response)


class _Upload:
    """One blob on its way into a repository."""

    def __init__(
        self, registry: Registry, name: RepositoryName, blob: OutgoingBlob, journal: UploadJournal, progress: Progress
    ) -> None:
        self._registry = registry
        self._name = name
        self._blob = blob
        self._journal = journal
        self._progress = progress
        self._digest = blob.descriptor.digest
        self._size = blob.descriptor.size
        self._location = ""
        self._offset = 0
        self._told = 0

    def send(self) -> Steps[None]:
        """All of it, with one request where it is small."""
        yield from self._begin()
        if self._size > AT_ONCE:
            yield from self._send_resumably()
        yield from self._finish()

    def _begin(self) -> Steps[None]:
        known = (yield Call(self._find)) if self._size > AT_ONCE else ""
        if known:
            self._location = known
            if (yield from self._look()):
                return
        yield from self._start()

    def _find(self) -> str:
        return self._journal.find(self._registry.url, self._name, self._digest)

    def _keep(self) -> None:
        self._journal.keep(self._registry.url, self._name, self._digest, self._location)

    def _forget(self) -> None:
        if self._size > AT_ONCE:
            self._journal.forget(self._registry.url, self._name, self._digest)

    def _start(self) -> Steps[None]:
        scopes = pushing(self._name)
        response = yield from self._registry.ask("POST", f"/v2/{self._name}/blobs/uploads/", scopes)
        self._offset = 0
        self._move_to(expect(response, 202))
        if self._size > AT_ONCE:
            yield Call(self._keep)

    def _move_to(self, response: Response) -> None:
        location = response.header("location")
        if not location and not self._location:
            raise BlobUploadInvalid(f"{self._registry.host} does not say where the upload goes")
        self._location = urljoin(response.url, location) if location else self._location
        self._tell(self._offset)

    def _send_resumably(self) -> Steps[None]:
        tried = 0
        while self._offset < self._size:
            before, tried = self._offset, tried + 1
            failed = yield from self._send_rest()
            if failed is None:
                break
            if tried >= TRIES:
                raise failed
            if not (yield from self._look()):
                yield from self._start()
            if self._offset > before:
                tried = 0

    def _send_rest(self) -> Steps[Exception | None]:
        """One PATCH with all that is missing; why it did not work, if a further try may."""
        headers = dict(_OCTETS)
        if self._offset:
            headers["Content-Range"] = f"{self._offset}-{self._size - 1}"
        request = Request("PATCH", self._location, headers, self._blob.after(self._offset), sent=self._sent)
        try:
            response = yield from self._registry.ask_once(request, pushing(self._name))
        except ConnectionFailed as failure:
            yield pause(1)
            return failure
        if response.status == 202:
            self._offset = self._size
            self._move_to(response)
            yield Call(self._keep)
            return None
        if response.status in (404, 416) or is_momentary(response):
            yield pause(1, response if is_momentary(response) else None)
            return refusal(response, BlobUploadUnknown)
        raise refusal(response)

    def _look(self) -> Steps[bool]:
        """Ask how much of the upload is there; whether it can go on."""
        response = yield from self._registry.ask("GET", self._location, pushing(self._name))
        if response.status != 204:
            return False
        match = _RANGE.fullmatch(response.header("range"))
        last = int(match[1]) if match else 0
        self._offset = last + 1 if last else 0  # 0-0 is what registries say of an upload that is empty
        self._move_to(response)
        return self._offset <= self._size

    def _finish(self) -> Steps[None]:
        for tried in range(1, TRIES + 1):
            response = yield from self._close()
            if response is not None and response.status == 201:
                break
            if tried == TRIES or (response is not None and response.status != 404 and not is_momentary(response)):
                yield Call(self._forget)
                raise ConnectionFailed(f"{self._registry.host} hangs up") if response is None else refusal(response)
            yield pause(tried, response)
            if (yield from has_blob(self._registry, self._name, self._digest)):
                break  # it was the answer that got lost
            yield from self._again()
        yield Call(self._forget)

    def _again(self) -> Steps[None]:
        if self._size <= AT_ONCE or not (yield from self._look()):
            yield from self._start()
        if self._size > AT_ONCE:
            yield from self._send_resumably()

    def _close(self) -> Steps[Response | None]:
        """The PUT that ends the upload; None where the connection broke."""
        mark = "&" if "?" in self._location else "?"
        url = f"{self._location}{mark}{urlencode({'digest': str(self._digest)})}"
        rest = b"" if self._size > AT_ONCE else self._blob.source
        request = Request("PUT", url, _OCTETS, rest, sent=self._sent if rest else None)
        try:
            return (yield from self._registry.ask_once(request, pushing(self._name)))
        except ConnectionFailed:
            return None

    def _sent(self, count: int) -> None:
        self._told += count
        self._progress.moved(self._blob.descriptor, count)

    def _tell(self, offset: int) -> None:
        """The progress as the registry sees it: what was sent need not have arrived."""
        if offset != self._told:
            self._sent(offset - self._told)


def push_blob(
    registry: Registry,
    name: RepositoryName,
    blob: OutgoingBlob,
    *,
    sources: tuple[RepositoryName, ...] = (),
    journal: UploadJournal | None = None,
    progress: Progress | None = None,
) -> Steps[None]:
    """Bring a blob into a repository: it may be there, or in one of `sources`; else its bytes are sent."""
    progress, descriptor = progress or Progress(), blob.descriptor
    progress.began(descriptor)
    if (yield from has_blob(registry, name, descriptor.digest)):
        progress.ended(descriptor, "exists")
        return
    for source in sources:
        if (yield from mount_blob(registry, name, descriptor.digest, source)):
            progress.ended(descriptor, "mounted")
            return
    yield from _Upload(registry, name, blob, journal or NoJournal(), progress).send()
    progress.ended(descriptor, "done")
