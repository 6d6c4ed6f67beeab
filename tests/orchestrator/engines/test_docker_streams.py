"""Frames and lines, however they are cut."""

from collections.abc import AsyncIterator, Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.engines import EngineDown, LogLine
from orchestrator.engines.docker_streams import frames, log_lines

NUMBERS = {"stdout": 1, "stderr": 2}


def framed(parts: Iterable[tuple[str, bytes]]) -> bytes:
    """As an engine sends it."""
    return b"".join(bytes((NUMBERS[name], 0, 0, 0)) + len(data).to_bytes(4, "big") + data for name, data in parts)


async def cut(content: bytes, at: Iterable[int]) -> AsyncIterator[bytes]:
    """The bytes in pieces that end at these places."""
    last = 0
    for place in [*sorted(place % (len(content) + 1) for place in at), len(content)]:
        yield content[last:place]
        last = place


@given(
    st.lists(st.tuples(st.sampled_from(["stdout", "stderr"]), st.binary(max_size=40))),
    st.lists(st.integers(0, 10_000), max_size=20),
)
async def test_frames_are_the_same_however_they_come(parts: list[tuple[str, bytes]], places: list[int]) -> None:
    assert [one async for one in frames(cut(framed(parts), places), terminal=False)] == parts


async def test_a_terminal_has_no_frames() -> None:
    assert [one async for one in frames(cut(b"\x01abc", ()), terminal=True)] == [("stdout", b"\x01abc")]


async def test_the_engine_s_own_complaint_is_not_taken_for_output() -> None:
    said = b"\x03\0\0\0\0\0\0\x04oops"

    with pytest.raises(EngineDown, match="oops"):
        [one async for one in frames(cut(said, ()), terminal=False)]


async def test_lines_are_put_together_for_each_stream() -> None:
    async def parts() -> AsyncIterator[tuple[str, bytes]]:
        yield "stdout", b"2026-01-02T03:04:05.123456789Z one\n2026-01-02T03:04:06Z t"
        yield "stderr", b"2026-01-02T03:04:05.5Z err\n"
        yield "stdout", b"wo\r\n"
        yield "stderr", b"2026-01-02T03:04:07Z no end"

    assert [line async for line in log_lines(parts())] == [
        LogLine(1767323045.123456, "stdout", "one"),
        LogLine(1767323045.5, "stderr", "err"),
        LogLine(1767323046.0, "stdout", "two"),
        LogLine(1767323047.0, "stderr", "no end"),
    ]
