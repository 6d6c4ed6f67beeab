"""Clients that leave in the middle: what came of an upload stays, and nothing of the client does."""

import re
import socket
import struct
import time
from collections.abc import Iterator
from random import Random

import pytest

from tests.faults.observed import descriptors, settles, threads
from tests.hostile.civility import require_quiet_log
from tests.hostile.conversation import Conversation, ask, raw
from tests.hostile.world import World, begin_upload, digest_of
from tests.serving import Registry, registry_running

SEED = 5
UPLOADS = 100
LARGEST = 600_000
RESET = struct.pack("ii", 1, 0)
NEW_THREADS = 40
"""The pools that serve bodies keep their threads."""


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    with registry_running(tmp_path_factory.mktemp("disconnects")) as running:
        yield running
        require_quiet_log(running)


def leave(conversation: Conversation, random: Random) -> None:
    """Close the connection: in order, or with a reset."""
    if random.random() < 0.5:
        conversation.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    conversation.socket.close()


def cut_off(registry: Registry, target: str, content: bytes, random: Random) -> int:
    """Send a part of the content as one PATCH and leave: how many bytes of it went out."""
    chunked = random.random() < 0.5
    framing = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {len(content)}"
    head = f"PATCH {target} HTTP/1.1\r\nHost: registry.example\r\n{framing}\r\n\r\n".encode()
    body = b"%x\r\n%b\r\n" % (len(content), content) if chunked else content
    end = random.randrange(len(head) + len(content))
    with Conversation(registry.port) as conversation:
        conversation.say((head + body)[:end])
        leave(conversation, random)
    return max(0, end - len(head))


def offset(registry: Registry, target: str) -> int | None:
    """Where the upload ends, None where it is gone."""
    told = ask(registry.port, "GET", target)
    if told.status == 404:
        return None
    assert told.status == 204
    match = re.fullmatch(r"0-(\d+)", told.field("range") or "")
    assert match is not None
    last = int(match[1])
    return last + 1 if last else 0


def finish(registry: Registry, target: str, content: bytes) -> int:
    """Send the rest as a client does that was cut off, from the byte that the upload tells: which one that was.

    The broken request may be noticed only after that was told: it is then asked again.
    """
    for _ in range(100):
        start = offset(registry, target)
        assert start is not None
        assert start <= len(content)
        rest = content[start:]
        fields = (("Content-Range", f"{start}-{len(content) - 1}"),) if rest else ()
        ended = ask(registry.port, "PUT", f"{target}?digest={digest_of(content)}", *fields, body=rest)
        if ended.status == 201:
            return start
        assert ended.status == 416 or b"another request is writing" in ended.body, ended
        time.sleep(0.01)
    raise AssertionError("the upload never came to its end")


@pytest.mark.parametrize("uploads", [UPLOADS, pytest.param(500, marks=[pytest.mark.real, pytest.mark.long])])
def test_an_upload_goes_on_at_the_byte_it_tells_wherever_it_was_cut_off(registry: Registry, uploads: int) -> None:
    world = World.pushed(registry.port, "cut")
    random = Random(SEED)
    before = descriptors(registry.process.pid), threads(registry.process.pid)
    continued = 0
    for number in range(uploads):
        content = random.randbytes(random.randrange(1, LARGEST))
        upload = f"/v2/cut/blobs/uploads/{begin_upload(registry.port, 'cut')}"
        cut_off(registry, upload, content, random)
        continued += 0 < finish(registry, upload, content) < len(content)
        if number % 20 == 0:
            assert ask(registry.port, "GET", f"/v2/cut/blobs/{digest_of(content)}").body == content
    assert continued > uploads / 4
    assert settles(lambda: descriptors(registry.process.pid), before[0]) <= before[0]
    assert threads(registry.process.pid) <= before[1] + NEW_THREADS
    world.require_unharmed()


def test_a_whole_blob_in_one_request_that_breaks_off_leaves_nothing(registry: Registry) -> None:
    random = Random(SEED)
    content = random.randbytes(LARGEST)
    target = f"/v2/whole/blobs/uploads/?digest={digest_of(content)}"
    before = descriptors(registry.process.pid)
    uploads = sorted((registry.data / "uploads").iterdir())
    request = raw("POST", target, body=content)
    for _ in range(30):
        with Conversation(registry.port) as conversation:
            conversation.say(request[: random.randrange(200, len(request))])
            leave(conversation, random)
    assert settles(lambda: descriptors(registry.process.pid), before) <= before
    assert sorted((registry.data / "uploads").iterdir()) == uploads
    assert ask(registry.port, "HEAD", f"/v2/whole/blobs/{digest_of(content)}").status == 404


def test_clients_that_leave_while_they_are_answered_leave_nothing_open(registry: Registry) -> None:
    random = Random(SEED)
    content = random.randbytes(4_000_000)
    assert (
        ask(registry.port, "POST", f"/v2/left/blobs/uploads/?digest={digest_of(content)}", body=content).status == 201
    )
    before = descriptors(registry.process.pid)
    for _ in range(100):
        with Conversation(registry.port) as conversation:
            conversation.say(raw("GET", f"/v2/left/blobs/{digest_of(content)}") * random.choice((1, 3)))
            conversation.socket.recv(random.randrange(1, 100_000))
            leave(conversation, random)
    assert settles(lambda: descriptors(registry.process.pid), before) <= before
    assert ask(registry.port, "GET", f"/v2/left/blobs/{digest_of(content)}").body == content
