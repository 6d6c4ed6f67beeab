"""Bytes that are no HTTP, or two readings of it at once: refused, and nothing behind them is taken for a request."""

from random import Random

import pytest

from tests.hostile.civility import Civility
from tests.hostile.conversation import Answer, Conversation, ask, raw
from tests.hostile.requests import valid_requests
from tests.hostile.test_fuzzed_requests import SEED, UNKNOWN_TO_HTTP
from tests.hostile.world import World
from tests.serving import Registry

HOST = b"Host: registry.example\r\n"
GET = b"GET /v2/ HTTP/1.1\r\n" + HOST
POST = b"POST /v2/test/blobs/uploads/ HTTP/1.1\r\n" + HOST
SMUGGLED = b"GET /v2/_catalog HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n"

REFUSED = {
    "nothing but a line feed and text": (b"\nhello\r\n\r\n", 400),
    "a TLS greeting": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 60 + b"\r\n\r\n", 400),
    "the first byte of a TLS greeting, and no more": (b"\x16", 400),
    "the preface of HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", (400, 505)),
    "HTTP/0.9": (b"GET /v2/\r\n\r\n", (400, 505)),
    "a version of the future": (b"GET /v2/ HTTP/3.0\r\n" + HOST + b"\r\n", (400, 505)),
    "no Host": (b"GET /v2/ HTTP/1.1\r\n\r\n", 400),
    "two Hosts": (GET + b"Host: other.example\r\n\r\n", 400),
    "a line folded": (GET + b"X: a\r\n b\r\n\r\n", 400),
    "a space before the colon": (POST + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n", 400),
    "a field without a name": (GET + b": a\r\n\r\n", 400),
    "a field without a colon": (GET + b"X\r\n\r\n", 400),
    "NUL in a value": (GET + b"X: a\0b\r\n\r\n", 400),
    "a bare CR in a value": (GET + b"X: a\rInjected: b\r\n\r\n", 400),
    "a bare CR in the target": (b"GET /v2/\rx HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "a space in the target": (b"GET /v2/ x HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "a control byte in the target": (b"GET /v2/\x01 HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "an unknown method": (b"BREW /v2/ HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "a tunnel": (b"CONNECT evil.example:443 HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "a target that is no URL": (b"GET http://[::1 HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "two lengths that differ": (POST + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
    "two lengths that agree": (POST + b"Content-Length: 0\r\nContent-Length: 0\r\n\r\n", 400),
    "a negative length": (POST + b"Content-Length: -1\r\n\r\n", 400),
    "a length with a sign": (POST + b"Content-Length: +0\r\n\r\n", 400),
    "a hexadecimal length": (POST + b"Content-Length: 0x0\r\n\r\n", 400),
    "a length beyond 64 bits": (POST + b"Content-Length: 99999999999999999999\r\n\r\n", 400),
    "an empty length": (POST + b"Content-Length: \r\n\r\n", 400),
    "length and chunks": (CHUNKED + b"Content-Length: 5\r\n\r\n0\r\n\r\n" + SMUGGLED, 400),
    "chunks and length": (POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + SMUGGLED, 400),
    "chunks by HTTP/1.0": (CHUNKED.replace(b"HTTP/1.1", b"HTTP/1.0") + b"\r\n0\r\n\r\n" + SMUGGLED, 400),
    "two transfer codings": (CHUNKED + b"Transfer-Encoding: identity\r\n\r\n0\r\n\r\n" + SMUGGLED, 400),
    "another transfer coding": (POST + b"Transfer-Encoding: gzip\r\n\r\n", (400, 501)),
    "a coding behind the chunks": (POST + b"Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n" + SMUGGLED, (400, 501)),
    "a coding that looks like chunks": (POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + SMUGGLED, (400, 501)),
    "a target of 9000 bytes": (b"GET /v2/" + b"a" * 9000 + b" HTTP/1.1\r\n" + HOST + b"\r\n", 414),
    "a request line without an end": (b"G" * 100_000, 414),
    "fields of 40 KB": (GET + b"X: " + b"a" * 40_000 + b"\r\n\r\n", 431),
    "ten thousand fields": (GET + b"X: a\r\n" * 10_000 + b"\r\n", 431),
}
BROKEN_BODIES = {
    "a chunk size that is no number": b"zz\r\nhello\r\n0\r\n\r\n",
    "a negative chunk": b"-5\r\nhello\r\n0\r\n\r\n",
    "a chunk size with 0x": b"0x5\r\nhello\r\n0\r\n\r\n",
    "a chunk size with an underscore": b"1_0\r\n" + b"a" * 16 + b"\r\n0\r\n\r\n",
    "a chunk size beyond 64 bits": b"fffffffffffffffff\r\nhello\r\n0\r\n\r\n",
    "a chunk longer than it says": b"3\r\nhello\r\n0\r\n\r\n",
    "chunk lines that end in LF": b"5\nhello\n0\n\n",
    "a size line without an end": b"5;" + b"a" * 10_000,
    "a chunk size of spaces": b"  \r\nhello\r\n0\r\n\r\n",
    "trailers without an end": b"0\r\n" + b"X: a\r\n" * 10_000 + b"\r\n",
    "a trailer that is none": b"0\r\nX\r\n\r\n",
}


def everything_said(registry: Registry, data: bytes) -> list[Answer]:
    """The answers to these bytes, up to the end of the connection."""
    with Conversation(registry.port) as conversation:
        conversation.say(data)
        return list(conversation.answers())


@pytest.mark.parametrize("what", REFUSED)
def test_it_is_refused_once_and_the_connection_ends(registry: Registry, civility: Civility, what: str) -> None:
    data, expected = REFUSED[what]
    answers = everything_said(registry, data)
    assert len(answers) == 1
    assert answers[0].closes
    assert answers[0].field("docker-distribution-api-version") == "registry/2.0"
    assert answers[0].status in (expected if isinstance(expected, tuple) else (expected,))
    civility.require(answers[0], api=True, may_be=UNKNOWN_TO_HTTP)


@pytest.mark.parametrize("route", ["manifest", "upload", "monolithic upload"])
@pytest.mark.parametrize("what", BROKEN_BODIES)
def test_a_broken_body_is_refused_and_nothing_behind_it_is_a_request(
    registry: Registry, civility: Civility, world: World, what: str, route: str
) -> None:
    target = {
        "manifest": f"PUT /v2/{world.name}/manifests/broken",
        "upload": f"PATCH /v2/{world.name}/blobs/uploads/{world.upload}",
        "monolithic upload": f"POST /v2/{world.name}/blobs/uploads/?digest={world.blob_digest}",
    }[route]
    fields = HOST + b"Content-Type: application/vnd.oci.image.manifest.v1+json\r\nTransfer-Encoding: chunked\r\n\r\n"
    answers = everything_said(registry, target.encode() + b" HTTP/1.1\r\n" + fields + BROKEN_BODIES[what] + SMUGGLED)
    assert [answer.status for answer in answers] == [400]
    civility.require(answers[0], api=True)


def test_a_request_hidden_in_a_body_is_no_request(registry: Registry) -> None:
    last = raw("GET", "/v2/", ("Connection", "close"))
    hidden = raw("GET", "/v2/nowhere/tags/list", body=SMUGGLED)
    answers = everything_said(registry, hidden + last)
    assert [answer.status for answer in answers] == [404, 200]
    assert answers[1].body == b"{}"


def test_pipelined_requests_are_answered_in_order(registry: Registry, world: World) -> None:
    manifest = raw("GET", f"/v2/{world.name}/manifests/{world.tag}")
    nowhere = raw("GET", "/v2/nowhere/tags/list")
    last = raw("GET", "/v2/", ("Connection", "close"))
    answers = everything_said(registry, (manifest + nowhere) * 50 + last)
    assert [answer.status for answer in answers] == [200, 404] * 50 + [200]
    assert {answer.body for answer in answers[0:100:2]} == {world.manifest}


def test_bytes_after_the_last_request_are_not_answered(registry: Registry) -> None:
    answers = everything_said(registry, raw("GET", "/v2/", ("Connection", "close")) + SMUGGLED)
    assert [answer.body for answer in answers] == [b"{}"]


def test_one_byte_at_a_time_is_still_a_request(registry: Registry) -> None:
    with Conversation(registry.port) as conversation:
        for byte in raw("GET", "/v2/"):
            conversation.say(bytes([byte]))
        answer = conversation.answer()
        assert answer is not None
        assert answer.status == 200


@pytest.mark.parametrize("part", range(3))
def test_damaged_bytes_are_never_answered_with_a_failure(
    registry: Registry, civility: Civility, world: World, part: int
) -> None:
    for number in range(part * 500, (part + 1) * 500):
        random = Random(f"{SEED}-bytes-{number}")
        data = damaged(random.choice(valid_requests(world, random)).raw(), random)
        with Conversation(registry.port) as conversation:
            conversation.say(data)
            conversation.fall_silent()
            try:
                for answer in conversation.answers("HEAD" if data.startswith(b"HEAD") else "GET"):
                    civility.require(answer, api=answer.status in (408, 413), may_be=UNKNOWN_TO_HTTP)
            except (AssertionError, TimeoutError) as error:
                raise AssertionError(f"seed {SEED}, number {number}: {error!r}\n{data[:3000]!r}") from error
    assert ask(registry.port, "GET", "/healthz").status == 200


def damaged(data: bytes, random: Random) -> bytes:
    """The bytes with some of them changed, gone, doubled, or followed by others."""
    for _ in range(random.choice((1, 1, 2, 5, 20))):
        place = random.randrange(len(data) + 1)
        length = random.choice((1, 1, 1, 5, 50))
        piece = data[place : place + length]
        noise = random.choice(
            (b"\r\n", b"\n", b"\r", b"\0", b" ", b":", b"\r\n\r\n", b"\xff", random.randbytes(length))
        )
        data = data[:place] + random.choice((b"", noise, piece * 3, noise + piece)) + data[place + length :]
    return data
