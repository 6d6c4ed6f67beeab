"""Header sections: collected up to their end within limits, then read by llhttp."""

from dataclasses import dataclass

import httptools

from .framing import ChunkedFraming, Framing, LengthFraming
from .refusals import Refusal
from .settings import ConnectionSettings

_END = b"\r\n\r\n"
_LONGEST_REST_OF_LINE = 64  # a request line is the target, a method and a version


class HeadReader:
    """Collects bytes up to the end of a header section."""

    def __init__(self, settings: ConnectionSettings) -> None:
        self._most = settings.header_bytes
        self._longest_line = settings.target_bytes + _LONGEST_REST_OF_LINE
        self._collected = b""

    @property
    def begun(self) -> bool:
        """Whether part of a header section is there."""
        return bool(self._collected)

    def take(self, data: bytes) -> tuple[bytes, bytes] | None:
        """The header section and what follows it, once it is complete. Raises Refusal when it is too large."""
        searched = max(0, len(self._collected) - len(_END) + 1)
        data = self._collected + data if self._collected else data.lstrip(b"\r\n")  # RFC 9112, 2.2
        end = data.find(_END, searched)
        head_length = len(data) if end < 0 else end + len(_END)
        self._check(data, head_length)
        if end < 0:
            self._collected = data
            return None
        self._collected = b""
        return data[:head_length], data[head_length:]

    def _check(self, data: bytes, head_length: int) -> None:
        if head_length <= self._longest_line:
            return
        line = data.find(b"\r\n", 0, self._longest_line + 2)
        if line < 0:
            raise Refusal(414, "the request target is too long")
        if head_length > self._most:
            raise Refusal(431, "the header section is too large")


@dataclass(slots=True)
class RequestHead:
    """A request's line and fields, and how its body is framed."""

    method: str
    target: bytes
    path: bytes
    query: bytes
    version: str
    headers: list[tuple[bytes, bytes]]
    keep_alive: bool
    expects_continue: bool
    framing: Framing


class _Callbacks:
    """What llhttp found."""

    def __init__(self) -> None:
        self.target = b""
        self.headers: list[tuple[bytes, bytes]] = []
        self.complete = False
        self.messages = 0
        self.keep_alive = False
        self.parser: httptools.HttpRequestParser | None = None

    def on_message_begin(self) -> None:
        self.messages += 1

    def on_url(self, url: bytes) -> None:
        self.target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value.rstrip(b" \t")))

    def on_headers_complete(self) -> None:
        assert self.parser is not None
        self.complete = True
        self.keep_alive = self.parser.should_keep_alive()


def parse_head(data: bytes) -> RequestHead:
    """Read one whole header section. Raises Refusal when it is malformed or ambiguous."""
    found = _Callbacks()
    parser = found.parser = httptools.HttpRequestParser(found)
    try:
        parser.feed_data(data)
    except httptools.HttpParserUpgrade:
        pass  # an offer to upgrade may be ignored (RFC 9110, 7.8)
    except httptools.HttpParserError as error:
        raise Refusal(400, "malformed HTTP request") from error
    finally:
        found.parser = None
    if not found.complete or found.messages != 1:
        raise Refusal(400, "malformed HTTP request")
    version = parser.get_http_version()
    if version not in ("1.0", "1.1"):
        raise Refusal(505, "only HTTP/1.1 is spoken here")
    path, query = _split_target(found.target)
    fields = _single_fields(found.headers, version)
    return RequestHead(
        method=parser.get_method().decode("ascii"),
        target=found.target,
        path=path,
        query=query,
        version=version,
        headers=found.headers,
        keep_alive=version == "1.1" and found.keep_alive,
        expects_continue=version == "1.1" and fields.get(b"expect", b"").lower() == b"100-continue",
        framing=_framing(fields, version),
    )


def _split_target(target: bytes) -> tuple[bytes, bytes]:
    try:
        url = httptools.parse_url(target)
    except httptools.HttpParserInvalidURLError as error:
        raise Refusal(400, "malformed request target") from error
    if url.path is None or not url.path.isascii():
        raise Refusal(400, "malformed request target")
    return url.path, url.query or b""


def _single_fields(headers: list[tuple[bytes, bytes]], version: str) -> dict[bytes, bytes]:
    """The fields that say how to read the request: each once at most, and Host once (RFC 9112, 3.2)."""
    found: dict[bytes, bytes] = {}
    for name, value in headers:
        if name in (b"host", b"content-length", b"transfer-encoding", b"expect"):
            if name in found:
                raise Refusal(400, f"more than one {name.decode()} field")
            found[name] = value
    if version == "1.1" and b"host" not in found:
        raise Refusal(400, "no Host field")
    return found


def _framing(fields: dict[bytes, bytes], version: str) -> Framing:
    coding = fields.get(b"transfer-encoding")
    length = fields.get(b"content-length")
    if coding is None:
        return LengthFraming(int(length) if length is not None else 0)
    if length is not None or version == "1.0":
        raise Refusal(400, "ambiguous message length")
    if coding.lower() != b"chunked":
        raise Refusal(501, "only the chunked transfer coding is known here")
    return ChunkedFraming()
