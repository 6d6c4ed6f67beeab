"""A jump of the clock is seen, and remembered for as long as is asked."""

import pytest

from storage.metadata.clock import AWAY, Presence, ran_evenly
from storage.metadata.database import Database, Statement, Work

HOUR = 3600.0


def shift(seconds: float) -> Work[None]:
    """What a clock that jumps by so much makes of everything that was noted."""
    yield Statement("UPDATE collection_state SET value = value - :seconds", {"seconds": seconds})


async def look(database: Database, seconds: float = 24 * HOUR, name: str = "this", present: float | None = 0.0) -> bool:
    return await database.write(lambda: ran_evenly(name, seconds, HOUR, present))


async def test_a_clock_that_was_never_looked_at_is_believed(database: Database) -> None:
    assert await look(database)
    assert await look(database)


@pytest.mark.parametrize("jump", [2 * HOUR, -2 * HOUR, 87_600 * HOUR])
async def test_a_jump_is_remembered_for_as_long_as_is_asked(database: Database, jump: float) -> None:
    assert await look(database)
    await database.write(lambda: shift(jump))
    assert not await look(database)
    assert not await look(database)
    for _ in range(48):
        await database.write(lambda: shift(HOUR / 2))
        assert await look(database, HOUR / 4)
        believed = await look(database)
    assert believed


async def test_less_than_that_is_no_jump(database: Database) -> None:
    assert await look(database)
    await database.write(lambda: shift(HOUR / 2))
    assert await look(database)


async def test_looks_of_another_name_say_nothing(database: Database) -> None:
    assert await look(database)
    await database.write(lambda: shift(2 * HOUR))
    assert await look(database, name="that")
    assert not await look(database)
    assert await look(database, name="that")


@pytest.mark.parametrize("gap", [2 * HOUR, 87_600 * HOUR])
async def test_a_gap_in_which_the_process_was_there_is_no_jump(database: Database, gap: float) -> None:
    assert await look(database)
    await database.write(lambda: shift(gap))
    assert await look(database, present=gap)


@pytest.mark.parametrize("present", [10 * HOUR, None])
async def test_a_clock_that_goes_back_is_never_accounted_for(database: Database, present: float | None) -> None:
    assert await look(database)
    await database.write(lambda: shift(-2 * HOUR))
    assert not await look(database, present=present)
    await database.write(lambda: shift(HOUR))
    assert not await look(database)


async def test_after_a_night_without_anybody_an_hour_is_enough(database: Database) -> None:
    assert await look(database)
    for _ in range(3):
        await database.write(lambda: shift(14 * HOUR))
        assert not await look(database, present=None)
        await database.write(lambda: shift(HOUR / 2))
        assert not await look(database)
        await database.write(lambda: shift(HOUR / 2))
        assert await look(database)


async def test_a_longer_absence_may_be_a_jump(database: Database) -> None:
    assert await look(database)
    await database.write(lambda: shift(AWAY + HOUR))
    assert not await look(database, present=None)
    await database.write(lambda: shift(HOUR))
    assert not await look(database)


async def test_an_absence_does_not_shorten_the_rest_after_a_jump(database: Database) -> None:
    assert await look(database)
    await database.write(lambda: shift(-2 * HOUR))
    assert not await look(database)
    await database.write(lambda: shift(2 * HOUR))
    assert not await look(database, present=None)
    await database.write(lambda: shift(HOUR))
    assert not await look(database)


def test_a_process_knows_how_long_it_was_there() -> None:
    presence = Presence()
    assert presence.since_last() is None
    since = presence.since_last()
    assert since is not None
    assert 0 <= since < 60
