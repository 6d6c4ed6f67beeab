"""Where a request body ends: by Content-Length or by chunked transfer coding. No I/O, and no copying of the body.

`decode(raw)` says which spans of `raw` are body and how much of `raw` belongs to the message; what follows is
the next request.
"""

import re
from typing import Protocol

_SIZE_LINE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[\t\x20-\x7e\x80-\xff]*)?\r\n")
_TRAILER_LINE = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[\t\x20-\x7e\x80-\xff]*\r\n")
_LONGEST_SIZE_LINE = 256
_LONGEST_TRAILER_LINE = 4096
_LONGEST_TRAILERS = 8192

Spans = list[tuple[int, int]]


class FramingError(Exception):
    """The bytes are not the transfer coding that the header announced."""


class Framing(Protocol):
    """The rest of one request body."""

    complete: bool
    length: int | None
    """The whole body's length, where it is known beforehand."""

    def decode(self, raw: memoryview) -> tuple[Spans, int]:
        """The spans of `raw` that are body, and how many bytes of `raw` the message takes."""

    def most_to_read(self) -> int | None:
        """How much may be read without reading beyond the message; None when that is not known."""


class LengthFraming:
    """A body of `length` bytes."""

    def __init__(self, length: int) -> None:
        self.length: int | None = length
        self._missing = length
        self.complete = length == 0

    def decode(self, raw: memoryview) -> tuple[Spans, int]:
        """See `Framing`."""
        taken = min(len(raw), self._missing)
        self._missing -= taken
        self.complete = self._missing == 0
        return [(0, taken)], taken

    def most_to_read(self) -> int | None:
        """See `Framing`."""
        return self._missing


class EndlessFraming:
    """What comes over a connection that was upgraded: all of it, until its client hangs up."""

    complete = False
    length: int | None = None

    def decode(self, raw: memoryview) -> tuple[Spans, int]:
        """See `Framing`."""
        return [(0, len(raw))], len(raw)

    def most_to_read(self) -> int | None:
        """See `Framing`."""
        return None


class ChunkedFraming:
    """A body in chunked transfer coding (RFC 9112, 7.1), read strictly; extensions and trailers are ignored."""

    def __init__(self) -> None:
        self.length: int | None = None
        self.complete = False
        self._missing = 0  # of the current chunk's data
        self._line = bytearray()  # of a line that is not complete yet
        self._expect = self._size_line
        self._trailers = 0

    def most_to_read(self) -> int | None:
        """See `Framing`."""
        return None

    def decode(self, raw: memoryview) -> tuple[Spans, int]:
        """See `Framing`. Raises FramingError; the body is then lost from there on."""
        spans: Spans = []
        position = 0
        while position < len(raw) and not self.complete:
            if self._missing:
                taken = min(self._missing, len(raw) - position)
                spans.append((position, position + taken))
                self._missing -= taken
                position += taken
            else:
                position += self._take_line(raw[position : position + _LONGEST_TRAILER_LINE])
        return spans, position

    def _take_line(self, raw: memoryview) -> int:
        """Collect bytes up to the end of the line; act on it once it is whole."""
        piece = bytes(raw[:64])
        end = piece.find(b"\n")
        if end < 0 and len(raw) > len(piece):
            piece = bytes(raw)
            end = piece.find(b"\n")
        taken = end + 1 if end >= 0 else len(piece)
        self._line += piece[:taken]
        if len(self._line) > _LONGEST_TRAILER_LINE:
            raise FramingError("a line of the chunked coding is too long")
        if end >= 0:
            line = bytes(self._line)
            self._line.clear()
            self._expect(line)
        elif self._expect != self._trailer_line and len(self._line) > _LONGEST_SIZE_LINE:
            raise FramingError("a chunk's size line is too long")
        return taken

    def _size_line(self, line: bytes) -> None:
        match = _SIZE_LINE.fullmatch(line)
        if match is None or len(line) > _LONGEST_SIZE_LINE:
            raise FramingError("a chunk's size line is malformed")
        self._missing = int(match[1], 16)
        self._expect = self._data_end if self._missing else self._trailer_line

    def _data_end(self, line: bytes) -> None:
        if line != b"\r\n":
            raise FramingError("a chunk's data is not followed by CR LF")
        self._expect = self._size_line

    def _trailer_line(self, line: bytes) -> None:
        if line == b"\r\n":
            self.complete = True
            return
        self._trailers += len(line)
        if self._trailers > _LONGEST_TRAILERS or not _TRAILER_LINE.fullmatch(line):
            raise FramingError("the trailer section is malformed or too long")
