"""HTTP/1.1 on a socket (RFC 9112): as much of it as a registry's client needs.

Of the standard library's client most of the start is `email`, to read a few header fields, and `ssl`, also without TLS:
a third of the processor time and of the memory that a push takes before its first byte (docs/performance.md).
"""

import re
import socket
from collections.abc import Mapping
from typing import Self

_LONGEST_LINE = 1 << 16
_MOST_FIELDS = 100
_TARGET = re.compile(r"[!-~]+")
_VALUE = re.compile(r"[\t -~\x80-\xff]*")
_STATUS = re.compile(rb"HTTP/1\.([0-9]) ([1-9][0-9][0-9])(?: .*)?")
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;.*)?")


class BadAnswer(OSError):
    """What came is no answer, or not all of one."""


class UnsendableHead(ValueError):
    """A request has an address or a header that no head can hold."""


class Connection:
    """A socket to a registry, for one exchange after the other."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock

    def send_head(self, method: str, target: str, fields: Mapping[str, str], body: bytes = b"") -> None:
        """The request up to its body, or with a small one. UnsendableHead, OSError."""
        if not _TARGET.fullmatch(target):
            raise UnsendableHead(f"{target[:200]!r} is no address that can be asked for")
        if unfit := [name for name, value in fields.items() if not _VALUE.fullmatch(value)]:
            raise UnsendableHead(f"what should be sent as {unfit[0]} can't stand in a header")
        lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
        self.sock.sendall("\r\n".join([*lines, "", ""]).encode("latin-1") + body)

    def receive(self, method: str) -> "Answer":
        """The head of the answer to a request of that method. BadAnswer, OSError."""
        return Answer(self.sock, method)

    def close(self) -> None:
        """Hang up. Idempotent."""
        self.sock.close()


class Answer:
    """One answer: its head, and its body to be read."""

    def __init__(self, sock: socket.socket, method: str) -> None:
        self.reader = sock.makefile("rb")
        """Holds what came along with the head."""
        try:
            version, self.status = self._begin()
            self.fields = self._section()
            """By lower-case names; of a field that came twice, all values with commas between them."""
            while self.status < 200:  # an interim answer: the one that counts follows
                version, self.status = self._begin()
                self.fields = self._section()
            codings = self.fields.get("transfer-encoding", "").lower()
            self._chunked = codings.rpartition(",")[2].strip() == "chunked"
            self._chunk = -1
            self.left = self._announced(method, codings)
            """How many bytes are missing, None where only the end of chunks, or of the connection, will tell."""
            hangs_up = "close" in self.fields.get("connection", "").lower() or version == b"0"
            self._stays_open = not hangs_up and (self._chunked or self.left is not None)
        except BaseException:
            self.reader.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.reader.close()

    @property
    def leaves_open(self) -> bool:
        """Whether all of it was read, and another request may follow on the connection."""
        return self._stays_open and self.left == 0

    def readinto(self, buffer: memoryview) -> int:
        """The next bytes of the body, 0 only at its end. BadAnswer where it ends early, TimeoutError, OSError."""
        left = self._chunk_left() if self._chunked and self.left is None else self.left
        if left == 0:
            return 0
        count = self.reader.readinto(buffer if left is None else buffer[:left])
        if count is None:
            raise TimeoutError("timed out")
        if left is None and count == 0:
            self.left = 0
        elif count == 0:
            raise BadAnswer(f"the answer ends early: at least {left} bytes are missing")
        elif self.left is not None:
            self.left -= count
        else:
            self._chunk -= count
        return count

    def read(self, most: int) -> bytes:
        """The rest of the body; ValueError where it is longer than that."""
        content, buffer = bytearray(), memoryview(bytearray(min(most + 1, self.left or 1 << 16)))
        while count := self.readinto(buffer):
            content += buffer[:count]
            if len(content) > most:
                raise ValueError(f"more than {most} bytes")
        return bytes(content)

    def _begin(self) -> tuple[bytes, int]:
        match = _STATUS.fullmatch(self._line("the connection was closed without an answer"))
        if match is None:
            raise BadAnswer("what answers speaks no HTTP/1.1")
        return match[1], int(match[2])

    def _section(self) -> dict[str, str]:
        fields: dict[str, str] = {}
        name = ""
        for _ in range(_MOST_FIELDS):
            line = self._line().decode("latin-1")
            if not line:
                return fields
            if name and line[0] in " \t":  # the value before goes on
                fields[name] += f" {line.strip()}"
                continue
            name, colon, value = line.partition(":")
            if not colon or not name.strip():
                raise BadAnswer("a header field of the answer is malformed")
            name, value = name.strip().lower(), value.strip()
            fields[name] = f"{fields[name]}, {value}" if name in fields else value
        raise BadAnswer("the answer has too many header fields")

    def _line(self, nothing: str = "the answer ends early") -> bytes:
        line = self.reader.readline(_LONGEST_LINE)
        if not line.endswith(b"\n"):
            raise BadAnswer("a line of the answer is too long" if len(line) == _LONGEST_LINE else nothing)
        return line.removesuffix(b"\n").removesuffix(b"\r")

    def _announced(self, method: str, codings: str) -> int | None:
        if method == "HEAD" or self.status in (204, 304):
            return 0
        if codings or "content-length" not in self.fields:
            return None
        lengths = {length.strip() for length in self.fields["content-length"].split(",")}
        length = lengths.pop()
        if lengths or not (length.isascii() and length.isdecimal()):
            raise BadAnswer("the answer has no sound length")
        return int(length)

    def _chunk_left(self) -> int:
        """What is missing of this chunk, else of the next; 0 after the last one."""
        if self._chunk > 0:
            return self._chunk
        if self._chunk == 0 and self._line():
            raise BadAnswer("a chunk of the answer is longer than it should be")
        match = _CHUNK.fullmatch(self._line())
        if match is None:
            raise BadAnswer("a chunk of the answer has no sound length")
        self._chunk = int(match[1], 16)
        if self._chunk == 0:
            self._section()
            self.left = 0
        return self._chunk
