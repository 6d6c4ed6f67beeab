import pytest

from estiva.reference import RepositoryName
from storage.metadata import repositories
from storage.metadata.database import Database
from tests.fixtures.documents import image, index
from tests.fixtures.facts import NAME, OTHER, count, enter_blob, enter_manifest

EVERY_TABLE = (
    "tags",
    "manifest_children",
    "manifest_blobs",
    "manifests",
    "repository_blobs",
    "repositories",
)


async def test_a_repository_is_made_once(database: Database) -> None:
    first = await database.write(lambda: repositories.ensure(NAME))
    assert await database.write(lambda: repositories.ensure(NAME)) == first
    assert await database.read(repositories.find(NAME)) == first
    assert await database.write(lambda: repositories.ensure(OTHER)) != first


async def test_there_is_no_repository_before_it_is_made(database: Database) -> None:
    assert await database.read(repositories.find(NAME)) is None


@pytest.mark.parametrize(
    ("last", "limit", "expected"),
    [
        ("", 10, ["a", "a-b", "a/b", "a0", "b"]),
        ("", 2, ["a", "a-b"]),
        ("a-b", 2, ["a/b", "a0"]),
        ("a.not.there", 10, ["a/b", "a0", "b"]),
        ("b", 10, []),
        ("", 0, []),
    ],
)
async def test_names_are_listed_in_byte_order_after_the_last_one(
    database: Database, last: str, limit: int, expected: list[str]
) -> None:
    for name in ("b", "a0", "a/b", "a-b", "a"):
        await database.write(lambda name=name: repositories.ensure(RepositoryName(name)))  # type: ignore[misc]
    assert await database.read(repositories.page(last, limit)) == expected


async def test_deleting_takes_everything_in_the_repository_and_nothing_of_another(database: Database) -> None:
    for name in (NAME, OTHER):
        config = b"{}"
        await enter_blob(database, config, name)
        await enter_manifest(database, image(config), "latest", name=name)
        await enter_manifest(
            database, index(image(config)), "all", name=name, media_type="application/vnd.oci.image.index.v1+json"
        )
    before = {table: await count(database, table) for table in EVERY_TABLE}
    identifier = await database.read(repositories.find(NAME))
    assert await database.write(lambda: repositories.delete(NAME)) == identifier
    assert {table: await count(database, table) for table in EVERY_TABLE} == {
        table: number // 2 for table, number in before.items()
    }
    assert all(number == 2 or table in ("tags", "manifests") for table, number in before.items())
    assert await count(database, "blobs") == 1


async def test_deleting_what_is_not_there_says_so(database: Database) -> None:
    assert await database.write(lambda: repositories.delete(NAME)) is None


async def test_a_name_that_comes_back_is_another_repository(database: Database) -> None:
    first = await database.write(lambda: repositories.ensure(NAME))
    await database.write(lambda: repositories.delete(NAME))
    assert await database.write(lambda: repositories.ensure(NAME)) > first
