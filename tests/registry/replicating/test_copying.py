"""What a replication leaves behind: the image's status, and an event."""

from estiva.digest import Digest
from estiva.reference import Tag
from registry.replicating.copying import completed
from storage.metadata import events
from storage.metadata.database import Database
from storage.metadata.events import Action
from storage.metadata.replications import Destination
from tests.fixtures.documents import image
from tests.fixtures.events import enter_webhook
from tests.fixtures.facts import NAME, enter_blob, enter_manifest, select

THERE = Destination("eu-west-1", "000000000000")


async def test_a_completed_replication_is_an_event_and_a_status(database: Database) -> None:
    await enter_webhook(database, "first")
    await enter_blob(database, b"{}")
    digest = await enter_manifest(database, image(b"{}"), "v1")
    await database.write(lambda: completed(NAME, digest, Tag("v1"), THERE))
    (delivery,) = await database.write(lambda: events.claim(10, 60, 3))
    assert (delivery.action, delivery.digest, delivery.tag) == (Action.REPLICATE, str(digest), "v1")
    assert delivery.detail == {"destinationRegion": "eu-west-1", "destinationRegistry": "000000000000"}
    assert await database.read(select("SELECT status FROM image_replications")) == [("COMPLETE",)]


async def test_one_without_a_tag_is_told_by_its_digest(database: Database) -> None:
    await enter_webhook(database, "first")
    digest = Digest.of(b"gone meanwhile")
    await database.write(lambda: completed(NAME, digest, digest, THERE))
    (delivery,) = await database.write(lambda: events.claim(10, 60, 3))
    assert (delivery.digest, delivery.tag) == (str(digest), None)
