"""The ASGI extensions http.response.pathsend and http.response.zerocopysend."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from .conftest import Serve
from .served import Certificate, no_descriptor_left_over, until

SIZE = 12 << 20
MakeFile = Callable[[int], Path]


async def start(send: Any, length: int | None, status: int = 200) -> None:
    headers = [] if length is None else [(b"content-length", b"%d" % length)]
    await send({"type": "http.response.start", "status": status, "headers": headers})


def zero_copy(file: Any, **options: Any) -> dict[str, Any]:
    return {"type": "http.response.zerocopysend", "file": file, **options}


def test_a_path_is_sent_whole(serve: Serve, file: MakeFile) -> None:
    path = file(SIZE)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert scope["extensions"]["http.response.pathsend"] == {}
        await start(send, SIZE)
        await send({"type": "http.response.pathsend", "path": str(path)})

    with serve(app).client() as client:
        client.get("/")
        with no_descriptor_left_over():
            for _ in range(3):
                assert client.get("/").body == path.read_bytes()
        head = client.head("/")
        assert head.headers["content-length"] == str(SIZE)
        assert client.get("/").body == path.read_bytes()


def test_a_span_of_an_open_file_is_sent(serve: Serve, file: MakeFile) -> None:
    path = file(SIZE)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        with path.open("rb") as opened:
            await start(send, 5_000_000)
            await send(zero_copy(opened, offset=1_000_001, count=5_000_000))

    with serve(app).client() as client:
        assert client.get("/").body == path.read_bytes()[1_000_001:6_000_001]


def test_files_and_bytes_may_follow_each_other(serve: Serve, file: MakeFile) -> None:
    path = file(1 << 20)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.lseek(descriptor, 16, os.SEEK_SET)
            await start(send, (1 << 20) + 4)
            await send({"type": "http.response.body", "body": b"<<", "more_body": True})
            await send(zero_copy(descriptor, offset=0, count=16, more_body=True))
            await send(zero_copy(descriptor, more_body=True))
            await send({"type": "http.response.body", "body": b">>"})
        finally:
            os.close(descriptor)

    with serve(app).client() as client:
        assert client.get("/").body == b"<<" + path.read_bytes() + b">>"


def test_a_file_behind_much_unsent_data_keeps_its_place(serve: Serve, file: MakeFile) -> None:
    path = file(1 << 20)
    before = os.urandom(6 << 20)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await start(send, len(before) + (1 << 20))
        await send({"type": "http.response.body", "body": before, "more_body": True})
        await send({"type": "http.response.pathsend", "path": str(path)})

    with serve(app).client(receive_buffer=8192) as client:
        for _ in range(2):
            assert client.get("/").body == before + path.read_bytes()


def test_a_file_may_be_part_of_a_chunked_response(serve: Serve, file: MakeFile) -> None:
    path = file(SIZE)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        with path.open("rb") as opened:
            await start(send, None)
            await send({"type": "http.response.body", "body": b"first", "more_body": True})
            await send(zero_copy(opened, more_body=True))
            await send({"type": "http.response.body", "body": b"last"})

    with serve(app).client() as client:
        for _ in range(2):
            assert client.get("/").body == b"first" + path.read_bytes() + b"last"


@pytest.mark.parametrize("announced", [SIZE - 1, SIZE + 1])
def test_a_file_of_another_length_than_announced_breaks_the_connection(
    serve: Serve, file: MakeFile, announced: int
) -> None:
    path = file(SIZE)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await start(send, announced)
        await send({"type": "http.response.pathsend", "path": str(path)})

    with serve(app).client() as client, pytest.raises(ConnectionError):
        client.get("/")


def test_a_client_that_leaves_ends_the_sending_quietly(serve: Serve, file: MakeFile) -> None:
    path = file(32 << 20)
    ended = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await start(send, 32 << 20)
        await send({"type": "http.response.pathsend", "path": str(path)})
        ended.append((await receive())["type"])

    served = serve(app)
    with no_descriptor_left_over():
        for _ in range(5):
            with served.client(receive_buffer=8192) as client:
                client.request("GET", "/")
                client.socket.recv(1000)
        served.settled()
    until(lambda: len(ended) == 5)
    assert set(ended) == {"http.disconnect"}


def test_a_slow_reader_gets_everything(serve: Serve, file: MakeFile) -> None:
    path = file(2 << 20)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await start(send, 2 << 20)
        await send({"type": "http.response.pathsend", "path": str(path)})

    with serve(app, stall_timeout=1.0).client(receive_buffer=8192) as client:
        assert client.get("/").body == path.read_bytes()


def test_over_tls_files_are_not_offered(serve: Serve, certificate: Certificate) -> None:
    offered = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        offered.extend(scope["extensions"])
        await start(send, 2)
        await send({"type": "http.response.body", "body": b"ok"})

    with serve(app, certificate).client() as client:
        assert client.get("/v2/").body == b"ok"
    assert offered == ["estiva.answer"]
