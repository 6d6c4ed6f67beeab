"""Manifests made to break what reads them."""

import contextlib
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from estiva import mediatypes
from tests.hostile.civility import Civility
from tests.hostile.conversation import Answer, Conversation, ask
from tests.hostile.world import CONFIG, World, descriptor, digest_of, image
from tests.serving import Registry

LIMIT = 4 * 1024 * 1024
DISCARDED = 16 * 1024 * 1024
"""What is read and thrown away, so that a client that sends first and reads later gets to see the answer."""
IN_THE_KERNEL = 12 * 1024 * 1024
"""What loopback sockets may hold on both sides."""
PIECE = b"a" * 65_536


def push(world: World, payload: bytes, media_type: str = mediatypes.OCI_MANIFEST, reference: str = "hostile") -> Answer:
    target = f"/v2/{world.name}/manifests/{reference}"
    return ask(world.port, "PUT", target, ("Content-Type", media_type), body=payload)


def code_of(answer: Answer) -> str:
    code: str = json.loads(answer.body)["errors"][0]["code"]
    return code


def padded(length: int) -> bytes:
    empty = json.dumps(image(annotations={"padding": ""})).encode()
    return json.dumps(image(annotations={"padding": "x" * (length - len(empty))})).encode()


def head(world: World, *fields: str) -> bytes:
    lines = [f"PUT /v2/{world.name}/manifests/large HTTP/1.1", "Host: registry.example", *fields]
    return "\r\n".join([*lines, f"Content-Type: {mediatypes.OCI_MANIFEST}", "", ""]).encode()


def test_a_manifest_of_four_mebibytes_is_taken_and_of_one_byte_more_is_not(world: World) -> None:
    assert push(world, padded(LIMIT)).status == 201
    refused = push(world, padded(LIMIT + 1))
    assert (refused.status, code_of(refused)) == (413, "MANIFEST_INVALID")


def test_what_is_announced_too_large_is_refused_before_it_is_sent(world: World) -> None:
    with Conversation(world.port) as conversation:
        conversation.say(head(world, f"Content-Length: {LIMIT + 1}"))
        answer = conversation.answer()
        assert answer is not None
        assert (answer.status, answer.closes) == (413, True)


def test_a_client_that_waits_to_be_asked_for_what_is_too_large_is_not_asked(world: World) -> None:
    with Conversation(world.port) as conversation:
        conversation.say(head(world, f"Content-Length: {LIMIT + 1}", "Expect: 100-continue"))
        assert conversation.socket.recv(1 << 16).startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize("framing", ["Content-Length: 1000000000000", "Transfer-Encoding: chunked"])
def test_an_endless_manifest_is_cut_off(world: World, civility: Civility, framing: str) -> None:
    chunk = b"%x\r\n%b\r\n" % (len(PIECE), PIECE)

    def pieces() -> Iterator[bytes]:
        for _ in range(10_000):
            yield chunk if "chunked" in framing else PIECE

    with Conversation(world.port) as conversation:
        conversation.say(head(world, framing))
        sent = conversation.say_as_much_as_it_takes(pieces())
        assert sent < LIMIT + DISCARDED + IN_THE_KERNEL
    with Conversation(world.port) as conversation:
        conversation.say(head(world, framing) + chunk * (LIMIT // len(PIECE) + 1))
        answer = conversation.answer()
        assert answer is not None
        civility.require(answer, api=True)
        assert (answer.status, code_of(answer)) == (413, "MANIFEST_INVALID")


def test_nothing_of_a_manifest_that_breaks_off_is_kept(world: World) -> None:
    with Conversation(world.port) as conversation:
        conversation.say(head(world, f"Content-Length: {len(world.manifest)}") + world.manifest[:-1])
    assert ask(world.port, "GET", f"/v2/{world.name}/manifests/large").status == 404


def test_large_manifests_that_are_never_finished_take_no_more_than_their_share(
    world: World, civility: Civility
) -> None:
    payload = padded(LIMIT)
    with contextlib.ExitStack() as stack:
        held = [stack.enter_context(Conversation(world.port)) for _ in range(40)]
        for conversation in held:
            conversation.say(head(world, f"Content-Length: {LIMIT}") + payload[:-1])
        assert push(world, padded(60_000)).status == 201
        assert ask(world.port, "GET", "/v2/").status == 200
        for conversation in held:
            conversation.say(payload[-1:])
        answers = [conversation.answer() for conversation in held]
    statuses = [answer.status for answer in answers if answer is not None]
    assert len(statuses) == 40
    assert statuses.count(503) >= 5
    assert statuses.count(201) == 40 - statuses.count(503)
    for answer in answers:
        if answer is not None and answer.status == 503:
            assert (code_of(answer), answer.field("retry-after")) == ("UNAVAILABLE", "2")
            civility.require(answer, api=True, may_be=(503,))
    assert push(world, payload).status == 201


def nested(levels: int) -> bytes:
    """The image with an annotation-like member that makes it that deep in all."""
    return json.dumps(image())[:-1].encode() + b',"deep":' + b'{"a":' * (levels - 1) + b"1" + b"}" * (levels - 1) + b"}"


def test_a_manifest_may_be_32_levels_deep_and_no_deeper(world: World) -> None:
    assert push(world, nested(32)).status == 201
    assert push(world, nested(33)).status == 400


def test_ten_thousand_layers_are_taken_and_one_more_is_not(world: World) -> None:
    layers = [descriptor(CONFIG)] * 10_001
    assert push(world, json.dumps(image(layers=layers[:-1])).encode()).status == 201
    assert push(world, json.dumps(image(layers=layers)).encode()).status == 400


SLOW_TO_READ = {
    "quotes that are all escaped": b'"\\' * (LIMIT // 2),
    "a string without an end": b'{"a":"' + b"\\\\" * (LIMIT // 2 - 10),
    "quotes": b'"' * LIMIT,
    "brackets that open": b"[" * LIMIT,
    "brackets that close": b"]" * LIMIT,
    "empty lists": b"[" + b"[]," * (LIMIT // 3 - 10) + b"0]",
    "empty objects": b'{"a":[' + b"{}," * (LIMIT // 3 - 10) + b"0]}",
    "a number of four million digits": b'{"schemaVersion":' + b"1" * (LIMIT - 20) + b"}",
    "a million keys": b"{" + b",".join(b'"%x":0' % number for number in range(400_000)) + b"}",
    "minus signs": b"-" * LIMIT,
    "white space": b" " * LIMIT,
}


@pytest.mark.parametrize("what", SLOW_TO_READ)
def test_nothing_takes_long_to_refuse_and_others_are_answered_meanwhile(world: World, what: str) -> None:
    payload = SLOW_TO_READ[what]
    assert len(payload) <= LIMIT
    with Conversation(world.port) as slow:
        begun = time.monotonic()
        slow.say(head(world, f"Content-Length: {len(payload)}") + payload)
        assert ask(world.port, "GET", "/v2/").status == 200
        answer = slow.answer()
        assert time.monotonic() - begun < 5  # a second at most on a machine with nothing else to do
        assert answer is not None
        assert answer.status == 400


def test_a_referrer_with_half_a_character_is_refused_and_not_a_failure(world: World) -> None:
    subject = descriptor(world.manifest, mediatypes.OCI_MANIFEST)
    for members in (
        {"artifactType": "a/\ud800"},
        {"config": {**descriptor(CONFIG), "mediaType": "a/\udfff"}},
        {"annotations": {"\ud800": "a"}},
        {"annotations": {"a": "\ud800\ud800"}},
    ):
        assert push(world, json.dumps(image(subject=subject, **members)).encode()).status == 400
    whole = push(world, json.dumps(image(subject=subject, annotations={"a": "\U0001f600"})).encode())
    assert whole.status == 201
    referrers = ask(world.port, "GET", f"/v2/{world.name}/referrers/{world.manifest_digest}")
    assert json.loads(referrers.body)["manifests"][0]["annotations"] == {"a": "\U0001f600"}


AMBIGUOUS: dict[str, tuple[Any, str]] = {
    "an image and an index at once": (image(manifests=[]), mediatypes.OCI_MANIFEST),
    "an index and an image at once": (image(manifests=[], mediaType=mediatypes.OCI_INDEX), mediatypes.OCI_INDEX),
    "another type within": (image(mediaType=mediatypes.OCI_INDEX), mediatypes.OCI_MANIFEST),
    "another type without": (image(), mediatypes.DOCKER_MANIFEST),
    "a type that is no string": (image(mediaType=[mediatypes.OCI_MANIFEST]), mediatypes.OCI_MANIFEST),
    "a blob's type": (image(mediaType="application/octet-stream"), "application/octet-stream"),
}


@pytest.mark.parametrize("what", AMBIGUOUS)
def test_what_could_be_read_in_two_ways_is_refused(world: World, what: str) -> None:
    document, media_type = AMBIGUOUS[what]
    answer = push(world, json.dumps(document).encode(), media_type)
    assert (answer.status, code_of(answer)) == (400, "MANIFEST_INVALID")


@pytest.mark.parametrize("key", ["layers", "mediaType", "config", "schemaVersion"])
def test_the_same_key_twice_is_refused_at_any_level(world: World, key: str) -> None:
    text = json.dumps(image())
    assert push(world, text.replace("{", f'{{"{key}":{json.dumps(image()[key])},', 1).encode()).status == 400
    inner = text.replace('"layers": [{', '"layers": [{"size":1,')
    assert push(world, inner.encode()).status == 400


def test_odd_bytes_come_back_as_they_were_pushed(world: World) -> None:
    payload = (
        b"\t\r\n " + json.dumps(image(annotations={"b": "\u00e9", "a": "\0"}), ensure_ascii=True).encode() + b"\n\n"
    )
    assert push(world, payload, reference="odd").status == 201
    assert ask(world.port, "GET", f"/v2/{world.name}/manifests/odd").body == payload
    assert ask(world.port, "GET", f"/v2/{world.name}/manifests/{digest_of(payload)}").body == payload


def test_many_referrers_with_large_annotations_come_in_pages(registry: Registry, world: World) -> None:
    subject = descriptor(world.manifest, mediatypes.OCI_MANIFEST)
    for number in range(6):
        payload = json.dumps(
            image(subject=subject, annotations={"n": str(number), "padding": "x" * (LIMIT // 2)})
        ).encode()
        assert push(world, payload, reference=digest_of(payload)).status == 201
    target: str | None = f"/v2/{world.name}/referrers/{world.manifest_digest}"
    found: list[str] = []
    for _ in range(20):
        if target is None:
            break
        page = ask(registry.port, "GET", target)
        assert len(page.body) < 2 * LIMIT
        found += [entry["digest"] for entry in json.loads(page.body)["manifests"]]
        link = page.field("link")
        target = link[1 : link.index(">")] if link else None
    assert len(found) == len(set(found)) == 6


def test_an_index_that_lists_one_large_manifest_ten_thousand_times_costs_it_once(world: World) -> None:
    large = padded(LIMIT)
    child = descriptor(large, mediatypes.OCI_MANIFEST)
    assert push(world, large, reference="large").status == 201
    index = {"schemaVersion": 2, "mediaType": mediatypes.OCI_INDEX, "manifests": [child] * 10_000}
    tag = world.manifest_digest.replace(":", "-")
    assert push(world, json.dumps(index).encode(), mediatypes.OCI_INDEX, tag).status == 201
    begun = time.monotonic()
    referrers = ask(world.port, "GET", f"/v2/{world.name}/referrers/{world.manifest_digest}")
    assert time.monotonic() - begun < 5
    [entry] = json.loads(referrers.body)["manifests"]
    assert entry["digest"] == digest_of(large)
    assert entry["artifactType"] == mediatypes.OCI_EMPTY
    assert len(entry["annotations"]["padding"]) > LIMIT - 1000


def test_an_index_of_ten_thousand_absent_manifests_does_not_keep_the_registry_busy(world: World) -> None:
    absent = [{**descriptor(b"%d" % number), "urls": ["https://example.com"]} for number in range(10_000)]
    index = {"schemaVersion": 2, "mediaType": mediatypes.OCI_INDEX, "manifests": absent}
    tag = world.manifest_digest.replace(":", "-")
    assert push(world, json.dumps(index).encode(), mediatypes.OCI_INDEX, tag).status == 201
    begun = time.monotonic()
    for _ in range(20):
        referrers = ask(world.port, "GET", f"/v2/{world.name}/referrers/{world.manifest_digest}")
        assert json.loads(referrers.body)["manifests"] == []
    assert time.monotonic() - begun < 2
