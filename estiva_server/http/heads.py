"""Header sections: collected up to their end within limits, then read by llhttp."""

import httptools

from .framing import ChunkedFraming, Framing, LengthFraming
from .refusals import Refusal
from .settings import ConnectionSettings

_END = b"\r\n\r\n"
_TLS_HANDSHAKE = b"\x16"  # a record's content type (RFC 8446, 5.1); no method begins so
_SINGLE = frozenset({b"host", b"content-length", b"transfer-encoding", b"expect"})
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
        if not self._collected and 0 < data.find(_END) == len(data) - len(_END) <= self._longest_line:
            return data, b""  # what most clients send
        if not self._collected and data.startswith(_TLS_HANDSHAKE):
            # docker, podman and skopeo greet so, and speak HTTP as soon as they are answered in it.
            raise Refusal(400, "TLS is not spoken here")
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


class RequestHead:
    """A request's line and fields, and how its body is framed. llhttp's callbacks fill it in."""

    __slots__ = (
        "complete",
        "expects_continue",
        "framing",
        "headers",
        "keep_alive",
        "messages",
        "method",
        "parser",
        "path",
        "query",
        "target",
        "version",
    )

    framing: Framing

    def __init__(self) -> None:
        self.method = ""
        self.target = self.path = self.query = b""
        self.version = ""
        self.headers: list[tuple[bytes, bytes]] = []
        self.keep_alive = self.expects_continue = self.complete = False
        self.messages = 0
        self.parser: httptools.HttpRequestParser | None = None

    def on_message_begin(self) -> None:
        """llhttp's callback."""
        self.messages += 1

    def on_url(self, url: bytes) -> None:
        """llhttp's callback."""
        self.target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """llhttp's callback."""
        self.headers.append((name.lower(), value.rstrip(b" \t")))

    def on_headers_complete(self) -> None:
        """llhttp's callback."""
        parser = self.parser
        assert parser is not None
        self.method = parser.get_method().decode("ascii")
        self.version = parser.get_http_version()
        self.keep_alive = self.version == "1.1" and parser.should_keep_alive()
        self.complete = True


def parse_head(data: bytes) -> RequestHead:
    """Read one whole header section. Raises Refusal when it is malformed or ambiguous."""
    head = RequestHead()
    head.parser = httptools.HttpRequestParser(head)
    try:
        head.parser.feed_data(data)
    except httptools.HttpParserUpgrade:
        pass  # an offer to upgrade may be ignored (RFC 9110, 7.8)
    except httptools.HttpParserError as error:
        raise Refusal(400, "malformed HTTP request") from error
    finally:
        head.parser = None  # which refers back to the head
    if not head.complete or head.messages != 1:
        raise Refusal(400, "malformed HTTP request")
    if head.version not in ("1.0", "1.1"):
        raise Refusal(505, "only HTTP/1.1 is spoken here")
    head.path, head.query = _split_target(head.target)
    fields = _single_fields(head.headers, head.version)
    if b"expect" in fields:
        head.expects_continue = head.version == "1.1" and fields[b"expect"].lower() == b"100-continue"
    head.framing = _framing(fields, head.version)
    return head


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
        if name in _SINGLE:
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
