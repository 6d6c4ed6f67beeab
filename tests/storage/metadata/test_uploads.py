import time

import pytest

from estiva.digest import Algorithm
from storage.metadata import uploads
from storage.metadata.database import ConstraintError, Database
from storage.metadata.uploads import UploadRecord
from tests.fixtures.facts import NAME, OTHER, count, enter_upload, select


@pytest.mark.parametrize("algorithm", list(Algorithm))
async def test_an_upload_is_found_in_its_repository_alone(database: Database, algorithm: Algorithm) -> None:
    upload = UploadRecord("upload", NAME, algorithm)
    await database.write(lambda: uploads.start(upload))
    assert await database.read(uploads.find(NAME, "upload")) == upload
    assert await database.read(uploads.find(OTHER, "upload")) is None
    assert await database.read(uploads.find(NAME, "another")) is None


async def test_an_upload_makes_its_repository(database: Database) -> None:
    await enter_upload(database, "upload")
    assert await database.read(select("SELECT name FROM repositories")) == [(NAME.text,)]


async def test_an_id_is_used_once(database: Database) -> None:
    await enter_upload(database, "upload")
    with pytest.raises(ConstraintError):
        await enter_upload(database, "upload", OTHER)
    assert await count(database, "repositories") == 1


async def test_forgetting_is_idempotent(database: Database) -> None:
    await enter_upload(database, "upload")
    for _ in range(2):
        await database.write(lambda: uploads.forget("upload"))
        assert await database.read(uploads.find(NAME, "upload")) is None


async def test_old_uploads_are_told_the_oldest_first(database: Database) -> None:
    for upload_id in ("c", "a", "b"):
        await enter_upload(database, upload_id)
    assert await database.read(uploads.started_before(time.time() - 60, 10)) == []
    assert await database.read(uploads.started_before(time.time() + 60, 10)) == ["c", "a", "b"]
    assert await database.read(uploads.started_before(time.time() + 60, 2)) == ["c", "a"]
