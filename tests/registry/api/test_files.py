import io
from pathlib import Path
from typing import Any

import pytest
from starlette.types import Message

from registry.api.files import PIECE, ZERO_COPY, FileResponse

CONTENT = bytes(range(256)) * 10_000


async def sent(response: FileResponse, method: str = "GET", *, kernel: bool = False) -> list[Message]:
    """The ASGI messages of the response."""
    messages: list[Message] = []

    async def send(message: Message) -> None:
        messages.append(message)

    async def receive() -> Message:
        raise AssertionError("nothing is asked for")

    extensions: dict[str, Any] = {ZERO_COPY: {}} if kernel else {}
    await response({"type": "http", "method": method, "extensions": extensions}, receive, send)
    return messages


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "blob"
    path.write_bytes(CONTENT)
    return path


@pytest.mark.parametrize(("offset", "length"), [(0, len(CONTENT)), (0, 1), (1000, PIECE + 1), (len(CONTENT) - 1, 1)])
async def test_a_part_of_a_file_is_sent_piece_by_piece(file: Path, offset: int, length: int) -> None:
    opened = file.open("rb", buffering=0)
    start, *pieces = await sent(FileResponse(opened, offset, length, {"X-Name": "value"}, status_code=206))
    assert start["status"] == 206
    assert start["headers"] == [(b"x-name", b"value"), (b"content-length", b"%d" % length)]
    assert b"".join(piece["body"] for piece in pieces) == CONTENT[offset : offset + length]
    assert [piece["more_body"] for piece in pieces] == [True] * (len(pieces) - 1) + [False]
    assert max(len(piece["body"]) for piece in pieces) <= PIECE
    assert opened.closed


async def test_a_server_that_can_sends_it_by_the_kernel(file: Path) -> None:
    opened = file.open("rb", buffering=0)
    number = opened.fileno()
    _, message = await sent(FileResponse(opened, 10, 20, {}), kernel=True)
    assert message == {"type": ZERO_COPY, "file": number, "offset": 10, "count": 20}
    assert opened.closed


async def test_what_is_no_real_file_is_read(file: Path) -> None:
    _, message = await sent(FileResponse(io.BytesIO(CONTENT), 10, 20, {}), kernel=True)
    assert message["body"] == CONTENT[10:30]


@pytest.mark.parametrize(("method", "length"), [("HEAD", 20), ("GET", 0), ("HEAD", 0)])
async def test_nothing_is_read_where_nothing_is_sent(file: Path, method: str, length: int) -> None:
    opened = file.open("rb", buffering=0)
    start, body = await sent(FileResponse(opened, 0, length, {}), method, kernel=True)
    assert start["headers"] == [(b"content-length", b"%d" % length)]
    assert body == {"type": "http.response.body", "body": b""}
    assert opened.closed


async def test_a_file_that_is_shorter_than_recorded_breaks_the_connection(file: Path) -> None:
    opened = file.open("rb", buffering=0)
    with pytest.raises(ConnectionAbortedError):
        await sent(FileResponse(opened, 0, len(CONTENT) + 1, {}))
    assert opened.closed


async def test_the_file_is_closed_when_the_client_has_left(file: Path) -> None:
    opened = file.open("rb", buffering=0)

    async def gone(message: Message) -> None:
        raise ConnectionResetError

    async def receive() -> Message:
        raise AssertionError("nothing is asked for")

    with pytest.raises(ConnectionResetError):
        await FileResponse(opened, 0, 1, {})({"type": "http", "method": "GET"}, receive, gone)
    assert opened.closed
