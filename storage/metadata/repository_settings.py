"""What is known of repositories beside their names: how their tags move, whether they are scanned, their own tags."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from estiva.reference import RepositoryName
from storage.metadata import accounts, mutability
from storage.metadata.database import Row, Statement, Work
from storage.metadata.mutability import TagMutability

COLUMNS = "id, name, created_at, tag_mutability, mutability_exclusions, scan_on_push, encryption"
FIND = f"SELECT {COLUMNS} FROM repositories WHERE name = :name"  # noqa: S608 - a list of columns
PAGE = f"""
SELECT {COLUMNS} FROM repositories WHERE name > :last AND name < :end ORDER BY name LIMIT :limit
"""  # noqa: S608 - a list of columns
SET_SCAN = "UPDATE repositories SET scan_on_push = :scan_on_push WHERE id = :repository"
SET_ENCRYPTION = "UPDATE repositories SET encryption = :encryption WHERE id = :repository"
TAGS = "SELECT name, value FROM repository_tags WHERE repository_id = :repository ORDER BY name"
TAG = """
INSERT INTO repository_tags (repository_id, name, value) VALUES (:repository, :tag, :value)
ON CONFLICT (repository_id, name) DO UPDATE SET value = excluded.value
"""
UNTAG = "DELETE FROM repository_tags WHERE repository_id = :repository AND name = :tag"


@dataclass(frozen=True, slots=True)
class RepositoryRecord:
    """A repository with its settings."""

    id: int
    name: RepositoryName
    created_at: float
    mutability: TagMutability
    scan_on_push: bool
    encryption: str


def find(name: RepositoryName) -> Work[RepositoryRecord | None]:
    """The repository, None where there is none."""
    rows = yield Statement(FIND, {"name": name.key})
    return _record(rows[0]) if rows else None


def page(last: str, limit: int, account: str) -> Work[list[RepositoryRecord]]:
    """At most `limit` repositories of that account after name `last`, in byte order."""
    rows = yield Statement(PAGE, {**accounts.between(account, last), "limit": limit})
    return [_record(row) for row in rows]


def set_scan_on_push(repository: int, scan_on_push: bool) -> Work[None]:
    """Say whether images are to be scanned when they are pushed."""
    yield Statement(SET_SCAN, {"repository": repository, "scan_on_push": scan_on_push})


def set_encryption(repository: int, encryption: str) -> Work[None]:
    """Keep what the repository's creator said of encryption; the blob store does what it does."""
    yield Statement(SET_ENCRYPTION, {"repository": repository, "encryption": encryption})


def set_mutability(repository: int, value: TagMutability) -> Work[None]:
    """See `mutability.put`."""
    yield from mutability.put(repository, value)


def tags(repository: int) -> Work[dict[str, str]]:
    """The repository's own tags (not those of its images), by key."""
    rows = yield Statement(TAGS, {"repository": repository})
    return dict((key, value) for key, value in rows)


def put_tags(repository: int, values: Mapping[str, str]) -> Work[None]:
    """Set these tags, in place of older ones of the same keys."""
    yield Statement(TAG, many=[{"repository": repository, "tag": key, "value": values[key]} for key in sorted(values)])


def delete_tags(repository: int, keys: Sequence[str]) -> Work[None]:
    """Remove the tags of these keys. Idempotent."""
    yield Statement(UNTAG, many=[{"repository": repository, "tag": key} for key in sorted(keys)])


def _record(row: Row) -> RepositoryRecord:
    identifier, key, created_at, mode, exclusions, scan, encryption = row
    return RepositoryRecord(
        identifier, RepositoryName.of_key(key), created_at, mutability.parsed(mode, exclusions), bool(scan), encryption
    )
