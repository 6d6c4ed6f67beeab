import logging
from concurrent.futures import ThreadPoolExecutor

import pytest

from estiva.digest import Digest
from estiva.errors import StorageFull
from estiva.mediatypes import OCI_MANIFEST
from estiva.reference import Tag
from registry import Registry
from registry.begun import UploadKey
from registry.pushing import Pushing
from registry.reserve import GOOD_FOR, Reserve, ReserveSize
from registry.uploading import Uploading
from storage.blobs import BlobStore, Room
from storage.metadata.database import Database
from tests.fixtures.documents import image
from tests.fixtures.facts import NAME
from tests.fixtures.registry import body, push_blob


class Disk:
    """A disk of a thousand bytes, and a clock."""

    def __init__(self, free: int | None) -> None:
        self.free = free
        self.now = 100.0

    def room(self) -> Room | None:
        return None if self.free is None else Room(self.free, 1000)

    def reserve(self, size: str) -> Reserve:
        return Reserve(self.room, ReserveSize.parse(size), lambda: self.now)


@pytest.mark.parametrize(
    ("text", "of_a_thousand"), [("0", 0), ("300", 300), ("1%", 10), ("2.5%", 25), ("0%", 0), (".5%", 5)]
)
def test_a_reserve_is_a_number_of_bytes_or_a_share(text: str, of_a_thousand: int) -> None:
    assert ReserveSize.parse(text).of(1000) == of_a_thousand


@pytest.mark.parametrize("text", ["", "%", "-1", "1GB", "1 %", "100%", "1%%", "1e1%", "1.2.3%", "nan%"])
def test_anything_else_is_none(text: str) -> None:
    with pytest.raises(ValueError, match=r"is neither|no room"):
        ReserveSize.parse(text)


def test_below_the_reserve_nothing_is_taken_in() -> None:
    with pytest.raises(StorageFull, match="nearly full") as refused:
        Disk(99).reserve("10%").require()
    assert refused.value.headers == {"Retry-After": "60"}


def test_on_the_reserve_there_is_room_and_where_no_limit_is_known_always() -> None:
    Disk(100).reserve("10%").require()
    Disk(None).reserve("10%").require()


def test_enough_is_asked_about_once_a_second_and_too_little_each_time() -> None:
    disk = Disk(100)
    reserve = disk.reserve("100")
    reserve.require()
    disk.free = 99
    reserve.require()
    disk.now += GOOD_FOR
    with pytest.raises(StorageFull):
        reserve.require()
    disk.free = 100
    reserve.require()


def test_the_log_tells_once_when_it_begins_and_when_it_ends(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "estiva.registry")
    disk = Disk(99)
    reserve = disk.reserve("100")
    states = [reserve.is_short(), reserve.is_short()]
    disk.free = 500
    assert [*states, reserve.is_short(), reserve.is_short()] == [True, True, False, False]
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]


async def test_uploads_and_manifests_are_refused_and_pulls_and_deletes_go_on(
    registry: Registry, database: Database, blob_store: BlobStore, threads: ThreadPoolExecutor
) -> None:
    digest = await push_blob(registry, b"{}")
    disk = Disk(0)
    require = disk.reserve("1%").require
    uploading = Uploading(database, blob_store, threads, require)
    with pytest.raises(StorageFull):
        await uploading.start(NAME)
    with pytest.raises(StorageFull):
        await uploading.take(NAME, Digest.of(b"more"), b"more")
    with pytest.raises(StorageFull):
        await Pushing(database, threads, require_room=require).manifest(NAME, Tag("v1"), [], OCI_MANIFEST, image(b"{}"))
    assert (await registry.pulling.blob(NAME, digest)).size == 2
    await registry.deleting.blob(NAME, digest)


async def test_an_upload_that_meets_the_reserve_midway_keeps_its_bytes_and_goes_on_when_there_is_room(
    database: Database, blob_store: BlobStore, threads: ThreadPoolExecutor
) -> None:
    disk = Disk(500)
    uploading = Uploading(database, blob_store, threads, disk.reserve("1%").require)
    key = UploadKey(NAME, await uploading.start(NAME))
    assert await uploading.append(key, body(b"half ")) == 5
    disk.free, disk.now = 0, disk.now + GOOD_FOR
    with pytest.raises(StorageFull):
        await uploading.append(key, body(b"and half"))
    assert await uploading.offset(key) == 5
    disk.free = 500
    await uploading.finish(key, Digest.of(b"half and half"), body(b"and half"))


async def test_an_upload_whose_bytes_are_all_here_ends_though_there_is_no_room_for_more(
    registry: Registry, database: Database, blob_store: BlobStore, threads: ThreadPoolExecutor
) -> None:
    disk = Disk(500)
    uploading = Uploading(database, blob_store, threads, disk.reserve("1%").require)
    key = UploadKey(NAME, await uploading.start(NAME))
    await uploading.append(key, body(b"whole"))
    disk.free, disk.now = 0, disk.now + GOOD_FOR
    await uploading.finish(key, Digest.of(b"whole"), body())
    assert (await registry.pulling.blob(NAME, Digest.of(b"whole"))).size == 5


async def test_a_manifest_that_was_refused_is_taken_when_there_is_room(
    registry: Registry, database: Database, threads: ThreadPoolExecutor
) -> None:
    await push_blob(registry, b"{}")
    disk = Disk(0)
    pushing = Pushing(database, threads, require_room=disk.reserve("1%").require)
    with pytest.raises(StorageFull):
        await pushing.manifest(NAME, Tag("v1"), [], OCI_MANIFEST, image(b"{}"))
    disk.free = 500
    await pushing.manifest(NAME, Tag("v1"), [], OCI_MANIFEST, image(b"{}"))
