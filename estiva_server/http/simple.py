"""Simple requests: whole and in one piece, with no body, whose meaning is method, target and Authorization.

A POST says that it has no body (`Content-Length: 0`, as clients do), a GET or HEAD says nothing of one.
"""

import itertools
import re
import secrets

_FIELD = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*([\x20-\x7e\t]*)")
# Fields that change what a request asks for, or how it is framed; anything "If-..." too.
_NOT_SIMPLE = frozenset(
    {b"range", b"expect", b"upgrade", b"transfer-encoding", b"te", b"trailer", b"x-request-id"}
    | {b"http2-settings", b"proxy-connection", b"keep-alive"}
)
_ONCE = frozenset({b"host", b"authorization", b"connection", b"content-length"})
_NO_BODY = (None, b"0")
_MOST_SECTIONS = 1024
_LARGEST_SECTION = 8 * 1024


class Fields:
    """The header fields of a simple request."""

    __slots__ = ("_first", "all", "authorization", "close", "says_empty")

    def __init__(
        self, fields: list[tuple[bytes, bytes]], authorization: bytes, close: bool, says_empty: bool = False
    ) -> None:
        self.all = fields
        """Every field in its order, with a lower-case name: shared by all requests with these fields, so not to be
        changed."""
        self.authorization = authorization
        self.close = close
        self.says_empty = says_empty
        """Whether there is a `Content-Length: 0`. The same fields may come with any method: whether that goes with
        it, the door says."""
        self._first = dict(reversed(fields))

    def get(self, name: bytes) -> bytes:
        """The value of the first field of this (lower-case) name, or nothing."""
        return self._first.get(name, b"")


class SimpleRequest:
    """A request that was answered without the application."""

    __slots__ = ("client", "fields", "id", "method", "scheme", "target")

    def __init__(self, method: bytes, target: bytes, fields: Fields, request_id: bytes) -> None:
        self.method = method
        self.target = target
        self.fields = fields
        self.id = request_id
        self.client: tuple[str, int] | None = None
        self.scheme = "http"


class FieldSections:
    """Recognises the header sections of simple requests.

    A client sends the same fields with each request, so the outcome is kept by the section's bytes: a repeated
    one costs a lookup.
    """

    def __init__(self) -> None:
        self._known: dict[bytes, Fields | None] = {}

    def recognise(self, section: bytes) -> Fields | None:
        """The fields of `section` (from the CR LF after the request line to the end), or None if it is not simple."""
        try:
            return self._known[section]
        except KeyError:
            return self._learn(section)

    def _learn(self, section: bytes) -> Fields | None:
        if len(section) > _LARGEST_SECTION:
            return None
        if len(self._known) >= _MOST_SECTIONS:
            self._known.clear()
        fields = self._known[section] = parse_simple(section)
        return fields


def parse_simple(section: bytes) -> Fields | None:
    """The fields of a header section, if it is well-formed, complete and simple."""
    if not section.startswith(b"\r\n") or section.find(b"\r\n\r\n") != len(section) - 4:
        return None
    found: dict[bytes, bytes] = {}
    every: list[tuple[bytes, bytes]] = []
    for line in section[2:-4].split(b"\r\n"):
        match = _FIELD.fullmatch(line)
        if match is None:
            return None
        name = match[1].lower()
        if name in _NOT_SIMPLE or name.startswith(b"if-") or (name in _ONCE and name in found):
            return None
        found[name] = match[2].rstrip(b" \t")
        every.append((name, found[name]))
    connection = found.get(b"connection", b"keep-alive").lower()
    length = found.get(b"content-length")
    if b"host" not in found or connection not in (b"keep-alive", b"close") or length not in _NO_BODY:
        return None
    return Fields(every, found.get(b"authorization", b""), connection == b"close", says_empty=length == b"0")


class RequestIds:
    """Cheap identifiers, unique over processes: a random part and a counter."""

    def __init__(self) -> None:
        self._prefix = secrets.token_hex(6).encode() + b"-"
        self._counter = itertools.count(1)

    def next(self) -> bytes:
        """An identifier not given before."""
        return b"%s%x" % (self._prefix, next(self._counter))
