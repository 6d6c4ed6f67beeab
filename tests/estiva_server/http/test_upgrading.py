"""A connection whose application switches protocols: from then on its bytes are the application's."""

import time
from typing import Any

import pytest

from .conftest import Serve
from .served import Certificate, Client, Served, until

HEAD = b"POST /talk HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: talk\r\nContent-Length: 2\r\n\r\n{}"
SWITCHED = b"HTTP/1.1 101 Switching Protocols\r\n"


class Talk:
    """Gives everything back, until `bye`; keeps what was said by those who left before."""

    def __init__(self) -> None:
        self.left: list[bytes] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """ASGI."""
        assert await receive() == {"type": "http.request", "body": b"{}", "more_body": False}
        fields = [(b"connection", b"Upgrade"), (b"upgrade", b"talk")]
        await send({"type": "http.response.start", "status": 101, "headers": fields})
        heard = b""
        while not heard.endswith(b"bye"):
            message = await receive()
            if message["type"] == "http.disconnect":
                self.left.append(heard)
                return
            heard += message["body"]
            await send({"type": "http.response.body", "body": message["body"], "more_body": True})
        await send({"type": "http.response.body", "body": b" and thanks"})


def read(client: Client, end: bytes) -> bytes:
    """What comes, up to and with these bytes."""
    found = b""
    while not found.endswith(end):
        piece = client.socket.recv(1)
        assert piece, found
        found += piece
    return found


@pytest.fixture(params=["plain", "tls"])
def talking(request: pytest.FixtureRequest, serve: Serve, certificate: Certificate) -> tuple[Served, Talk]:
    """A server of such an application, which is patient with nobody whose body comes slowly."""
    talk = Talk()
    chosen = certificate if request.param == "tls" else None
    return serve(talk, chosen, body_window=0.2, body_rate=1 << 20), talk


def test_both_sides_talk_as_they_like_until_the_application_ends_it(talking: tuple[Served, Talk]) -> None:
    served, _ = talking
    with served.client() as client:
        client.send(HEAD)
        head = read(client, b"\r\n\r\n").lower()
        assert head.startswith(SWITCHED.lower())
        assert b"upgrade: talk\r\n" in head
        assert b"content-length" not in head
        assert b"transfer-encoding" not in head
        assert b"connection: close" not in head
        client.send(b"hello")
        assert read(client, b"hello") == b"hello"
        time.sleep(1)  # five times as long as a body may take
        client.send(b"good bye")
        assert read(client, b"thanks") == b"good bye and thanks"
        assert client.at_end()
    served.settled()
    assert served.notes.refusals == []


def test_what_was_sent_before_the_switch_is_not_lost(talking: tuple[Served, Talk]) -> None:
    served, _ = talking
    with served.client() as client:
        client.send(HEAD + b"already bye")
        read(client, b"\r\n\r\n")
        assert read(client, b"thanks") == b"already bye and thanks"


def test_who_leaves_is_noticed(talking: tuple[Served, Talk]) -> None:
    served, talk = talking
    with served.client() as client:
        client.send(HEAD)
        read(client, b"\r\n\r\n")
        client.send(b"hello")
        read(client, b"hello")
    until(lambda: talk.left == [b"hello"])
    served.settled()


def test_much_at_once_comes_through_whole(talking: tuple[Served, Talk]) -> None:
    served, _ = talking
    much = b"0123456789abcdef" * (1 << 14)
    with served.client() as client:
        client.send(HEAD)
        read(client, b"\r\n\r\n")
        client.send(much)
        found = bytearray()
        while len(found) < len(much):
            found += client.socket.recv(1 << 16)
        assert found == much
        client.send(b"bye")
        assert read(client, b"thanks") == b"bye and thanks"
