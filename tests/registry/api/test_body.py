"""Receiving a body where the server offers no extension: from ASGI messages alone."""

import asyncio
import threading
import time
from typing import Any

import pytest

from registry.api.body import PIECE_BYTES, BodyTooLarge, ClientDisconnected, End, Write, nothing, pour_body


def messages(*bodies: bytes, end: bool = True) -> Any:
    """A `receive` that brings these pieces, and then the end of the body or of the client."""
    pending: list[dict[str, Any]] = [{"type": "http.request", "body": body, "more_body": True} for body in bodies]
    pending.append({"type": "http.request"} if end else {"type": "http.disconnect"})

    async def receive() -> Any:
        await asyncio.sleep(0)
        return pending.pop(0)

    return receive


class Sink:
    def __init__(self, fail: bool = False) -> None:
        self.received = bytearray()
        self.pieces: list[int] = []
        self.threads: set[int] = set()
        self.inside = False
        self.fail = fail

    def write(self, piece: memoryview) -> None:
        assert not self.inside
        self.inside = True
        time.sleep(0.01)
        if self.fail:
            self.inside = False
            raise OSError(28, "No space left on device")
        self.received += piece
        self.pieces.append(len(piece))
        self.threads.add(threading.get_ident())
        self.inside = False


async def test_a_body_is_written_in_large_pieces_off_the_event_loop() -> None:
    body = [bytes([number]) * 60_000 for number in range(50)]
    sink = Sink()
    assert await pour_body({}, messages(*body), sink.write) == 3_000_000
    assert bytes(sink.received) == b"".join(body)
    assert all(PIECE_BYTES <= piece < PIECE_BYTES + 60_000 for piece in sink.pieces[:-1])
    assert threading.get_ident() not in sink.threads


async def test_an_empty_body_is_no_piece() -> None:
    sink = Sink()
    assert await pour_body({"extensions": {}}, messages(), sink.write) == 0
    assert sink.pieces == []


async def test_what_came_before_a_disconnect_is_written() -> None:
    sink = Sink()
    ended: list[object] = []
    with pytest.raises(ClientDisconnected):
        await pour_body({}, messages(bytes(PIECE_BYTES), b"abc", end=False), sink.write, end=lambda: ended.append(True))
    assert sink.received == bytes(PIECE_BYTES) + b"abc"
    assert ended == []


@pytest.mark.parametrize("pieces", [(), (b"abc",), (bytes(PIECE_BYTES),), (bytes(PIECE_BYTES), b"abc")])
async def test_the_end_of_a_whole_body_is_told_in_the_thread_after_its_last_piece(pieces: tuple[bytes, ...]) -> None:
    sink = Sink()
    ended: list[object] = []

    def end() -> None:
        assert threading.get_ident() != loop
        ended.append(bytes(sink.received))

    loop = threading.get_ident()
    await pour_body({}, messages(*pieces), sink.write, end=end)
    assert ended == [b"".join(pieces)]


async def test_nothing_beyond_the_limit_is_written() -> None:
    sink = Sink()
    with pytest.raises(BodyTooLarge):
        await pour_body({}, messages(bytes(600), bytes(600)), sink.write, limit=1000)
    assert len(sink.received) == 600
    assert await pour_body({}, messages(bytes(500), bytes(500)), Sink().write, limit=1000) == 1000


async def test_an_error_of_write_comes_out() -> None:
    with pytest.raises(OSError, match="No space"):
        await pour_body({}, messages(*[bytes(PIECE_BYTES)] * 3), Sink(fail=True).write)
    with pytest.raises(OSError, match="No space"):
        await pour_body({}, messages(b"abc"), Sink(fail=True).write)


async def test_a_cancelled_pour_returns_only_when_no_thread_writes_any_more() -> None:
    sink = Sink()
    stuck = asyncio.Event()

    async def receive() -> Any:
        if stuck.is_set():
            await asyncio.sleep(60)
        stuck.set()
        return {"type": "http.request", "body": bytes(PIECE_BYTES), "more_body": True}

    task = asyncio.create_task(pour_body({}, receive, sink.write))
    await stuck.wait()
    await asyncio.sleep(0.005)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not sink.inside
    assert len(sink.received) == PIECE_BYTES


async def test_the_extension_is_used_where_it_is_offered() -> None:
    asked = []

    async def pour(write: Write, limit: int | None = None, end: End = nothing) -> int:
        asked.append(limit)
        write(memoryview(b"abc"))
        return 3

    sink = Sink()
    assert await pour_body({"extensions": {"estiva.body": pour}}, messages(), sink.write, 7) == 3
    assert asked == [7]
    assert sink.received == b"abc"
