import pytest

from storage.metadata import uploads
from storage.metadata.database import Database
from storage.metadata.uploads import Standing
from tests.fixtures.facts import select


async def test_the_secret_is_that_of_whoever_came_first(database: Database) -> None:
    assert await database.write(lambda: uploads.secret(b"first")) == b"first"
    assert await database.write(lambda: uploads.secret(b"second")) == b"first"


async def test_an_upload_ends_once(database: Database) -> None:
    assert await database.read(uploads.standing("b")) is Standing.OPEN
    assert await database.write(lambda: uploads.end("b"))
    assert not await database.write(lambda: uploads.end("b"))
    assert await database.read(uploads.standing("b")) is Standing.ENDED
    assert await database.read(uploads.standing("a")) is Standing.OPEN


async def test_a_note_of_an_upload_that_has_ended_says_so(database: Database) -> None:
    await database.write(lambda: uploads.note("b"))
    assert await database.read(uploads.standing("b")) is Standing.NOTED
    assert await database.write(lambda: uploads.end("b"))
    await database.write(lambda: uploads.note("b"))
    assert await database.read(uploads.standing("b")) is Standing.ENDED


async def test_the_first_short_part_is_remembered_until_the_upload_is_old(database: Database) -> None:
    assert await database.read(uploads.short_part_end("b")) is None
    for offset in (5, 9):
        await database.write(lambda offset=offset: uploads.note_short_part("b", offset))  # type: ignore[misc]
    assert await database.read(uploads.short_part_end("b")) == 5
    assert await database.read(uploads.standing("b")) is Standing.NOTED
    assert await database.write(lambda: uploads.end("b"))
    assert await database.read(uploads.standing("b")) is Standing.ENDED


@pytest.mark.parametrize(("oldest", "noted"), [("a", ["a", "b", "c"]), ("b", ["b", "c"]), ("d", ["b"])])
async def test_what_is_old_says_nothing_more_once_it_has_ended(
    database: Database, oldest: str, noted: list[str]
) -> None:
    await database.write(lambda: uploads.secret(b"secret"))
    await database.write(lambda: uploads.note_short_part("b", 5))
    for upload in ("a", "c"):
        await database.write(lambda upload=upload: uploads.end(upload))  # type: ignore[misc]
    await database.write(lambda: uploads.expire(oldest, "a"))
    assert await database.read(select("SELECT id FROM upload_notes ORDER BY id")) == [(upload,) for upload in noted]


async def test_what_began_before_the_oldest_is_old_and_stays_so(database: Database) -> None:
    await database.write(lambda: uploads.secret(b"secret"))
    await database.write(lambda: uploads.expire("b", "a"))
    await database.write(lambda: uploads.expire("a", "a"))  # a clock that was set back
    assert await database.read(uploads.standing("a")) is Standing.OLD
    assert await database.read(uploads.standing("b")) is Standing.OPEN


async def test_notes_of_what_began_longest_ago_are_forgotten(database: Database) -> None:
    await database.write(lambda: uploads.secret(b"secret"))
    await database.write(lambda: uploads.note_short_part("b", 5))
    await database.write(lambda: uploads.expire("d", "c"))
    assert await database.read(uploads.short_part_end("b")) is None
