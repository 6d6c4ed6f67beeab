import pytest

from estiva.digest import Digest
from estiva.reference import Tag
from storage.metadata import manifests, repositories, tags
from storage.metadata.database import ConstraintError, Database, Work
from tests.fixtures.documents import image
from tests.fixtures.facts import NAME, OTHER, enter_blob, enter_manifest, select


@pytest.fixture
async def two(database: Database) -> tuple[Digest, Digest]:
    """Two manifests of one repository, without tags."""
    await enter_blob(database, b"one")
    await enter_blob(database, b"two")
    return await enter_manifest(database, image(b"one")), await enter_manifest(database, image(b"two"))


def move(digest: Digest, *names: str) -> Work[None]:
    repository = yield from repositories.ensure(NAME)
    yield from tags.move(repository, [Tag(name) for name in names], str(digest))


async def tagged_at(database: Database) -> object:
    [(moment,)] = await database.read(select("SELECT tagged_at FROM tags"))
    return moment


async def test_a_tag_moves_to_another_manifest(database: Database, two: tuple[Digest, Digest]) -> None:
    for digest in two:
        await database.write(lambda digest=digest: move(digest, "latest"))  # type: ignore[misc]
        found = await database.read(manifests.find(NAME, Tag("latest")))
        assert found is not None
        assert found.digest == digest
    assert await database.read(tags.page(NAME, "", 10)) == ["latest"]


async def test_a_push_that_changes_nothing_leaves_the_time_of_tagging(
    database: Database, two: tuple[Digest, Digest]
) -> None:
    await database.write(lambda: move(two[0], "latest"))
    first = await tagged_at(database)
    await database.write(lambda: move(two[0], "latest"))
    assert await tagged_at(database) == first
    await database.write(lambda: move(two[1], "latest"))
    assert await tagged_at(database) != first


async def test_a_tag_points_at_nothing_that_is_not_there(database: Database, two: tuple[Digest, Digest]) -> None:
    await database.write(lambda: move(two[0], "latest"))
    with pytest.raises(ConstraintError):
        await database.write(lambda: move(Digest.of(b"absent"), "new", "latest"))
    assert await database.read(tags.page(NAME, "", 10)) == ["latest"]


@pytest.mark.parametrize(
    ("last", "limit", "expected"),
    [
        ("", 10, ["1", "10", "2", "A", "_", "a", "a.b"]),
        ("", 3, ["1", "10", "2"]),
        ("10", 2, ["2", "A"]),
        ("Z", 10, ["_", "a", "a.b"]),
        ("a.b", 10, []),
    ],
)
async def test_tags_are_listed_in_byte_order_after_the_last_one(
    database: Database, two: tuple[Digest, Digest], last: str, limit: int, expected: list[str]
) -> None:
    await database.write(lambda: move(two[0], "a", "A", "_", "10", "1", "2", "a.b"))
    assert await database.read(tags.page(NAME, last, limit)) == expected


async def test_another_repository_has_none_of_them(database: Database, two: tuple[Digest, Digest]) -> None:
    await database.write(lambda: move(two[0], "latest"))
    assert await database.read(tags.page(OTHER, "", 10)) == []
    assert not await database.write(lambda: tags.delete(OTHER, Tag("latest")))


async def test_deleting_a_tag_leaves_the_manifest_and_its_other_tags(
    database: Database, two: tuple[Digest, Digest]
) -> None:
    await database.write(lambda: move(two[0], "one", "two"))
    assert await database.write(lambda: tags.delete(NAME, Tag("one")))
    assert not await database.write(lambda: tags.delete(NAME, Tag("one")))
    assert await database.read(tags.page(NAME, "", 10)) == ["two"]
    assert await database.read(manifests.find(NAME, two[0])) is not None
