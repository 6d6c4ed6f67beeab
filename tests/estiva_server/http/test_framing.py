"""Where bodies end, however the bytes arrive."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from estiva_server.http.framing import ChunkedFraming, Framing, FramingError, LengthFraming

from .served import chunked


def decode(framing: Framing, pieces: list[bytes]) -> tuple[bytes, bytes]:
    """The body in `pieces`, and what follows it."""
    body, rest = b"", b""
    for piece in pieces:
        spans, taken = framing.decode(memoryview(piece))
        body += b"".join(piece[begin:end] for begin, end in spans)
        rest += piece[taken:]
    return body, rest


def split(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[begin:end] for begin, end in pairwise(edges)]


cuts = st.lists(st.integers(0, 10_000), max_size=20)


@given(st.lists(st.binary(min_size=1, max_size=300), max_size=8), cuts)
def test_chunks_come_out_whole_however_they_are_cut(chunks: list[bytes], cuts: list[int]) -> None:
    framing = ChunkedFraming()
    body, rest = decode(framing, split(chunked(*chunks) + b"GET / HTTP/1.1", cuts))
    assert (body, rest, framing.complete) == (b"".join(chunks), b"GET / HTTP/1.1", True)


@given(st.binary(max_size=500), st.binary(max_size=50), cuts)
def test_a_length_is_exact_however_it_is_cut(body: bytes, after: bytes, cuts: list[int]) -> None:
    framing = LengthFraming(len(body))
    assert decode(framing, split(body + after, cuts)) == (body, after)
    assert framing.complete


@given(st.binary(max_size=200), cuts)
def test_any_bytes_are_decoded_the_same_however_they_are_cut(data: bytes, cuts: list[int]) -> None:
    def outcome(pieces: list[bytes]) -> tuple[bytes, bytes] | None:
        try:
            return decode(ChunkedFraming(), pieces)
        except FramingError:
            return None

    assert outcome([data]) == outcome(split(data, cuts))


@pytest.mark.parametrize("line", [b"1;" + b"x" * 254, b"f" * 16, b"0" * 300])
def test_a_size_line_without_end_is_refused_before_it_is_long(line: bytes) -> None:
    framing = ChunkedFraming()
    with pytest.raises(FramingError):
        decode(framing, [bytes([byte]) for byte in line + b"\r\n"])


def test_trailers_are_bounded_in_all() -> None:
    framing = ChunkedFraming()
    decode(framing, [b"0\r\n"])
    with pytest.raises(FramingError):
        decode(framing, [b"name: value\r\n"] * 1000)
