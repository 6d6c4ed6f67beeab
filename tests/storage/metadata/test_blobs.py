import pytest

from estiva.digest import Digest
from estiva.errors import BlobUploadUnknown
from estiva.reference import RepositoryName
from storage.metadata import blobs, repositories, uploads
from storage.metadata.blobs import BlobRecord, UploadOf
from storage.metadata.database import ConstraintError, Database, Statement, Work
from storage.metadata.uploads import Standing
from tests.fixtures.documents import image
from tests.fixtures.facts import NAME, OTHER, count, enter_blob, enter_manifest

DIGEST = Digest.of(b"content")


def record(name: RepositoryName = NAME, key: str = "key", size: int = 7, upload: UploadOf | None = None) -> Work[str]:
    return blobs.record(name, upload, DIGEST, size, key)


def mark(state: str) -> Work[None]:
    yield Statement("UPDATE blobs SET state = :state", {"state": state})


async def test_a_recorded_blob_is_found_in_its_repository_alone(database: Database) -> None:
    assert await database.write(record) == "key"
    assert await database.read(blobs.find(NAME, DIGEST)) == BlobRecord(DIGEST, 7, "key")
    assert await database.read(blobs.find(OTHER, DIGEST)) is None
    assert await database.read(blobs.find(NAME, Digest.of(b"other"))) is None


async def test_recording_a_blob_ends_its_upload_and_no_other(database: Database) -> None:
    upload = UploadOf("upload", await database.write(lambda: repositories.ensure(NAME)))
    await database.write(lambda: record(upload=upload))
    assert await database.read(uploads.standing("upload")) is Standing.ENDED
    assert await database.read(uploads.standing("another")) is Standing.OPEN


async def test_an_upload_to_a_repository_that_was_deleted_makes_no_blob_in_one_of_the_same_name(
    database: Database,
) -> None:
    upload = UploadOf("upload", await database.write(lambda: repositories.ensure(NAME)) + 1)
    with pytest.raises(BlobUploadUnknown):
        await database.write(lambda: record(upload=upload))
    await database.write(lambda: repositories.delete(NAME))
    with pytest.raises(BlobUploadUnknown):
        await database.write(lambda: record(upload=upload._replace(repository=77)))
    assert await database.read(repositories.find(NAME)) is None


async def test_content_that_is_known_keeps_the_key_it_has(database: Database) -> None:
    await database.write(record)
    assert await database.write(lambda: record(key="second")) == "key"
    assert await database.write(lambda: record(OTHER, key="third")) == "key"
    assert await database.read(blobs.find(OTHER, DIGEST)) == BlobRecord(DIGEST, 7, "key")
    assert await count(database, "blobs") == 1


@pytest.mark.parametrize("state", ["missing", "corrupt"])
async def test_content_that_is_known_to_be_bad_is_not_shown_and_is_replaced_by_the_next_push(
    database: Database, state: str
) -> None:
    await database.write(record)
    await database.write(lambda: mark(state))
    assert await database.read(blobs.find(NAME, DIGEST)) is None
    assert await database.read(blobs.holders(DIGEST)) == []
    assert not await database.write(lambda: blobs.mount(OTHER, DIGEST, [NAME]))
    assert await database.write(lambda: record(OTHER, key="good", size=8)) == "good"
    assert await database.read(blobs.find(NAME, DIGEST)) == BlobRecord(DIGEST, 8, "good")


async def test_a_blob_has_no_other_state(database: Database) -> None:
    await database.write(record)
    with pytest.raises(ConstraintError):
        await database.write(lambda: mark("fine"))


async def test_two_blobs_never_share_a_key(database: Database) -> None:
    await database.write(record)
    with pytest.raises(ConstraintError):
        await database.write(lambda: blobs.record(NAME, None, Digest.of(b"other"), 5, "key"))


async def test_mounting_shows_the_blob_in_a_second_repository(database: Database) -> None:
    await database.write(record)
    assert await database.write(lambda: blobs.mount(OTHER, DIGEST, [RepositoryName("none"), NAME]))
    assert await database.write(lambda: blobs.mount(OTHER, DIGEST, [OTHER]))
    assert await database.read(blobs.find(OTHER, DIGEST)) == BlobRecord(DIGEST, 7, "key")


async def test_mounting_from_where_the_blob_is_not_changes_nothing(database: Database) -> None:
    await database.write(record)
    assert not await database.write(lambda: blobs.mount(OTHER, DIGEST, [RepositoryName("none"), OTHER]))
    assert not await database.write(lambda: blobs.mount(OTHER, DIGEST, []))
    assert await count(database, "repositories") == 1


async def test_holders_are_the_repositories_that_have_the_blob(database: Database) -> None:
    names = [RepositoryName(f"r{number}") for number in range(3)]
    for name in names:
        await database.write(lambda name=name: record(name))  # type: ignore[misc]
    await database.write(lambda: blobs.unlink(names[1], DIGEST))
    assert sorted(name.text for name in await database.read(blobs.holders(DIGEST))) == ["r0", "r2"]
    assert len(await database.read(blobs.holders(DIGEST, limit=1))) == 1


async def test_unlinking_takes_the_blob_out_of_one_repository(database: Database) -> None:
    await database.write(record)
    await database.write(lambda: record(OTHER))
    assert await database.write(lambda: blobs.unlink(NAME, DIGEST))
    assert await database.read(blobs.find(NAME, DIGEST)) is None
    assert await database.read(blobs.find(OTHER, DIGEST)) is not None
    assert not await database.write(lambda: blobs.unlink(NAME, DIGEST))


async def test_a_blob_that_a_manifest_needs_stays(database: Database) -> None:
    digest = await enter_blob(database, b"config")
    manifest = await enter_manifest(database, image(b"config"))
    with pytest.raises(ConstraintError):
        await database.write(lambda: blobs.unlink(NAME, digest))
    assert await database.read(blobs.find(NAME, digest)) is not None
    assert await database.read(blobs.user(NAME, digest)) == str(manifest)


async def test_a_manifest_of_another_repository_keeps_no_blob_here(database: Database) -> None:
    digest = await enter_blob(database, b"config")
    await enter_blob(database, b"config", OTHER)
    await enter_manifest(database, image(b"config"), name=OTHER)
    assert await database.read(blobs.user(NAME, digest)) is None
    assert await database.write(lambda: blobs.unlink(NAME, digest))


async def test_the_bytes_record_of_a_blob_stays_while_a_repository_has_it(database: Database) -> None:
    await database.write(record)

    def forget() -> Work[None]:
        yield Statement("DELETE FROM blobs")

    with pytest.raises(ConstraintError):
        await database.write(forget)
    await database.write(lambda: blobs.unlink(NAME, DIGEST))
    await database.write(forget)
    assert await count(database, "blobs") == 0
