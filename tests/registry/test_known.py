from pathlib import Path

from estiva.reference import RepositoryName
from registry.known import KnownRepositories
from storage.metadata import quotas, repositories
from storage.metadata.database import Database
from storage.metadata.sqlite import SQLiteDatabase
from tests.fixtures.facts import NAME, OTHER, enter_blob


async def test_a_repository_is_known_with_its_id_and_whether_it_is_limited(database: Database) -> None:
    known = KnownRepositories(database)
    assert await known.find(NAME) is None
    identifier = await database.write(lambda: repositories.ensure(NAME))
    for _ in range(2):
        assert await known.find(NAME) == (identifier, False)
    await database.write(lambda: quotas.put(NAME, 5), serializable=False)
    for _ in range(2):
        assert await known.find(NAME) == (identifier, True)
    await database.write(lambda: quotas.delete(NAME))
    assert await known.find(NAME) == (identifier, False)
    await database.write(lambda: repositories.delete(NAME))
    assert await known.find(NAME) is None


async def test_a_quota_of_the_account_limits_each_repository(database: Database) -> None:
    known = KnownRepositories(database)
    for name in (NAME, OTHER):
        await database.write(lambda name=name: repositories.ensure(name))  # type: ignore[misc]
    await database.write(lambda: quotas.put(RepositoryName(quotas.ALL), 5), serializable=False)
    for name in (NAME, OTHER):
        found = await known.find(name)
        assert found is not None
        assert found.is_limited


async def test_what_another_process_changes_is_known_at_once(database_file: Path) -> None:
    here, there = SQLiteDatabase(database_file), SQLiteDatabase(database_file)
    try:
        known = KnownRepositories(here)
        identifier = await here.write(lambda: repositories.ensure(NAME))
        for _ in range(3):
            assert await known.find(NAME) == (identifier, False)
            await enter_blob(here, b"content")
            await there.write(lambda: quotas.put(NAME, 50), serializable=False)
            await enter_blob(here, b"more")
            assert await known.find(NAME) == (identifier, True)
            await there.write(lambda: quotas.delete(NAME))
        await there.write(lambda: repositories.delete(NAME))
        assert await known.find(NAME) is None
    finally:
        await here.close()
        await there.close()
