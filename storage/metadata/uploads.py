"""Uploads: which unfinished upload belongs to which repository. Its bytes and offset are the blob store's."""

from dataclasses import dataclass

from estiva.digest import Algorithm
from estiva.reference import RepositoryName
from storage.metadata import repositories
from storage.metadata.database import Statement, Work
from storage.metadata.quotas import Quota

START = """
INSERT INTO uploads (id, repository_id, algorithm, principal, started_at)
VALUES (:id, :repository, :algorithm, :owner, :now)
"""
FIND = """
SELECT uploads.algorithm, uploads.principal FROM uploads JOIN repositories ON repositories.id = uploads.repository_id
WHERE uploads.id = :id AND repositories.name = :name
"""
FIND_WITH_QUOTAS = """
SELECT uploads.algorithm, uploads.principal, quotas.subject, quotas.limit_bytes, quotas.used_bytes
FROM uploads JOIN repositories ON repositories.id = uploads.repository_id
LEFT JOIN quotas ON quotas.subject IN (:all, :one) WHERE uploads.id = :id AND repositories.name = :one
"""
NOTE_SHORT = "UPDATE uploads SET short_part_end = :offset WHERE id = :id AND short_part_end IS NULL"


@dataclass(frozen=True, slots=True)
class UploadRecord:
    """An unfinished upload, the algorithm its content is hashed with while it arrives, and who began it."""

    id: str
    repository: RepositoryName
    algorithm: Algorithm
    owner: str = ""


def start(upload: UploadRecord) -> Work[None]:
    """Enter a new upload, and its repository where there was none."""
    repository = yield from repositories.ensure(upload.repository)
    values = {"id": upload.id, "repository": repository, "algorithm": upload.algorithm.value, "owner": upload.owner}
    yield Statement(START, values)


def find(name: RepositoryName, upload_id: str) -> Work[UploadRecord | None]:
    """The upload, None where this repository has none of that id."""
    rows = yield Statement(FIND, {"id": upload_id, "name": name.key})
    return UploadRecord(upload_id, name, Algorithm(rows[0][0]), rows[0][1]) if rows else None


def find_with_quotas(name: RepositoryName, upload_id: str) -> Work[tuple[UploadRecord | None, list[Quota]]]:
    """The upload as `find`, and the quotas that it will count for, the account's first."""
    rows = yield Statement(FIND_WITH_QUOTAS, {"id": upload_id, **Quota.subjects(name)})
    record = UploadRecord(upload_id, name, Algorithm(rows[0][0]), rows[0][1]) if rows else None
    return record, Quota.from_rows(sorted(row[2:] for row in rows if row[2] is not None))


def note_short_part(upload_id: str, offset: int) -> Work[None]:
    """Remember where the first part ends that is too short to be followed by another."""
    yield Statement(NOTE_SHORT, {"id": upload_id, "offset": offset})


def short_part_end(upload_id: str) -> Work[int | None]:
    """Where the first such part of the upload ends; None where there is none."""
    rows = yield Statement("SELECT short_part_end FROM uploads WHERE id = :id", {"id": upload_id})
    return rows[0][0] if rows else None


def forget(upload_id: str) -> Work[None]:
    """Remove the upload's entry. Idempotent."""
    yield Statement("DELETE FROM uploads WHERE id = :id", {"id": upload_id})


def started_before(moment: float, limit: int) -> Work[list[str]]:
    """The ids of at most `limit` uploads that began before `moment`, the oldest first."""
    rows = yield Statement(
        "SELECT id FROM uploads WHERE started_at < :moment ORDER BY started_at LIMIT :limit",
        {"moment": moment, "limit": limit},
    )
    return [identifier for (identifier,) in rows]
