"""A blob that is larger than what room there is: it goes, and takes its bytes along."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hostile.civility import Civility
from tests.hostile.conversation import Answer, Conversation, ask, raw
from tests.hostile.world import World, begin_upload, digest_of
from tests.serving import Registry, registry_running
from tests.tools import absent, run

pytestmark = pytest.mark.real

MIB = 1024 * 1024
TOO_LARGE = bytes(64 * MIB)
FITS = b"fits " * (4 * MIB)


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    """With its data on a file system of 32 MiB, its log elsewhere."""
    if os.geteuid() != 0:
        absent("a small file system of its own takes root")
    data = tmp_path / "data"
    data.mkdir()
    run(["mount", "-t", "tmpfs", "-o", "size=32m", "none", data])
    try:
        with registry_running(tmp_path) as running:
            yield running
    finally:
        run(["umount", data])


def free(registry: Registry) -> int:
    room = os.statvfs(registry.data)
    return room.f_bavail * room.f_frsize


def sent(registry: Registry, method: str, target: str, body: bytes) -> Answer:
    with Conversation(registry.port, timeout=30) as conversation:
        conversation.say(raw(method, target, body=body))
        answer = conversation.answer(method)
        assert answer is not None
        Civility.of(registry).require(answer, api=True, may_be=(507,))
        return answer


def test_a_blob_in_one_request_that_does_not_fit_leaves_the_room_as_it_was(registry: Registry) -> None:
    world = World.pushed(registry.port, "app")
    before = free(registry)
    target = f"/v2/app/blobs/uploads/?digest={digest_of(TOO_LARGE)}"
    for _ in range(3):
        assert sent(registry, "POST", target, TOO_LARGE).status == 507
        assert free(registry) > before - MIB
        world.require_unharmed()
    fits = f"/v2/app/blobs/uploads/?digest={digest_of(FITS)}"
    assert sent(registry, "POST", fits, FITS).status == 201
    assert world.put(world.manifest, "again") == 201


def test_an_upload_that_does_not_fit_can_be_cancelled_on_the_full_disk(registry: Registry) -> None:
    world = World.pushed(registry.port, "app")
    before = free(registry)
    upload = f"/v2/app/blobs/uploads/{begin_upload(registry.port, 'app')}"
    assert sent(registry, "PATCH", upload, TOO_LARGE).status == 507
    filler = registry.data / "filler"
    with pytest.raises(OSError, match="No space left"):
        filler.write_bytes(bytes(32 * MIB))
    world.require_unharmed()
    cancelled = ask(registry.port, "DELETE", upload)
    assert cancelled.status == 204
    filler.unlink()
    assert free(registry) > before - MIB
    world.require_unharmed()
    assert ask(registry.port, "GET", upload).status == 404
