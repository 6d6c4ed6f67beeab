"""A client that says whatever bytes it is given, and reads answers by the letter of RFC 9112."""

import contextlib
import re
import socket
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

_STATUS_LINE = re.compile(rb"HTTP/1\.1 (\d{3}) [\x20-\x7e]*")
_FIELD = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+): ?([\x20-\x7e]*)")
_BODILESS = frozenset({204, 304})
_MOST_INTERIM = 5

Fields = tuple[tuple[bytes, bytes], ...]


@dataclass(frozen=True)
class Answer:
    """One response; `fields` as they came, names in lower case."""

    status: int
    fields: Fields
    body: bytes

    def field(self, name: str) -> str | None:
        """The value of the only field of that name."""
        values = [value for key, value in self.fields if key == name.encode()]
        assert len(values) < 2, f"{name} came twice"
        return values[0].decode() if values else None

    @property
    def closes(self) -> bool:
        """Whether the connection ends with this answer."""
        return self.field("connection") == "close"


class Broken(AssertionError):
    """What came back is no HTTP response."""


class Conversation:
    """One connection to a server on loopback. Patient: a disk that others keep busy may take 20 s for one sync."""

    def __init__(self, port: int, *, timeout: float = 60, send_buffer: int | None = None) -> None:
        self.socket = socket.socket()
        if send_buffer is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)
        self.socket.settimeout(timeout)
        self.socket.connect(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._held = b""

    def __enter__(self) -> "Conversation":
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def say(self, data: bytes) -> bool:
        """Send it all; False where the server hung up meanwhile (its answer may still be there to read)."""
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            return False
        return True

    def say_as_much_as_it_takes(self, pieces: Iterable[bytes]) -> int:
        """Send until the server hangs up: how many bytes went out."""
        sent = 0
        for piece in pieces:
            try:
                self.socket.sendall(piece)
            except (BrokenPipeError, ConnectionResetError):
                break
            sent += len(piece)
        return sent

    def fall_silent(self) -> None:
        """Say that nothing more will be sent."""
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_WR)

    def ask(self, data: bytes, method: str = "GET") -> Answer:
        """Send one request; its answer."""
        self.say(data)
        answer = self.answer(method)
        assert answer is not None, f"no answer to {data[:400]!r}"
        return answer

    def answer(self, method: str = "GET") -> Answer | None:
        """The next response that is final; None where the server hung up instead."""
        for _ in range(_MOST_INTERIM):
            head = self._head()
            if head is None:
                return None
            status, fields = head
            if status >= 200:
                return Answer(status, fields, self._body(method, status, fields))
        raise Broken("nothing but interim responses")

    def answers(self, method: str = "GET") -> Iterator[Answer]:
        """Every response until the server hangs up."""
        while (answer := self.answer(method)) is not None:
            yield answer

    def _head(self) -> tuple[int, Fields] | None:
        while b"\r\n\r\n" not in self._held:
            if not self._receive():
                if self._held:
                    raise Broken(f"half a response: {self._held[:400]!r}")
                return None
        head, self._held = self._held.split(b"\r\n\r\n", 1)
        first, *lines = head.split(b"\r\n")
        status, fields = _STATUS_LINE.fullmatch(first), [_FIELD.fullmatch(line) for line in lines]
        if status is None or None in fields:
            raise Broken(f"malformed response: {head[:2000]!r}")
        return int(status[1]), tuple((match[1].lower(), match[2]) for match in fields if match is not None)

    def _body(self, method: str, status: int, fields: Fields) -> bytes:
        length = dict(fields).get(b"content-length")
        if method == "HEAD" and (b"connection", b"close") in fields:
            return self._rest(length)
        if status in _BODILESS or method == "HEAD":
            return b""
        if length is None:
            raise Broken(f"a response of unknown length: {fields!r}")
        while len(self._held) < int(length):
            if not self._receive():
                raise Broken(f"a body that ends early: {self._held[:400]!r}")
        body, self._held = self._held[: int(length)], self._held[int(length) :]
        return body

    def _rest(self, length: bytes | None) -> bytes:
        """What follows the last answer to a HEAD: nothing, or the refusal of a request whose method was never read."""
        while self._receive():
            pass
        rest, self._held = self._held, b""
        if rest and len(rest) != int(length or b"0"):
            raise Broken(f"bytes after the last response: {rest[:400]!r}")
        return rest

    def _receive(self) -> bool:
        try:
            data = self.socket.recv(1 << 18)
        except ConnectionResetError:
            return False
        self._held += data
        return bool(data)


def raw(method: str, target: str, *fields: tuple[str, str], body: bytes | None = None) -> bytes:
    """A well-formed request; with a body, its length."""
    lines = [f"{method} {target} HTTP/1.1", "Host: registry.example", *(f"{name}: {value}" for name, value in fields)]
    if body is not None:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + (body or b"")


def ask(port: int, method: str, target: str, *fields: tuple[str, str], body: bytes | None = None) -> Answer:
    """The answer to one well-formed request on a connection of its own."""
    with Conversation(port) as conversation:
        return conversation.ask(raw(method, target, *fields, body=body), method)
