"""Another registry, as one that is pulled from: manifests, blobs, whether it is there at all."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import urljoin, urlsplit

from estiva.digest import Algorithm, Digest
from estiva.errors import DigestInvalid
from estiva.mediatypes import DOCKER_MANIFEST, DOCKER_MANIFEST_LIST, OCI_INDEX, OCI_MANIFEST, essence
from estiva.reference import Reference, RepositoryName
from registry.upstream.errors import (
    UpstreamAbsent,
    UpstreamError,
    UpstreamInvalid,
    UpstreamRefused,
    UpstreamUnavailable,
)
from registry.upstream.network import Answer, Body, Network, origin
from registry.upstream.pacing import PASSING, pause, retry_after
from registry.upstream.tokens import Credential, SignIn

LARGEST_MANIFEST = 4 * 1024 * 1024
MOST_REDIRECTS = 5
MOST_PAGES = 10
_NEXT = re.compile(r"<([^<>\s]+)>\s*;\s*rel=\"?next\"?")
ACCEPT = ", ".join((OCI_INDEX, OCI_MANIFEST, DOCKER_MANIFEST_LIST, DOCKER_MANIFEST))
REDIRECTS = frozenset({301, 302, 303, 307, 308})


@dataclass(frozen=True, slots=True)
class Ask:
    """A request to the registry: the path after its base, and the scope of a token that would do for it."""

    method: str
    path: str
    scope: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Body = None

    @property
    def repeatable(self) -> bool:
        """Whether it can be sent a second time."""
        return self.body is None or isinstance(self.body, bytes)


@dataclass(frozen=True, slots=True)
class RemoteManifest:
    """A manifest as the other registry has it; its bytes have the digest."""

    digest: Digest
    media_type: str
    payload: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class RemoteBlob:
    """A blob on its way: how much is coming, where the registry says it, and the bytes, which nobody has checked."""

    size: int | None
    pieces: AsyncIterator[bytes] = field(repr=False)


class RemoteRegistry:
    """Speaks to the registry at `base` (scheme, host, port). Every method raises `UpstreamError`s and no others.

    What another try may change is tried again, at most `ATTEMPTS` times with pauses in between.
    """

    def __init__(self, network: Network, base: str, credential: Credential | None = None) -> None:
        self.base = base.rstrip("/")
        self._network = network
        self._sign_in = SignIn(network, self.base, credential)

    async def ping(self) -> None:
        """Return where the registry is one and lets us in."""
        async with self.ask(Ask("GET", "/v2/")) as answer:
            require(answer, 200)

    async def digest_of(self, name: RepositoryName, reference: Reference) -> Digest | None:
        """What the reference stands for now; None where the registry does not say without sending it."""
        ask = Ask("HEAD", f"/v2/{name}/manifests/{reference}", pull_scope(name), {"Accept": ACCEPT})
        async with self.ask(ask) as answer:
            if answer.status == 405:
                return None
            require(answer, 200)
            return _named_digest(answer)

    async def manifest(self, name: RepositoryName, reference: Reference) -> RemoteManifest:
        """The manifest, checked: by the digest that was asked for, or that the registry says it has."""
        ask = Ask("GET", f"/v2/{name}/manifests/{reference}", pull_scope(name), {"Accept": ACCEPT})
        async with self.ask(ask) as answer:
            require(answer, 200)
            payload = await answer.read(LARGEST_MANIFEST)
            named = reference if isinstance(reference, Digest) else _named_digest(answer)
            computed = Digest.of(payload, named.algorithm if named else Algorithm.SHA256)
            if named is not None and computed != named:
                raise UpstreamInvalid(f"{origin(self.base)} sent a manifest of another digest than {named}")
            return RemoteManifest(computed, essence(answer.headers.get("content-type", "")), payload)

    async def referrers(self, name: RepositoryName, subject: Digest) -> list[Digest] | None:
        """What refers to the manifest there, page after page; None where the registry has no referrers API."""
        found: list[Digest] = []
        path = f"/v2/{name}/referrers/{subject}"
        for _ in range(MOST_PAGES):
            async with self.ask(Ask("GET", path, pull_scope(name))) as answer:
                if answer.status in (404, 405) and not found:
                    return None
                require(answer, 200)
                found += _digests(await answer.read(LARGEST_MANIFEST), self.base)
                following = _NEXT.search(answer.headers.get("link", ""))
            if following is None:
                break
            path = urljoin(urljoin(f"{self.base}/", path), following[1])
            if not same_origin(path, self.base):
                break
        return found

    async def blob_size(self, name: RepositoryName, digest: Digest) -> int | None:
        """The blob's length; None where the registry does not say."""
        async with self.ask(Ask("HEAD", f"/v2/{name}/blobs/{digest}", pull_scope(name))) as answer:
            require(answer, 200)
            return _length(answer)

    @asynccontextmanager
    async def blob(self, name: RepositoryName, digest: Digest, offset: int = 0) -> AsyncIterator[RemoteBlob]:
        """The blob from that byte on. Iterating raises UpstreamUnavailable where the body breaks off."""
        headers = {"Range": f"bytes={offset}-"} if offset else {}
        async with self.ask(Ask("GET", f"/v2/{name}/blobs/{digest}", pull_scope(name), headers)) as answer:
            require(answer, 206 if offset else 200)
            if offset and not answer.headers.get("content-range", "").startswith(f"bytes {offset}-"):
                raise UpstreamInvalid(f"{origin(answer.url)} sent another range than was asked for")
            yield RemoteBlob(_length(answer), answer.pieces)

    @asynccontextmanager
    async def ask(self, ask: Ask) -> AsyncIterator[Answer]:
        """The answer to a request, after signing in, redirects, and further tries where they may help."""
        async with AsyncExitStack() as opened:
            yield await self._insist(ask, opened)

    async def _insist(self, ask: Ask, opened: AsyncExitStack) -> Answer:
        for attempt in range(1, 100):  # `pause` ends it
            wanted: float | None = None
            try:
                answer = await self._signed_in(ask, opened)
                if answer.status not in PASSING:
                    return answer
                wanted = retry_after(answer.headers)
                failure: UpstreamError = UpstreamUnavailable(
                    f"{origin(self.base)} answers {answer.status}", status=answer.status, retry_after=wanted
                )
            except UpstreamUnavailable as error:
                failure, wanted = error, error.retry_after
            await opened.aclose()
            seconds = pause(attempt, wanted) if ask.repeatable else None
            if seconds is None:
                raise failure
            await asyncio.sleep(seconds)
        raise AssertionError("tried for ever")

    async def _signed_in(self, ask: Ask, opened: AsyncExitStack) -> Answer:
        header = self._sign_in.known(ask.scope)
        for _ in range(2):
            answer = await self._redirected(ask, header, opened)
            challenge = answer.headers.get("www-authenticate")
            if answer.status != 401 or not challenge or not ask.repeatable:
                return answer
            await opened.aclose()
            header = await self._sign_in.answer(challenge, ask.scope, header)
        return await self._redirected(ask, header, opened)

    async def _redirected(self, ask: Ask, header: str | None, opened: AsyncExitStack) -> Answer:
        url = urljoin(self.base + "/", ask.path)
        for _ in range(MOST_REDIRECTS + 1):
            headers = dict(ask.headers)
            if header is not None and same_origin(url, self.base):  # a credential goes nowhere else
                headers["Authorization"] = header
            answer = await opened.enter_async_context(self._network.send(ask.method, url, headers, ask.body))
            location = answer.headers.get("location")
            if answer.status not in REDIRECTS or not location or ask.method not in ("GET", "HEAD"):
                return answer
            await opened.aclose()
            url = urljoin(url, location)
        raise UpstreamInvalid(f"{origin(self.base)} redirects more than {MOST_REDIRECTS} times")


def pull_scope(name: RepositoryName) -> str:
    """The scope of a token for pulling."""
    return f"repository:{name}:pull"


def same_origin(url: str, other: str) -> bool:
    """Whether both are of one scheme, host and port."""
    one, two = urlsplit(url), urlsplit(other)
    return (one.scheme, one.netloc.lower()) == (two.scheme, two.netloc.lower())


def require(answer: Answer, *statuses: int) -> None:
    """Return where the status is one of these; otherwise the error that it means."""
    if answer.status in statuses:
        return
    text = f"{origin(answer.url)} answers {answer.status}"
    if answer.status in (404, 410):
        raise UpstreamAbsent(text, status=answer.status)
    if answer.status in (401, 403):
        raise UpstreamRefused(text, status=answer.status)
    raise UpstreamInvalid(text, status=answer.status)


def _digests(payload: bytes, base: str) -> list[Digest]:
    """The digests that an index lists. UpstreamInvalid."""
    try:
        return [Digest.parse(entry["digest"]) for entry in json.loads(payload).get("manifests") or ()]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, DigestInvalid):
        raise UpstreamInvalid(f"{origin(base)} sent a list of referrers that is none") from None


def _named_digest(answer: Answer) -> Digest | None:
    text = answer.headers.get("docker-content-digest")
    try:
        return Digest.parse(text) if text else None
    except DigestInvalid:
        raise UpstreamInvalid(f"{origin(answer.url)} names a malformed digest") from None


def _length(answer: Answer) -> int | None:
    text = answer.headers.get("content-length", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None
