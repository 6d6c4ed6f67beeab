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
from tests.faults.observed import forget_peak, peak, resident
from tests.hostile.conversation import Conversation, ask, raw
from tests.hostile.world import World, begin_upload, image
from tests.serving import Registry, registry_running

pytestmark = [pytest.mark.real, pytest.mark.timeout(900)]

MIB = 1024 * 1024
LARGE = 5 * 1024 * MIB
BLOCK = hashlib.shake_256(b"some content").digest(MIB)
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


def blocks(salt: bytes) -> Iterator[bytes]:
    """LARGE bytes, made as they are asked for; no two mebibytes are the same."""
    for number in range(LARGE // MIB):
        yield salt + number.to_bytes(8, "big") + BLOCK[len(salt) + 8 :]


def digest_of_blocks(salt: bytes) -> str:
    hashed = hashlib.sha256()
    for block in blocks(salt):
        hashed.update(block)
    return f"sha256:{hashed.hexdigest()}"


def put_whole(port: int, name: str, salt: bytes) -> int:
    """Push as one PUT with Content-Length: the status."""
    digest = digest_of_blocks(salt)
    target = f"/v2/{name}/blobs/uploads/{begin_upload(port, name)}?digest={digest}"
    with Conversation(port, timeout=120) as conversation:
        head = f"PUT {target} HTTP/1.1\r\nHost: registry.example\r\nContent-Length: {LARGE}\r\n\r\n"
        assert conversation.say(head.encode())
        for block in blocks(salt):
            assert conversation.say(block)
        answer = conversation.answer()
        return answer.status if answer else 0


def push_as_docker_does(port: int, name: str, salt: bytes) -> int:
    """Push as one PATCH in chunked coding and an empty PUT: the status of the last."""
    target = f"/v2/{name}/blobs/uploads/{begin_upload(port, name)}"
    hashed = hashlib.sha256()
    with Conversation(port, timeout=120) as conversation:
        head = f"PATCH {target} HTTP/1.1\r\nHost: registry.example\r\nTransfer-Encoding: chunked\r\n\r\n"
        assert conversation.say(head.encode())
        for block in blocks(salt):
            hashed.update(block)
            assert conversation.say(b"%x\r\n%b\r\n" % (len(block), block))
        conversation.say(b"0\r\n\r\n")
        patched = conversation.answer()
        assert patched is not None
        assert patched.status == 202
        return conversation.ask(raw("PUT", f"{target}?digest=sha256:{hashed.hexdigest()}", body=b""), "PUT").status


def pulled(port: int, target: str) -> tuple[str, int]:
    """The digest and the length of what comes."""
    with Conversation(port, timeout=120) as conversation:
        conversation.say(raw("GET", target, ("Connection", "close")))
        stream = conversation.socket.makefile("rb", buffering=MIB)
        while stream.readline() != b"\r\n":
            pass
        hashed, length = hashlib.sha256(), 0
        while piece := stream.read(MIB):
            hashed.update(piece)
            length += len(piece)
        return f"sha256:{hashed.hexdigest()}", length


def read_slowly(port: int, target: str, done: threading.Event) -> None:
    """A few kilobytes at a time, until it is enough."""
    with Conversation(port, timeout=30) as conversation:
        conversation.say(raw("GET", target))
        while not done.wait(0.01):
            assert conversation.socket.recv(4096)


def test_five_gigabytes_are_pushed_whole_and_pulled_in_bounded_memory(registry: Registry) -> None:
    digest = digest_of_blocks(b"whole")
    target = f"/v2/large/blobs/{digest}"
    with growing_little(registry):
        assert put_whole(registry.port, "large", b"whole") == 201
    with growing_little(registry):
        assert pulled(registry.port, target) == (digest, LARGE)
    done = threading.Event()
    readers = [threading.Thread(target=read_slowly, args=(registry.port, target, done)) for _ in range(SLOW_READERS)]
    with growing_little(registry):
        for reader in readers:
            reader.start()
        assert pulled(registry.port, target) == (digest, LARGE)
        done.set()
        for reader in readers:
            reader.join(10)


def test_five_gigabytes_are_pushed_as_docker_does_in_bounded_memory(registry: Registry) -> None:
    with growing_little(registry):
        assert push_as_docker_does(registry.port, "chunked", b"chunked") == 201


def test_a_hundred_manifests_made_to_take_memory_take_little_and_delay_nobody(registry: Registry) -> None:
    world = World.pushed(registry.port, "manifests")
    members = b",".join(b'{"a%d":[%d]}' % (number, number) for number in range(49_000))
    payload = json.dumps(image())[:-1].encode() + b',"x":[' + members + b"]}"
    payload += b" " * (4 * MIB - len(payload))
    assert world.put(payload) == 201
    fields = f"Content-Type: {mediatypes.OCI_MANIFEST}\r\nContent-Length: {len(payload)}"
    head = f"PUT /v2/manifests/manifests/x HTTP/1.1\r\nHost: registry.example\r\n{fields}\r\n\r\n".encode()
    with contextlib.ExitStack() as stack:
        pushers = [stack.enter_context(Conversation(registry.port, timeout=120)) for _ in range(100)]
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


@pytest.mark.parametrize("clients", [200, 1000])
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
