"""One request of the API, parsed: what an endpoint gets to see."""

import asyncio
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import cached_property
from urllib.parse import parse_qsl

from starlette.datastructures import Headers
from starlette.types import Receive, Scope

from auth.access import Action, Caller, TokenTooSmall, Verdict, is_granted
from estiva.errors import BodyTimeout, NameInvalid, RequestInvalid, SizeInvalid, Unauthorized
from estiva.reference import RepositoryName
from registry.api.access import Admission, asked_scope
from registry.api.body import ClientDisconnected, End, Write, nothing, pour_body
from registry.api.rights import MOUNT_FROM, Right
from registry.api.room import Place

MAX_QUERY_VALUES = 1000
READ_SECONDS = 60.0
SMALL = 128 * 1024
"""A body shorter than this is worth holding: what is done with it is then done in one go."""
API_VERSION = (b"docker-distribution-api-version", b"registry/2.0")
"""The header that every response of the API carries."""


@dataclass
class Call:
    """A request whose path has been matched; `path` holds the parts of it that vary."""

    scope: Scope
    receive: Receive
    admission: Admission
    place: Place
    path: Mapping[str, str]
    caller: Caller
    version: int | None = None
    """The database's version from before anything was looked up for this request."""
    name: RepositoryName | None = None
    account: str = ""
    """Whose registry the request is for (see `RepositoryName.account`)."""
    further_scopes: list[str] = field(default_factory=list)
    further_headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    """Headers that the response gets whatever it is."""
    lasting: bool = True
    """Whether the same request of the same caller would be allowed again while no identity or policy changes."""

    @property
    def method(self) -> str:
        """GET, HEAD, ..."""
        method: str = self.scope["method"]
        return method

    @property
    def repository(self) -> RepositoryName:
        """The repository that the path names."""
        if self.name is None:
            raise NameInvalid
        return self.name

    async def require(self, right: Right, **context: str) -> Verdict:
        """Return where the caller may do that in the path's repository; Unauthorized or Denied otherwise."""
        verdict = await self.admission.require(self.caller, right, self.repository, **context)
        self.lasting = self.lasting and verdict.lasting
        return verdict

    @property
    def owner(self) -> str:
        """Whose uploads these are: those of the caller's name and kind, and of nobody else."""
        return self.caller.principal.owner

    def receiving(self) -> AbstractContextManager[None]:
        """Receive the request's body, an upload's, while this is entered. TooManyRequests."""
        return nullcontext() if self.content_length == 0 else self.admission.uploading(self.scope, self.caller)

    async def may_read(self, name: RepositoryName) -> bool:
        """Whether policy lets the caller read another repository's blobs."""
        return await self.admission.may_by_policy(self.caller, MOUNT_FROM, name)

    def is_granted(self, name: RepositoryName) -> bool:
        """Whether the request's token, if it came with one, was issued for reading that repository."""
        return is_granted(self.caller, "repository", name.text, Action.PULL.value)

    def scopes(self, right: Right | None, error: Unauthorized) -> list[str]:
        """The scopes of a token that would do for this request, which ended in that error."""
        if self.name is None or right is None:
            return []
        needed = error.needed if isinstance(error, TokenTooSmall) else None
        return [asked_scope(self.name, needed or right.scope), *self.further_scopes]

    @cached_property
    def headers(self) -> Headers:
        """The request's headers, by name in any case."""
        return Headers(scope=self.scope)

    @cached_property
    def query(self) -> Mapping[str, list[str]]:
        """The query's values by name; RequestInvalid for what is no query."""
        try:
            pairs = parse_qsl(
                self.scope["query_string"].decode("ascii"),
                keep_blank_values=True,
                errors="strict",
                max_num_fields=MAX_QUERY_VALUES,
            )
        except ValueError:
            raise RequestInvalid("malformed query") from None
        values: dict[str, list[str]] = {}
        for key, value in pairs:
            values.setdefault(key, []).append(value)
        return values

    def value(self, key: str) -> str | None:
        """The query's only value of that name; RequestInvalid where it has several."""
        values = self.query.get(key, [])
        if len(values) > 1:
            raise RequestInvalid(f"more than one value for {key}")
        return values[0] if values else None

    @cached_property
    def content_length(self) -> int | None:
        """What the request says of its body's length; None where it does not."""
        text = self.headers.get("content-length")
        if text is None:
            return None
        if not (text.isascii() and text.isdigit() and len(text) < 19):
            raise SizeInvalid("malformed Content-Length")
        return int(text)

    async def pour(self, write: Write, end: End = nothing) -> int:
        """Hand the body to `write`, large pieces in a worker thread, then call `end` there; return its length."""
        return await pour_body(self.scope, self.receive, write, None, end)

    async def read(self, limit: int) -> bytes | None:
        """The body, None where it is longer than `limit`: then no more than one piece beyond that was read.

        Unavailable where other requests hold all the memory there is for bodies, BodyTimeout after READ_SECONDS: a
        body that is held must not be one that never ends.
        """
        if (self.content_length or 0) > limit:
            return None
        try:
            async with asyncio.timeout(READ_SECONDS):
                return await self._read(limit)
        except TimeoutError:
            raise BodyTimeout from None

    async def small_body(self) -> bytes | None:
        """The whole body where it is announced to be small, None where it is not: it is then still to be poured.

        Unavailable where other requests hold all the memory there is for bodies.
        """
        if self.content_length is None or self.content_length >= SMALL:
            return None
        return await self._read(SMALL)

    async def _read(self, limit: int) -> bytes | None:
        body = bytearray()
        while True:
            message = await self.receive()
            if message["type"] == "http.disconnect":
                raise ClientDisconnected("the client left before the body's end")
            piece: bytes = message.get("body", b"")
            if len(body) + len(piece) > limit:
                return None
            self.place.hold(len(body) + len(piece))
            more = message.get("more_body", False)
            if not body and not more:
                return piece
            body += piece
            if not more:
                return bytes(body)
