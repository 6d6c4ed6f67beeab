"""Many clients at one tag, one blob, one upload: nobody is failed, and what is left is what one of them pushed."""

import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import pytest

from estiva import mediatypes
from tests.hostile.civility import require_quiet_log
from tests.hostile.conversation import Answer, Conversation, ask, raw
from tests.hostile.world import CHUNK, World, begin_upload, digest_of, image
from tests.serving import Registry, registry_running

T = TypeVar("T")
CLIENTS = 50


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    with registry_running(tmp_path_factory.mktemp("races")) as running:
        yield running
        require_quiet_log(running)


def all_at_once(clients: int, act: Callable[[int], T]) -> list[T]:
    """What `act` gives for 0, 1, ..., each called in a thread of its own when all of them are there."""
    together = threading.Barrier(clients)

    def one(number: int) -> T:
        together.wait(10)
        return act(number)

    with ThreadPoolExecutor(clients) as pool:
        return list(pool.map(one, range(clients)))


def manifest(number: int) -> bytes:
    return json.dumps(image(annotations={"number": str(number)})).encode()


def put(world: World, number: int, reference: str = "raced") -> Answer:
    target = f"/v2/{world.name}/manifests/{reference}"
    return ask(world.port, "PUT", target, ("Content-Type", mediatypes.OCI_MANIFEST), body=manifest(number))


def test_fifty_manifests_for_one_tag_are_all_taken_and_the_tag_is_one_of_them(registry: Registry) -> None:
    world = World.pushed(registry.port, "tag")
    assert {answer.status for answer in all_at_once(CLIENTS, lambda number: put(world, number))} == {201}
    pushed = {manifest(number) for number in range(CLIENTS)}
    assert ask(registry.port, "GET", "/v2/tag/manifests/raced").body in pushed
    for payload in pushed:
        assert ask(registry.port, "GET", f"/v2/tag/manifests/{digest_of(payload)}").body == payload


def test_every_read_during_retags_finds_a_whole_manifest(registry: Registry) -> None:
    world = World.pushed(registry.port, "retag")
    pushed = {manifest(number) for number in range(100)}
    assert put(world, 0).status == 201
    done = threading.Event()

    def read(_: int) -> int:
        count = 0
        with Conversation(registry.port) as conversation:
            while not done.is_set():
                answer = conversation.ask(raw("GET", "/v2/retag/manifests/raced"))
                assert answer.status == 200
                assert answer.body in pushed
                assert answer.field("docker-content-digest") == digest_of(answer.body)
                count += 1
        return count

    with ThreadPoolExecutor(4) as readers:
        counts = [readers.submit(read, number) for number in range(4)]
        try:
            for number in range(100):
                assert put(world, number).status == 201
                assert ask(registry.port, "GET", "/v2/retag/manifests/raced").body == manifest(number)
        finally:
            done.set()
        assert sum(count.result(10) for count in counts) > 100


def test_one_blob_pushed_fifty_times_at_once_is_there_once(registry: Registry) -> None:
    content = b"one blob " * 20_000
    target = f"/v2/blob/blobs/uploads/?digest={digest_of(content)}"
    answers = all_at_once(CLIENTS, lambda _: ask(registry.port, "POST", target, body=content))
    assert {answer.status for answer in answers} == {201}
    assert ask(registry.port, "GET", f"/v2/blob/blobs/{digest_of(content)}").body == content
    files = [path for path in (registry.data / "blobs").rglob("*") if digest_of(content)[7:] in path.name]
    assert len(files) == 1


@pytest.mark.parametrize("attempt", range(3))
def test_everything_at_one_upload_at_once_leaves_it_whole_ended_or_gone(registry: Registry, attempt: int) -> None:
    upload = f"/v2/upload/blobs/uploads/{begin_upload(registry.port, 'upload')}"
    assert ask(registry.port, "PATCH", upload, body=CHUNK).status == 202
    ended = f"{upload}?digest={digest_of(CHUNK)}"
    acts = [
        lambda: ask(registry.port, "PATCH", upload, ("Content-Range", "0-999"), body=CHUNK),
        lambda: ask(registry.port, "PATCH", upload, body=b""),
        lambda: ask(registry.port, "PUT", ended, body=b""),
        lambda: ask(registry.port, "GET", upload),
        lambda: ask(registry.port, "DELETE" if attempt else "GET", upload),
    ]
    answers = all_at_once(CLIENTS, lambda number: acts[number % len(acts)]())
    assert {answer.status for answer in answers} <= {201, 202, 204, 400, 404, 416}
    if 201 in {answer.status for answer in answers}:
        assert ask(registry.port, "GET", f"/v2/upload/blobs/{digest_of(CHUNK)}").body == CHUNK
    if not attempt:
        assert ask(registry.port, "PUT", ended, body=b"").status == 201


@pytest.mark.parametrize("attempt", range(3))
def test_a_manifest_is_taken_or_its_blob_is_deleted_but_never_both(registry: Registry, attempt: int) -> None:
    world = World.pushed(registry.port, f"closure/{attempt}")
    assert ask(registry.port, "DELETE", f"/v2/{world.name}/manifests/{world.manifest_digest}").status == 202
    blob = f"/v2/{world.name}/blobs/{world.blob_digest}"

    def act(number: int) -> int:
        return (put(world, number, f"t{number}") if number % 2 else ask(registry.port, "DELETE", blob)).status

    statuses = all_at_once(20, act)
    assert set(statuses[1::2]) <= {201, 400}
    assert set(statuses[0::2]) <= {202, 404, 409}
    accepted = 201 in statuses[1::2]
    assert accepted != (202 in statuses[0::2])
    assert ask(registry.port, "GET", blob).status == (200 if accepted else 404)


def test_a_repository_deleted_under_its_pushers_fails_nobody(registry: Registry) -> None:
    def act(number: int) -> int:
        if number % 10 == 0:
            return ask(registry.port, "DELETE", "/api/v1/repositories/vanishing").status
        content = b"%d" % number
        target = f"/v2/vanishing/blobs/uploads/?digest={digest_of(content)}"
        return ask(registry.port, "POST", target, body=content).status

    assert set(all_at_once(CLIENTS, act)) <= {201, 204, 404}
