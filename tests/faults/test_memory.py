"""However large a blob and however many the clients, memory stays what it is."""

import asyncio
import contextlib
import hashlib
import json
import resource
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from estiva import mediatypes
from tests.faults.large import BLOCK, MIB, digest_of_blocks, pulled, push_as_docker_does, put_whole
from tests.faults.observed import forget_peak, peak, resident
from tests.hostile.conversation import Conversation, ask, raw
from tests.hostile.world import World, image
from tests.serving import Registry, registry_running

pytestmark = [pytest.mark.real, pytest.mark.timeout(900)]

GIB = 1024 * MIB
SHORT_AND_LONG = [pytest.param(GIB, id="1 GiB"), pytest.param(5 * GIB, id="5 GiB", marks=pytest.mark.long)]
MOST_GROWTH = 64 * MIB
SLOW_READERS = 20


@pytest.fixture
def registry() -> Iterator[Registry]:
    """With its data in a folder that is gone at once: it holds gigabytes."""
    with tempfile.TemporaryDirectory(prefix="estiva-memory-") as folder, registry_running(Path(folder)) as running:
        for _ in range(50):  # so that what any first requests take is not counted
            assert ask(running.port, "GET", "/v2/").status == 200
        yield running


@contextlib.contextmanager
def growing_little(registry: Registry, most: int = MOST_GROWTH) -> Iterator[None]:
    """Nothing where the process never takes so much more than it did in the beginning."""
    pid = registry.process.pid
    forget_peak(pid)
    before = resident(pid)
    yield
    growth = peak(pid) - before
    print(f"resident {before // MIB} MiB, grew by {growth / MIB:.1f} MiB at most")  # noqa: T201 - seen with -s
    assert growth < most


def read_slowly(port: int, target: str, done: threading.Event) -> None:
    """A few kilobytes at a time, until it is enough."""
    with Conversation(port, timeout=30) as conversation:
        conversation.say(raw("GET", target))
        while not done.wait(0.01):
            assert conversation.socket.recv(4096)


@pytest.mark.parametrize("size", SHORT_AND_LONG)
def test_gigabytes_are_pushed_whole_and_pulled_in_bounded_memory(registry: Registry, size: int) -> None:
    digest = digest_of_blocks(b"whole", size)
    target = f"/v2/large/blobs/{digest}"
    with growing_little(registry):
        assert put_whole(registry.port, "large", b"whole", size) == 201
    with growing_little(registry):
        assert pulled(registry.port, target) == (digest, size)
    done = threading.Event()
    readers = [threading.Thread(target=read_slowly, args=(registry.port, target, done)) for _ in range(SLOW_READERS)]
    with growing_little(registry):
        for reader in readers:
            reader.start()
        assert pulled(registry.port, target) == (digest, size)
        done.set()
        for reader in readers:
            reader.join(10)


@pytest.mark.parametrize("size", SHORT_AND_LONG)
def test_gigabytes_are_pushed_as_docker_does_in_bounded_memory(registry: Registry, size: int) -> None:
    with growing_little(registry):
        assert push_as_docker_does(registry.port, "chunked", b"chunked", size) == 201


@pytest.mark.parametrize("manifests", [40, pytest.param(100, marks=pytest.mark.long)])
def test_manifests_made_to_take_memory_take_little_and_delay_nobody(registry: Registry, manifests: int) -> None:
    world = World.pushed(registry.port, "manifests")
    members = b",".join(b'{"a%d":[%d]}' % (number, number) for number in range(49_000))
    payload = json.dumps(image())[:-1].encode() + b',"x":[' + members + b"]}"
    payload += b" " * (4 * MIB - len(payload))
    assert world.put(payload) == 201
    fields = f"Content-Type: {mediatypes.OCI_MANIFEST}\r\nContent-Length: {len(payload)}"
    head = f"PUT /v2/manifests/manifests/x HTTP/1.1\r\nHost: registry.example\r\n{fields}\r\n\r\n".encode()
    with contextlib.ExitStack() as stack:
        pushers = [stack.enter_context(Conversation(registry.port, timeout=120)) for _ in range(manifests)]
        with growing_little(registry, 256 * MIB):
            for pusher in pushers:
                pusher.say(head + payload[:-1])
            for pusher in pushers:
                pusher.say(payload[-1:])
            begun = time.monotonic()
            assert ask(registry.port, "GET", "/v2/").status == 200
            assert time.monotonic() - begun < 2
            answers = [pusher.answer() for pusher in pushers]
    assert {answer.status for answer in answers if answer is not None} == {201, 503}


async def pull_once(port: int, target: str, content: bytes) -> float:
    """How long one pull took; AssertionError where it was not the content."""
    begun = time.monotonic()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(raw("GET", target, ("Connection", "close")))
    received = await reader.read(-1)
    writer.close()
    head, _, body = received.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 "), head[:200]
    assert body == content
    return time.monotonic() - begun


@pytest.mark.parametrize("clients", [200, pytest.param(1000, marks=pytest.mark.long)])
async def test_pulls_of_one_megabyte_at_once_all_come_whole(
    registry: Registry, clients: int, figure: Callable[[str], None]
) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    content = BLOCK
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    assert ask(registry.port, "POST", f"/v2/one/blobs/uploads/?digest={digest}", body=content).status == 201
    target = f"/v2/one/blobs/{digest}"
    try:
        with growing_little(registry):
            times = await asyncio.gather(*(pull_once(registry.port, target, content) for _ in range(clients)))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    most = peak(registry.process.pid)
    p99 = sorted(times)[len(times) * 99 // 100 - 1]
    figure(f"{clients} pulls of 1 MiB at once: all whole, p99 {p99:.2f} s, most memory {most / MIB:.0f} MiB")
    assert most < 300 * MIB
