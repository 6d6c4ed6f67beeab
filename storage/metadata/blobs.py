"""Blobs: which bytes have which digest, and in which repositories they may be seen."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from estiva.digest import Digest
from estiva.errors import BlobUploadUnknown
from estiva.reference import RepositoryName
from storage.metadata import collection, quotas, repositories, uploads
from storage.metadata.database import Statement, Work
from storage.metadata.quotas import Quota

FIND = """
SELECT blobs.size, blobs.store_key, blob_reviews.promised_at FROM repositories
JOIN repository_blobs ON repository_blobs.repository_id = repositories.id
JOIN blobs ON blobs.digest = repository_blobs.digest
LEFT JOIN blob_reviews ON blob_reviews.digest = blobs.digest
WHERE repositories.name = :name AND repository_blobs.digest = :digest AND blobs.state = 'live'
"""
# Content that is known to be bad is replaced by the next push of it; good content stays as it is.
RECORD = """
INSERT INTO blobs (digest, size, store_key, state, created_at) VALUES (:digest, :size, :key, 'live', :now)
ON CONFLICT (digest) DO UPDATE SET size = excluded.size, store_key = excluded.store_key, state = 'live'
WHERE blobs.state <> 'live' RETURNING store_key
"""
RECORD_NEW = """
INSERT INTO blobs (digest, size, store_key, state, created_at) VALUES (:digest, :size, :key, 'live', :now)
ON CONFLICT (digest) DO NOTHING RETURNING store_key
"""
# With how many quotas the blob may count for: mostly none, and then nobody asks further.
LINK = """
INSERT INTO repository_blobs (repository_id, digest, created_at)
SELECT :repository, digest, :now FROM blobs WHERE digest = :digest AND state = 'live'
ON CONFLICT (repository_id, digest) DO NOTHING
RETURNING (SELECT COUNT(*) FROM quotas WHERE subject IN (:all, :one))
"""
UNLINK = """
DELETE FROM repository_blobs
WHERE repository_id = (SELECT id FROM repositories WHERE name = :name) AND digest = :digest RETURNING digest
"""
HOLDERS = """
SELECT repositories.name FROM repository_blobs
JOIN repositories ON repositories.id = repository_blobs.repository_id
JOIN blobs ON blobs.digest = repository_blobs.digest
WHERE repository_blobs.digest = :digest AND blobs.state = 'live' LIMIT :limit
"""
USERS = """
SELECT manifest_digest FROM manifest_blobs
WHERE repository_id = (SELECT id FROM repositories WHERE name = :name) AND blob_digest = :digest LIMIT 1
"""


@dataclass(frozen=True, slots=True)
class BlobRecord:
    """A blob as its repository shows it: where its bytes are, and how many."""

    digest: Digest
    size: int
    key: str
    promised_at: float | None = field(default=None, compare=False)
    """When it was last promised, while garbage collection has yet to judge it; None where something needs it."""


class UploadOf(NamedTuple):
    """An upload's id, and that of the repository it was begun for."""

    id: str
    repository: int


def find(name: RepositoryName, digest: Digest) -> Work[BlobRecord | None]:
    """The blob, None where this repository does not have it (whoever else may)."""
    rows = yield Statement(FIND, {"name": name.key, "digest": str(digest)})
    return BlobRecord(digest, *rows[0]) if rows else None


def record(name: RepositoryName, upload: UploadOf | None, digest: Digest, size: int, key: str) -> Work[str]:
    """Enter a committed upload's blob into its repository: the key under which the digest is served from now on.

    Where that is another key than the one given, the content was known, and the given key is nobody's. QuotaExceeded;
    BlobUploadUnknown where the upload's repository was deleted meanwhile, unless another of its name has the blob. No
    upload: content of which nobody was told.
    """
    repository = yield from repositories.ensure(name)
    if upload is not None:
        yield from _end(upload, repository, name, digest)
    # First, as a sweep takes these rows in the same order: neither then waits for the other.
    yield from collection.review(digest)
    entered = yield Statement(RECORD_NEW, {"digest": str(digest), "size": size, "key": key})
    if not entered:
        yield from collection.discard_bad(digest)
        entered = yield Statement(RECORD, {"digest": str(digest), "size": size, "key": key})
    yield from _link(repository, name, digest, size)
    if entered:
        return key
    rows = yield Statement("SELECT store_key FROM blobs WHERE digest = :digest", {"digest": str(digest)})
    served: str = rows[0][0]
    return served


def holders(digest: Digest, limit: int = 100) -> Work[list[RepositoryName]]:
    """Repositories that have this blob, at most `limit`."""
    rows = yield Statement(HOLDERS, {"digest": str(digest), "limit": limit})
    return [RepositoryName.of_key(name) for (name,) in rows]


def mount(name: RepositoryName, digest: Digest, sources: Sequence[RepositoryName]) -> Work[bool]:
    """Show the blob in `name` too, if one of `sources` (still) has it: whether one had. QuotaExceeded."""
    for source in sources:
        found = yield from find(source, digest)
        if found is not None:
            repository = yield from repositories.ensure(name)
            yield from collection.review(digest)
            yield from _link(repository, name, digest, found.size)
            # Nothing was linked where a sweep came between the look and the promise.
            return (yield from find(name, digest)) is not None
    return False


def _end(upload: UploadOf, repository: int, name: RepositoryName, digest: Digest) -> Work[None]:
    yield from uploads.end(upload.id)
    if upload.repository != repository and (yield from find(name, digest)) is None:
        raise BlobUploadUnknown(detail={"upload": upload.id[:128]})


def _link(repository: int, name: RepositoryName, digest: Digest, size: int) -> Work[None]:
    """Show the blob in the repository, where it counts if it is new there. QuotaExceeded."""
    linked = yield Statement(LINK, {"repository": repository, "digest": str(digest), **Quota.subjects(name)})
    if linked and linked[0][0]:
        yield from quotas.add(name, size, digest)


def user(name: RepositoryName, digest: Digest) -> Work[str | None]:
    """The digest of a manifest of this repository that needs the blob, None where none does."""
    rows = yield Statement(USERS, {"name": name.key, "digest": str(digest)})
    return rows[0][0] if rows else None


def unlink(name: RepositoryName, digest: Digest) -> Work[bool]:
    """Take the blob out of this repository: whether it was there. ConstraintError while a manifest needs it."""
    found = yield from find(name, digest)
    if found is None:
        return False
    yield from collection.review(digest)
    if (yield Statement(UNLINK, {"name": name.key, "digest": str(digest)})):
        yield from quotas.remove(name, found.size, digest)
    return True


def renew(name: RepositoryName, digest: Digest) -> Work[BlobRecord | None]:
    """The blob, promised for another grace; None where this repository does not have it (any more)."""
    yield from collection.renew(digest)
    # Asked for only now: a sweep that came first has taken it away.
    return (yield from find(name, digest))
