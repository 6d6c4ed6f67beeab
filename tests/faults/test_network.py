"""A network that carries one megabit a second and loses every tenth packet: pushes end well, and no upload is lost."""

import contextlib
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPException
from pathlib import Path
from random import Random

import pytest

from estiva.digest import Digest
from tests.faults.namespace import make_slow_and_lossy, network_of_its_own
from tests.faults.pushers import Client, end_of
from tests.faults.verify import dangling, wrong_files
from tests.hostile.conversation import Conversation
from tests.serving import Registry, registry_running

pytestmark = [pytest.mark.real, pytest.mark.timeout(600)]

RATE, LOST = "1mbit", 0.1
PUSHERS, SIZE = 3, 60_000
PIECE = 20_000


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    with network_of_its_own(), registry_running(tmp_path) as running:
        make_slow_and_lossy(RATE, LOST)
        yield running


class Patient(Client):
    """Waits for longer than clients do elsewhere."""

    def __init__(self, port: int) -> None:
        super().__init__(port)
        self._http.timeout = 120


def push_all(port: int, number: int, layers: int) -> list[Digest]:
    """Push layers in pieces."""
    random, pushed = Random(number), []
    with Patient(port) as client:
        for _ in range(layers):
            content, digest = (made := random.randbytes(SIZE)), Digest.of(made)
            location, offset = client.begin("slow"), 0
            while offset < SIZE:
                offset = client.append(location, content[offset : offset + PIECE], offset)
            client.finish(location, digest)
            pushed.append(digest)
    return pushed


@pytest.mark.parametrize("layers", [1, pytest.param(2, marks=pytest.mark.long)])
def test_pushes_and_pulls_end_well(registry: Registry, layers: int, figure: Callable[[str], None]) -> None:
    begun = time.monotonic()
    with ThreadPoolExecutor(PUSHERS) as threads:
        pushed = [
            digest
            for done in threads.map(lambda n: push_all(registry.port, n, layers), range(PUSHERS))
            for digest in done
        ]
    with Patient(registry.port) as client:
        for digest in pushed:
            status, _, body = client.ask("GET", f"/v2/slow/blobs/{digest}")
            assert (status, Digest.of(body)) == (200, digest)
        assert dangling(client) == []
    assert wrong_files(registry.data) == []
    figure(
        f"slow network: {RATE}, {LOST:.0%} of packets lost, {PUSHERS} pushers: {len(pushed)} of {PUSHERS * layers}"
        f" blobs of {SIZE} bytes pushed and pulled whole in {time.monotonic() - begun:.0f} s, no upload lost"
    )


def test_an_upload_whose_network_goes_away_goes_on_at_the_byte_it_tells(registry: Registry) -> None:
    content = Random(1).randbytes(60_000)
    with Patient(registry.port) as client:
        location = client.begin("gone")
        client.append(location, content[:10_000], 0)
    with Conversation(registry.port, timeout=120) as conversation:
        head = f"PATCH {location} HTTP/1.1\r\nHost: registry.example\r\nContent-Length: 50000\r\n\r\n"
        conversation.say(head.encode() + content[10_000:25_000])
    for _ in range(200):  # the cut may be noticed, and its last bytes come, a moment later
        if finished(registry.port, location, content):
            break
        time.sleep(0.05)
    with Patient(registry.port) as client:
        assert client.ask("GET", f"/v2/gone/blobs/{Digest.of(content)}")[::2] == (200, content)


def finished(port: int, location: str, content: bytes) -> bool:
    """Whether the rest, from the byte that the upload tells, could be sent; its connection may break off, too."""
    with contextlib.suppress(ConnectionError, HTTPException), Patient(port) as client:
        status, headers, _ = client.ask("GET", location)
        assert status == 204
        offset = end_of(headers)
        assert 10_000 <= offset <= 25_000
        fields = {"Content-Range": f"{offset}-{len(content) - 1}"}
        status, _, body = client.ask("PUT", f"{location}?digest={Digest.of(content)}", content[offset:], fields)
        assert status in (201, 416) or b"another request is writing" in body, body
        return status == 201
    return False
