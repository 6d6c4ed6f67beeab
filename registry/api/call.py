"""One request of the API, parsed: what an endpoint gets to see."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from urllib.parse import parse_qsl

from starlette.datastructures import Headers
from starlette.types import Receive, Scope

from auth.access import ANONYMOUS, Access, Principal
from estiva.errors import NameInvalid, RequestInvalid, SizeInvalid
from estiva.reference import RepositoryName
from registry.api.body import ClientDisconnected, pour_body

MAX_QUERY_VALUES = 1000
API_VERSION = (b"docker-distribution-api-version", b"registry/2.0")
"""The header that every response of the API carries."""


@dataclass
class Call:
    """A request whose path has been matched; `path` holds the parts of it that vary."""

    scope: Scope
    receive: Receive
    access: Access
    path: Mapping[str, str]
    principal: Principal = ANONYMOUS
    name: RepositoryName | None = None

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

    @property
    def content_length(self) -> int | None:
        """What the request says of its body's length; None where it does not."""
        text = self.headers.get("content-length")
        if text is None:
            return None
        if not (text.isascii() and text.isdigit() and len(text) < 19):
            raise SizeInvalid("malformed Content-Length")
        return int(text)

    async def pour(self, write: Callable[[memoryview], None]) -> int:
        """Hand the body to `write`, large pieces in a worker thread, and return its length."""
        return await pour_body(self.scope, self.receive, write, None)

    async def read(self, limit: int) -> bytes | None:
        """The body, None where it is longer than `limit`: then no more than one piece beyond that was read."""
        if (self.content_length or 0) > limit:
            return None
        body = bytearray()
        while True:
            message = await self.receive()
            if message["type"] == "http.disconnect":
                raise ClientDisconnected("the client left before the body's end")
            body += message.get("body", b"")
            if len(body) > limit:
                return None
            if not message.get("more_body", False):
                return bytes(body)
