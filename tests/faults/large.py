"""Blobs of gigabytes, made as they are sent and hashed as they come: whoever pushes and pulls them takes no memory."""

import hashlib
from collections.abc import Iterator

from tests.hostile.conversation import Conversation, raw
from tests.hostile.world import begin_upload

MIB = 1024 * 1024
BLOCK = hashlib.shake_256(b"some content").digest(MIB)


def blocks(salt: bytes, size: int) -> Iterator[bytes]:
    """`size` bytes, made as they are asked for; no two mebibytes are the same."""
    for number in range(size // MIB):
        yield salt + number.to_bytes(8, "big") + BLOCK[len(salt) + 8 :]


def digest_of_blocks(salt: bytes, size: int) -> str:
    hashed = hashlib.sha256()
    for block in blocks(salt, size):
        hashed.update(block)
    return f"sha256:{hashed.hexdigest()}"


def put_whole(port: int, name: str, salt: bytes, size: int) -> int:
    """Push as one PUT with Content-Length: the status."""
    digest = digest_of_blocks(salt, size)
    target = f"/v2/{name}/blobs/uploads/{begin_upload(port, name)}?digest={digest}"
    with Conversation(port, timeout=120) as conversation:
        head = f"PUT {target} HTTP/1.1\r\nHost: registry.example\r\nContent-Length: {size}\r\n\r\n"
        assert conversation.say(head.encode())
        for block in blocks(salt, size):
            assert conversation.say(block)
        answer = conversation.answer()
        return answer.status if answer else 0


def push_as_docker_does(port: int, name: str, salt: bytes, size: int) -> int:
    """Push as one PATCH in chunked coding and an empty PUT: the status of the last."""
    target = f"/v2/{name}/blobs/uploads/{begin_upload(port, name)}"
    hashed = hashlib.sha256()
    with Conversation(port, timeout=120) as conversation:
        head = f"PATCH {target} HTTP/1.1\r\nHost: registry.example\r\nTransfer-Encoding: chunked\r\n\r\n"
        assert conversation.say(head.encode())
        for block in blocks(salt, size):
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
