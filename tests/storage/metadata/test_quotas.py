from functools import partial

import pytest

from estiva.digest import Digest
from estiva.errors import QuotaExceeded
from estiva.reference import RepositoryName
from storage.metadata import blobs, collection, manifests, quotas, repositories
from storage.metadata.database import Database, Statement, Work
from storage.metadata.quotas import ALL, Quota
from tests.fixtures.documents import image
from tests.fixtures.facts import NAME, OTHER, count, enter_blob, enter_manifest

ACCOUNT = RepositoryName(ALL)
THIRD = RepositoryName("library/third")
FOREIGN = RepositoryName("library/hello", "123456789012")
LAYER = b"l" * 100
MANIFEST = image(LAYER)


async def put(database: Database, subject: RepositoryName, limit: int = 10_000) -> None:
    await database.write(lambda: quotas.put(subject, limit), serializable=False)


async def used(database: Database, subject: RepositoryName) -> int:
    """What is counted, which is also what counting anew finds."""
    found = await database.read(quotas.find(subject))
    assert found is not None
    assert not await database.write(lambda: quotas.recount(subject), serializable=False)
    return found.used


async def every(database: Database) -> list[int]:
    return [await used(database, subject) for subject in (ACCOUNT, NAME, OTHER)]


@pytest.fixture
async def counted(database: Database) -> Database:
    """With quotas for the account and two repositories."""
    for subject in (ACCOUNT, NAME, OTHER):
        await put(database, subject)
    return database


async def test_a_blob_counts_for_each_repository_that_shows_it_and_once_for_the_account(counted: Database) -> None:
    digest = await enter_blob(counted, LAYER)
    assert await every(counted) == [100, 100, 0]
    await enter_blob(counted, LAYER)
    await enter_blob(counted, LAYER, OTHER)
    assert await every(counted) == [100, 100, 100]
    assert await counted.write(lambda: blobs.mount(THIRD, digest, [NAME]))
    assert await counted.write(lambda: blobs.mount(OTHER, digest, [NAME]))
    assert await every(counted) == [100, 100, 100]


async def test_a_manifest_counts_once_for_each_repository_that_has_it(counted: Database) -> None:
    for name in (NAME, OTHER):
        await enter_blob(counted, LAYER, name)
        for tag in ("1", "2"):
            await enter_manifest(counted, MANIFEST, tag, name=name)
    length = len(MANIFEST)
    assert await every(counted) == [100 + 2 * length, 100 + length, 100 + length]


async def test_accounts_are_counted_apart(counted: Database) -> None:
    whole = RepositoryName(ALL, FOREIGN.account)
    await put(counted, whole)
    await enter_blob(counted, LAYER)
    await enter_blob(counted, LAYER, FOREIGN)
    await enter_blob(counted, b"theirs", FOREIGN)
    assert await every(counted) == [100, 100, 0]
    assert await used(counted, whole) == 106


async def test_what_was_there_when_the_quota_was_set_counts(database: Database) -> None:
    await enter_blob(database, LAYER)
    await enter_manifest(database, MANIFEST, "1")
    await enter_blob(database, LAYER, OTHER)
    await enter_blob(database, LAYER * 2, FOREIGN)
    for subject in (ACCOUNT, NAME, OTHER):
        await put(database, subject, 1)
    assert await every(database) == [100 + len(MANIFEST), 100 + len(MANIFEST), 100]


async def test_what_is_removed_makes_room(counted: Database) -> None:
    for name in (NAME, OTHER):
        await enter_blob(counted, LAYER, name)
    digest = await enter_manifest(counted, MANIFEST, "1")
    assert await counted.write(lambda: manifests.delete_with_tags(NAME, digest)) is not None
    assert await every(counted) == [100, 100, 100]
    assert await counted.write(lambda: blobs.unlink(NAME, Digest.of(LAYER)))
    assert await every(counted) == [100, 0, 100]
    assert not await counted.write(lambda: blobs.unlink(NAME, Digest.of(LAYER)))
    assert await counted.write(lambda: blobs.unlink(OTHER, Digest.of(LAYER)))
    assert await every(counted) == [0, 0, 0]


async def test_a_repository_that_goes_takes_everything_with_it_and_its_quota_stays(counted: Database) -> None:
    for name in (NAME, OTHER):
        await enter_blob(counted, LAYER, name)
    await enter_blob(counted, b"alone")
    await enter_manifest(counted, MANIFEST, "1")
    await counted.write(lambda: repositories.delete(NAME))
    assert await every(counted) == [100, 0, 100]
    await counted.write(lambda: repositories.delete(OTHER))
    assert await every(counted) == [0, 0, 0]


async def test_what_is_collected_makes_room(counted: Database) -> None:
    for name in (NAME, OTHER, THIRD, FOREIGN):
        await enter_blob(counted, LAYER, name)
    await enter_blob(counted, b"needed", OTHER)
    await enter_manifest(counted, image(b"needed"), "1", name=OTHER)

    def sweep() -> Work[object]:
        yield Statement("UPDATE blob_reviews SET promised_at = promised_at - 60")
        return (yield from collection.sweep(1, 100))

    await counted.write(sweep, serializable=False)
    kept = 6 + len(image(b"needed"))
    assert await every(counted) == [kept, 0, kept]
    assert await count(counted, "blobs") == 1


@pytest.mark.parametrize("subject", [ACCOUNT, NAME], ids=["account", "repository"])
async def test_to_the_last_byte_and_no_further(database: Database, subject: RepositoryName) -> None:
    await put(database, subject, 100)
    await enter_blob(database, LAYER)
    with pytest.raises(QuotaExceeded, match="adding 1 bytes would exceed the quota of") as refused:
        await enter_blob(database, b"x")
    assert refused.value.detail == {"limit": 100, "used": 100, "requested": 1}
    assert (refused.value.status, refused.value.code) == (403, "DENIED")
    with pytest.raises(QuotaExceeded):
        await enter_manifest(database, MANIFEST, "1")
    assert await used(database, subject) == 100
    assert await database.read(blobs.find(NAME, Digest.of(b"x"))) is None
    await enter_blob(database, LAYER)


async def test_what_the_account_has_may_be_shown_again_where_the_repository_has_room(database: Database) -> None:
    digest = await enter_blob(database, LAYER)
    await put(database, ACCOUNT, 0)
    await put(database, OTHER, 100)
    assert await database.write(lambda: blobs.mount(OTHER, digest, [NAME]))
    await put(database, THIRD, 99)
    with pytest.raises(QuotaExceeded):
        await database.write(lambda: blobs.mount(THIRD, digest, [NAME]))
    assert await database.read(blobs.find(THIRD, digest)) is None


async def test_a_quota_below_what_is_held_refuses_only_what_is_new(database: Database) -> None:
    await enter_blob(database, LAYER)
    await put(database, NAME, 10)
    await enter_blob(database, LAYER)
    with pytest.raises(QuotaExceeded, match="100 of 10 bytes are used"):
        await enter_blob(database, b"x")
    await enter_blob(database, b"x", OTHER)
    assert await database.write(lambda: blobs.unlink(NAME, Digest.of(LAYER)))
    await enter_blob(database, b"x")


async def test_a_figure_that_is_wrong_is_found_and_mended(counted: Database) -> None:
    await enter_blob(counted, LAYER)

    def spoil() -> Work[None]:
        yield Statement("UPDATE quotas SET used_bytes = 7")

    await counted.write(spoil)
    for subject in (ACCOUNT, NAME, OTHER):
        assert await counted.write(partial(quotas.recount, subject), serializable=False)
    assert await every(counted) == [100, 100, 0]


async def test_quotas_are_listed_and_removed(counted: Database) -> None:
    assert await counted.read(quotas.page("", 2)) == [Quota(ACCOUNT, 10_000, 0), Quota(NAME, 10_000, 0)]
    assert await counted.read(quotas.page(NAME.key, 2)) == [Quota(OTHER, 10_000, 0)]
    await put(counted, OTHER, 5)
    assert await counted.read(quotas.fullest(1)) == [Quota(OTHER, 5, 0)]
    assert await counted.write(lambda: quotas.delete(OTHER))
    assert not await counted.write(lambda: quotas.delete(OTHER))
    assert await counted.read(quotas.find(OTHER)) is None
