"""Big bodies on a socket for which the kernel waits: all of them, a part of them, none of them."""

import os
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from estiva.connections import Connections
from estiva.failures import ConnectionFailed
from estiva.protocol.steps import FileSlice, Request, Response

CONTENT = os.urandom(700_001)

Talk = Callable[[socket.socket], None]


class Kept:
    """A sink that keeps what comes."""

    def __init__(self) -> None:
        self.content = b""

    def accept(self, response: Response) -> bool:
        return response.status == 200

    def write(self, piece: memoryview) -> None:
        self.content += bytes(piece)


@pytest.fixture
def connections() -> Iterator[Connections]:
    connections = Connections(timeout=90)
    yield connections
    connections.close()


@pytest.fixture
def impatient() -> Iterator[Connections]:
    connections = Connections(timeout=0.5)
    yield connections
    connections.close()


@pytest.fixture
def speaking() -> Iterator[Callable[[Talk], str]]:
    """Starts something that answers one connection as it is told; its URL."""
    threads, over = [], threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def start(talk: Talk) -> str:
            def serve() -> None:
                peer, _ = listening.accept()
                with peer:
                    talk(peer)
                    over.wait(90)

            threads.append(threading.Thread(target=serve))
            threads[-1].start()
            return f"http://127.0.0.1:{listening.getsockname()[1]}/"

        yield start
        over.set()
        for thread in threads:
            thread.join(90)


def head_of(peer: socket.socket) -> bytes:
    head = b""
    while b"\r\n\r\n" not in head:
        head += peer.recv(1 << 16)
    return head


def answer(length: int) -> bytes:
    return f"HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n".encode()


@pytest.mark.parametrize("early", [0, 1, 8000, 300_000, len(CONTENT)])
def test_a_body_comes_whole_however_much_comes_with_its_head(
    connections: Connections, speaking: Callable[[Talk], str], early: int
) -> None:
    def talk(peer: socket.socket) -> None:
        for _ in range(2):
            head_of(peer)
            peer.sendall(answer(len(CONTENT)) + CONTENT[:early])
            peer.sendall(CONTENT[early:])

    url = speaking(talk)
    for _ in range(2):  # on one connection, which is used again
        sink = Kept()
        assert connections.ask(Request("GET", url, sink=sink)).status == 200
        assert sink.content == CONTENT


def test_what_came_before_the_connection_broke_is_kept(
    connections: Connections, speaking: Callable[[Talk], str]
) -> None:
    def talk(peer: socket.socket) -> None:
        head_of(peer)
        peer.sendall(answer(len(CONTENT) + 1) + CONTENT)
        peer.shutdown(socket.SHUT_WR)

    sink = Kept()
    with pytest.raises(ConnectionFailed, match="ends early: at least 1 bytes"):
        connections.ask(Request("GET", speaking(talk), sink=sink))
    assert sink.content == CONTENT


def test_a_body_that_stops_coming_is_given_up(impatient: Connections, speaking: Callable[[Talk], str]) -> None:
    def talk(peer: socket.socket) -> None:
        head_of(peer)
        peer.sendall(answer(len(CONTENT) + 1) + CONTENT)

    sink = Kept()
    with pytest.raises(ConnectionFailed, match="timed out"):
        impatient.ask(Request("GET", speaking(talk), sink=sink))
    assert CONTENT.startswith(sink.content)  # all of it, unless this machine itself took its time


def test_a_body_that_nobody_takes_is_given_up(
    impatient: Connections, speaking: Callable[[Talk], str], tmp_path: Path
) -> None:
    file = tmp_path / "blob"
    with file.open("wb") as blob:
        blob.truncate(64 << 20)
    request = Request("PUT", speaking(lambda peer: None), body=FileSlice(file, 0, 64 << 20))
    with pytest.raises(ConnectionFailed, match="timed out"):
        impatient.ask(request)


def test_a_body_may_end_with_the_connection(connections: Connections, speaking: Callable[[Talk], str]) -> None:
    def talk(peer: socket.socket) -> None:
        head_of(peer)
        peer.sendall(b"HTTP/1.1 200 OK\r\n\r\n" + CONTENT)
        peer.shutdown(socket.SHUT_WR)

    sink = Kept()
    connections.ask(Request("GET", speaking(talk), sink=sink))
    assert sink.content == CONTENT
