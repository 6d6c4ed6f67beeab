"""A blob from another server's socket: what is sent, and what happens where the socket gives no more."""

import io
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, BinaryIO, cast

import pytest
from starlette.types import Message

from estiva.errors import BlobUnknown
from registry.api.passing import EXTENSION
from registry.api.relaying import HandedOver
from registry.elsewhere import Elsewhere, Reach, Redirect, RemoteBlobStore
from storage.blobs.direct import Wanted

CONTENT = bytes(range(256)) * 5000
SIZE = len(CONTENT)
BEGUN = 1000
SOURCE = 77


class Body:
    """A body on a socket, of which nobody reads."""

    def __init__(self, begun: bytes, left: int) -> None:
        self.begun = begun
        self.left = left
        self.closed: list[bool] = []

    def fileno(self) -> int:
        return SOURCE

    def close(self, *, was_taken: bool = False) -> None:
        self.closed.append(was_taken)


class Server:
    """Takes what is sent, and of the socket's bytes as many as it is told to."""

    def __init__(self, content: bytes, count: int, failure: str | None) -> None:
        self.messages: list[Message] = []
        self.body = b""
        self._content, self._count, self._failure = content, count, failure

    async def send(self, message: Message) -> None:
        self.messages.append(message)
        if message["type"] == EXTENSION:
            assert (message["source"], message["count"]) == (SOURCE, len(self._content) - len(self.body))
            self.body += self._content[len(self.body) :][: self._count]
            message.update(count=self._count, failure=self._failure)
        else:
            self.body += message.get("body", b"")


@pytest.fixture
def elsewhere() -> Iterator[Elsewhere]:
    with ThreadPoolExecutor(1) as threads:
        yield Elsewhere(cast(RemoteBlobStore, None), threads, Redirect.NEVER, Reach(known=False, encrypted=False))


async def handed_over(
    elsewhere: Elsewhere,
    wanted: Wanted,
    count: int,
    failure: str | None = None,
    rest: BinaryIO | Exception | None = None,
) -> tuple[Server, Body, list[int]]:
    content = CONTENT[wanted.offset : wanted.last + 1]
    body, server, opened = Body(content[:BEGUN], wanted.length - BEGUN), Server(content, count, failure), list[int]()

    async def reopen(offset: int) -> BinaryIO:
        opened.append(offset)
        if isinstance(rest, Exception):
            raise rest
        return io.BytesIO(CONTENT[offset:])

    async def receive() -> Message:
        raise AssertionError("nothing is asked for")

    scope: dict[str, Any] = {"type": "http", "method": "GET"}
    try:
        await HandedOver(body, wanted, {"X-Name": "value"}, elsewhere, reopen)(scope, receive, server.send)
    except ConnectionAbortedError:
        server.messages.append({"type": "aborted"})
    return server, body, opened


ALL, PART = Wanted(0, SIZE, SIZE), Wanted(5000, 100_000, SIZE)


@pytest.mark.parametrize(("wanted", "status"), [(ALL, 200), (PART, 206), (Wanted(0, BEGUN, SIZE), 206)])
async def test_what_has_come_is_sent_and_then_the_socket(elsewhere: Elsewhere, wanted: Wanted, status: int) -> None:
    server, body, opened = await handed_over(elsewhere, wanted, wanted.length - BEGUN)
    assert server.messages[0]["status"] == status
    assert server.messages[0]["headers"] == [(b"x-name", b"value"), (b"content-length", b"%d" % wanted.length)]
    assert server.body == CONTENT[wanted.offset : wanted.last + 1]
    assert (body.closed, opened) == ([True], [])


@pytest.mark.parametrize("wanted", [ALL, PART])
async def test_where_the_socket_breaks_off_the_rest_is_read(elsewhere: Elsewhere, wanted: Wanted) -> None:
    server, body, opened = await handed_over(elsewhere, wanted, 3000, "broke off")
    assert server.body == CONTENT[wanted.offset : wanted.last + 1]
    assert server.messages[-1]["more_body"] is False
    assert opened == [wanted.offset + BEGUN + 3000]
    assert body.closed == [False]


@pytest.mark.parametrize("trouble", [OSError("S3 broke off"), BlobUnknown()])
async def test_where_the_rest_can_not_be_read_the_body_is_cut(elsewhere: Elsewhere, trouble: Exception) -> None:
    server, body, _ = await handed_over(elsewhere, ALL, 3000, "broke off", trouble)
    assert server.messages[-1]["type"] == "aborted"
    assert server.body == CONTENT[: BEGUN + 3000]
    assert body.closed == [False]


async def test_for_a_client_that_has_gone_nothing_more_is_read(elsewhere: Elsewhere) -> None:
    _, body, opened = await handed_over(elsewhere, ALL, 3000)
    assert (body.closed, opened) == ([False], [])
