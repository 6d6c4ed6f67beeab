"""What garbage collection judges, what it takes away, and what it never can."""

import pytest

from estiva.digest import Digest
from storage.metadata import blobs, collection, manifests, repositories, soundness
from storage.metadata.database import Database, Statement, Work
from tests.fixtures.documents import image
from tests.fixtures.facts import NAME, OTHER, count, enter_blob, enter_manifest

HOUR = 3600.0


async def sweep(database: Database, grace: float = 0.0) -> list[int]:
    """The sizes of what one sweep took away."""
    _, trashed = await database.write(lambda: collection.sweep(grace, 100))
    return sorted(trash.size for trash in trashed)


def age(seconds: float) -> Work[None]:
    """Let every promise and everything in the trash be older."""
    yield Statement("UPDATE blob_reviews SET promised_at = promised_at - :seconds", {"seconds": seconds})
    yield Statement("UPDATE trash SET since = since - :seconds", {"seconds": seconds})


async def test_what_nothing_needs_goes_to_the_trash_when_its_grace_is_over(database: Database) -> None:
    digest = await enter_blob(database, b"layer")
    assert await sweep(database, HOUR) == []
    await database.write(lambda: age(HOUR + 1))
    assert await database.read(collection.unneeded(HOUR)) == (1, 5)
    assert await sweep(database, HOUR) == [5]
    assert await database.read(blobs.find(NAME, digest)) is None
    assert await database.read(collection.trash()) == (1, 5)
    assert await database.read(collection.candidates()) == 0


async def test_what_a_manifest_needs_stays_and_is_judged_again_when_the_manifest_goes(database: Database) -> None:
    config, layer = await enter_blob(database, b"{}"), await enter_blob(database, b"layer")
    manifest = await enter_manifest(database, image(b"{}", b"layer"), "latest")
    assert await database.read(collection.unneeded(0)) == (0, 0)
    assert await sweep(database) == []
    assert await database.read(collection.candidates()) == 0
    assert await database.write(lambda: manifests.delete(NAME, manifest))
    assert await sweep(database) == [2, 5]
    assert [await database.read(blobs.find(NAME, digest)) for digest in (config, layer)] == [None, None]


async def test_what_another_repository_needs_leaves_only_where_nothing_needs_it(database: Database) -> None:
    layer = await enter_blob(database, b"{}")
    await enter_manifest(database, image(b"{}"), "latest")
    assert await database.write(lambda: blobs.mount(OTHER, layer, [NAME]))
    assert await sweep(database) == []
    assert await database.read(blobs.find(NAME, layer)) is not None
    assert await database.read(blobs.find(OTHER, layer)) is None


async def test_a_deleted_repository_leaves_everything_to_be_judged(database: Database) -> None:
    await enter_blob(database, b"{}")
    await enter_manifest(database, image(b"{}"), "latest")
    await sweep(database)
    await database.write(lambda: repositories.delete(NAME))
    assert await sweep(database) == [2]


async def test_a_blob_that_was_unlinked_is_judged(database: Database) -> None:
    digest = await enter_blob(database, b"layer")
    assert await database.write(lambda: blobs.unlink(NAME, digest))
    assert await sweep(database) == [5]


@pytest.mark.parametrize("promise", ["upload", "mount", "look"])
async def test_an_answer_is_a_promise_for_another_grace(database: Database, promise: str) -> None:
    digest = await enter_blob(database, b"layer")
    await database.write(lambda: age(2 * HOUR))
    if promise == "upload":
        await enter_blob(database, b"layer")
    elif promise == "mount":
        assert await database.write(lambda: blobs.mount(OTHER, digest, [NAME]))
    else:
        assert await database.write(lambda: blobs.renew(NAME, digest)) is not None
    assert await sweep(database, HOUR) == []
    assert await database.read(blobs.find(NAME, digest)) is not None


async def test_nothing_is_promised_of_what_is_gone(database: Database) -> None:
    digest = await enter_blob(database, b"layer")
    await sweep(database)
    assert await database.write(lambda: blobs.renew(NAME, digest)) is None
    assert await database.read(collection.candidates()) == 0


async def test_pushed_again_it_has_a_key_of_its_own(database: Database) -> None:
    digest = await enter_blob(database, b"layer")
    before = await database.read(blobs.find(NAME, digest))
    await sweep(database)
    await enter_blob(database, b"layer")
    after = await database.read(blobs.find(NAME, digest))
    assert before is not None
    assert after is not None
    assert before.key != after.key
    (trash,) = await database.read(collection.expired_trash(0, 10))
    assert trash.key == before.key


async def test_replaced_bytes_go_to_the_trash(database: Database) -> None:
    digest = await enter_blob(database, b"layer")
    bad = await database.read(blobs.find(NAME, digest))
    await database.write(lambda: mark("corrupt"))
    await enter_blob(database, b"layer")
    (trash,) = await database.read(collection.expired_trash(0, 10))
    assert bad is not None
    assert trash.key == bad.key


def mark(state: str) -> Work[None]:
    yield Statement("UPDATE blobs SET state = :state", {"state": state})


async def test_a_sweep_takes_no_more_than_it_may_the_oldest_first(database: Database) -> None:
    for content in (b"1", b"22", b"333"):
        await database.write(lambda: age(1))
        await enter_blob(database, content)
    judged, trashed = await database.write(lambda: collection.sweep(0, 2))
    assert (judged, sorted(trash.size for trash in trashed)) == (2, [1, 2])


async def test_trash_stays_for_its_delay_and_is_then_forgotten(database: Database) -> None:
    await enter_blob(database, b"layer")
    await sweep(database)
    assert await database.read(collection.expired_trash(HOUR, 10)) == []
    await database.write(lambda: age(HOUR + 1))
    (trash,) = await database.read(collection.expired_trash(HOUR, 10))
    assert await database.read(soundness.forgotten([trash.key, "another"])) == ["another"]
    await database.write(lambda: collection.forget_trash([trash.key]))
    assert await database.read(soundness.forgotten([trash.key])) == [trash.key]
    assert await count(database, "trash") == 0


async def test_a_hold_stops_everything_until_it_ends(database: Database) -> None:
    await enter_blob(database, b"layer")
    await sweep(database)
    await enter_blob(database, b"another")
    await database.write(lambda: collection.hold(HOUR))
    assert await sweep(database) == []
    assert await database.read(collection.expired_trash(0, 10)) == []
    await database.write(lambda: collection.hold(0))
    assert await sweep(database) == [7]
    assert len(await database.read(collection.expired_trash(0, 10))) == 2


@pytest.mark.parametrize("jump", [2 * HOUR, -2 * HOUR, 87_600 * HOUR])
async def test_a_jump_of_the_clock_does_not_end_a_hold(database: Database, jump: float) -> None:
    assert await database.write(lambda: collection.tick(HOUR))
    await database.write(lambda: collection.hold(10 * HOUR))
    await database.write(lambda: shift(jump))
    assert not await database.write(lambda: collection.tick(HOUR))
    await database.write(lambda: shift(9 * HOUR))
    assert await database.read(collection.is_held())
    assert not await database.write(lambda: collection.tick(HOUR))
    await database.write(lambda: shift(HOUR / 2))
    assert await database.write(lambda: collection.tick(HOUR))
    assert await database.read(collection.is_held())


async def test_a_hold_in_a_database_that_was_put_back_lasts_as_long_as_any(database: Database) -> None:
    assert await database.write(lambda: collection.tick(HOUR))
    await database.write(lambda: shift(8_760 * HOUR))  # a year ago
    await database.write(lambda: collection.hold(HOUR))
    assert not await database.write(lambda: collection.tick(2 * HOUR))
    await database.write(lambda: shift(HOUR + 1))
    assert await database.write(lambda: collection.tick(2 * HOUR))
    assert not await database.read(collection.is_held())


@pytest.mark.parametrize("jump", [2 * HOUR, -2 * HOUR])
async def test_when_the_clock_jumped_everything_begins_its_time_anew(database: Database, jump: float) -> None:
    assert await database.write(lambda: collection.tick(HOUR))
    await enter_blob(database, b"layer")
    await database.write(lambda: shift(jump))
    assert not await database.write(lambda: collection.tick(HOUR))
    assert await database.write(lambda: collection.tick(HOUR))
    assert await sweep(database, HOUR) == []
    assert await sweep(database) == [5]


async def test_a_collection_that_is_seldom_made_is_made(database: Database) -> None:
    assert await database.write(lambda: collection.tick(HOUR))
    await enter_blob(database, b"layer")
    await database.write(lambda: shift(24 * HOUR))
    assert await database.write(lambda: collection.tick(HOUR, 24 * HOUR))
    assert await sweep(database, HOUR) == [5]


async def test_what_is_in_the_trash_grows_old_in_nights_without_anybody(database: Database) -> None:
    await enter_blob(database, b"layer")
    await sweep(database)
    assert await database.write(lambda: collection.tick(HOUR))
    await database.write(lambda: shift(14 * HOUR))
    assert not await database.write(lambda: collection.tick(HOUR))
    assert len(await database.read(collection.expired_trash(14 * HOUR, 10))) == 1
    await database.write(lambda: shift(14 * HOUR))
    assert not await database.write(lambda: collection.tick(HOUR, 60.0))  # the process was there: the clock was set
    assert await database.read(collection.expired_trash(HOUR, 10)) == []


def shift(seconds: float) -> Work[None]:
    """What a clock that jumps by so much makes of everything that was written down."""
    yield Statement("UPDATE collection_state SET value = value - :seconds", {"seconds": seconds})
    yield from age(seconds)


async def test_a_blob_that_never_was_is_no_trouble(database: Database) -> None:
    await database.write(lambda: collection.review(Digest.of(b"never")))
    judged, trashed = await database.write(lambda: collection.sweep(0, 10))
    assert (judged, trashed) == (1, [])


async def test_a_clock_that_jumps_after_it_was_looked_at_takes_nothing(database: Database) -> None:
    def ten_years_pass_since_the_tick() -> Work[None]:
        for column in ("blob_reviews SET promised_at = promised_at", "trash SET since = since"):
            yield Statement(f"UPDATE {column} - 315360000")
        yield Statement("UPDATE collection_state SET value = value - 315360000 WHERE name = 'tick'")

    digest = await enter_blob(database, b"promised")
    await database.write(lambda: collection.discard("sha256/00/gone.1", str(digest), 1, "unused"))
    assert await database.write(lambda: collection.tick(HOUR))
    await database.write(ten_years_pass_since_the_tick)
    assert await database.write(lambda: collection.sweep(HOUR, 10)) == (0, [])
    assert await database.read(collection.expired_trash(HOUR, 10)) == []
    assert not await database.write(lambda: collection.tick(HOUR))
    assert await database.write(lambda: collection.sweep(HOUR, 10)) == (0, [])
    assert await database.read(collection.expired_trash(HOUR, 10)) == []
    assert (await database.write(lambda: collection.sweep(0, 10)))[0] == 1
