"""Task definitions: documents by family and revision, which never change once they are entered."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from storage.metadata.clusters import as_json
from storage.metadata.database import Row, Statement, Work
from storage.metadata.deployments import ROLLBACK_DEPTH

ACTIVE = "ACTIVE"
INACTIVE = "INACTIVE"
DELETING = "DELETE_IN_PROGRESS"

SELECT = """
SELECT account, family, revision, status, document, images, tags, registered_at, deregistered_at
FROM task_definitions
"""
NEXT = """
INSERT INTO task_definition_families (account, family, last_revision) VALUES (:account, :family, 1)
ON CONFLICT (account, family) DO UPDATE SET last_revision = task_definition_families.last_revision + 1
RETURNING last_revision
"""
INSERT = """
INSERT INTO task_definitions (account, family, revision, status, document, images, tags, registered_at)
VALUES (:account, :family, :revision, 'ACTIVE', :document, :images, :tags, :now)
"""
ONE = SELECT + " WHERE account = :account AND family = :family AND revision = :revision"
LATEST = SELECT + (
    " WHERE account = :account AND family = :family AND status = 'ACTIVE' ORDER BY revision DESC LIMIT 1"
)
SET_STATUS = """
UPDATE task_definitions SET status = :status,
deregistered_at = CASE WHEN :status = 'ACTIVE' THEN NULL ELSE COALESCE(deregistered_at, :now) END
WHERE account = :account AND family = :family AND revision = :revision AND status = :was RETURNING revision
"""
# What a service would go back to needs its revision too: the last completed deployments of services that are there.
UNUSED = """
status = 'DELETE_IN_PROGRESS'
AND NOT EXISTS (SELECT 1 FROM tasks WHERE tasks.account = task_definitions.account
AND tasks.family = task_definitions.family AND tasks.revision = task_definitions.revision AND tasks.status < 8)
AND NOT EXISTS (SELECT 1 FROM deployments JOIN services ON services.account = deployments.account
AND services.cluster = deployments.cluster AND services.name = deployments.service AND services.status <> 'INACTIVE'
WHERE deployments.account = task_definitions.account
AND deployments.family = task_definitions.family AND deployments.revision = task_definitions.revision
AND (deployments.status <> 'INACTIVE' OR (deployments.rollout = 'COMPLETED' AND :depth > (SELECT COUNT(*)
FROM deployments AS newer WHERE newer.account = deployments.account AND newer.cluster = deployments.cluster
AND newer.service = deployments.service AND newer.rollout = 'COMPLETED'
AND newer.created_at > deployments.created_at))))
"""
DELETE = "DELETE FROM task_definitions WHERE account = :account AND "
FORGET = DELETE + "family = :family AND revision = :revision AND " + UNUSED + " RETURNING revision"
SWEEP = DELETE + UNUSED + " RETURNING revision"
ASCENDING = (
    SELECT
    + """
 WHERE account = :account AND status = :status AND substr(family, 1, :length) = :prefix
AND (family > :family OR (family = :family AND revision > :revision)) ORDER BY family, revision LIMIT :limit
"""
)
DESCENDING = (
    SELECT
    + """
 WHERE account = :account AND status = :status AND substr(family, 1, :length) = :prefix
AND (:family = '' OR family < :family OR (family = :family AND revision < :revision))
ORDER BY family DESC, revision DESC LIMIT :limit
"""
)
# Which families have an active revision is asked of the index.
FAMILIES = """
SELECT family FROM task_definition_families WHERE account = :account AND family > :last
AND substr(family, 1, :length) = :prefix AND (:status = 'ALL' OR (:status = 'ACTIVE') = EXISTS
(SELECT 1 FROM task_definitions WHERE task_definitions.account = task_definition_families.account
AND task_definitions.status = 'ACTIVE' AND task_definitions.family = task_definition_families.family))
ORDER BY family LIMIT :limit
"""


@dataclass(frozen=True, slots=True)
class DefinitionRecord:
    """A revision: `document` as ECS shows it, `images` (container → digest) as its tags were when it was registered."""

    account: str
    family: str
    revision: int
    status: str
    document: Mapping[str, Any]
    images: Mapping[str, str]
    tags: Sequence[Mapping[str, str]]
    registered_at: float
    deregistered_at: float | None = None


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which revisions to list: of this status, whose family begins with `prefix` (empty: all)."""

    status: str = ACTIVE
    prefix: str = ""
    descending: bool = False


def register(
    account: str,
    family: str,
    document: Mapping[str, Any],
    images: Mapping[str, str],
    tags: Sequence[Mapping[str, str]],
) -> Work[DefinitionRecord]:
    """Enter the next revision of the family."""
    rows = yield Statement(NEXT, {"account": account, "family": family})
    revision = rows[0][0]
    values = {"document": as_json(document), "images": as_json(images), "tags": as_json(tags)}
    yield Statement(INSERT, {"account": account, "family": family, "revision": revision, **values})
    entered = yield from find(account, family, revision)
    assert entered is not None
    return entered


def find(account: str, family: str, revision: int | None = None) -> Work[DefinitionRecord | None]:
    """That revision whatever its status; without one, the newest that is active."""
    values = {"account": account, "family": family}
    rows = yield Statement(LATEST, values) if revision is None else Statement(ONE, values | {"revision": revision})
    return _record(rows[0]) if rows else None


def set_status(record: DefinitionRecord, status: str) -> Work[bool]:
    """Move a revision from the status that was read to another: false where somebody else was quicker."""
    values = {"status": status, "was": record.status}
    rows = yield Statement(SET_STATUS, _key(record) | values)
    return bool(rows)


def set_tags(record: DefinitionRecord, tags: Sequence[Mapping[str, str]]) -> Work[None]:
    """Replace the tags of a revision."""
    yield Statement(
        "UPDATE task_definitions SET tags = :tags "
        "WHERE account = :account AND family = :family AND revision = :revision",
        _key(record) | {"tags": as_json(tags)},
    )


def forget(record: DefinitionRecord) -> Work[bool]:
    """Remove a revision that is DELETE_IN_PROGRESS and that no task or service needs: whether it went.

    A service needs those of its deployments, and of the one that it would go back to.
    """
    rows = yield Statement(FORGET, _key(record) | {"depth": ROLLBACK_DEPTH})
    return bool(rows)


def sweep(account: str) -> Work[int]:
    """Remove the account's revisions that are DELETE_IN_PROGRESS and that nothing needs any more: how many."""
    return len((yield Statement(SWEEP, {"account": account, "depth": ROLLBACK_DEPTH})))


def page(account: str, wanted: Wanted, last: tuple[str, int], limit: int) -> Work[list[DefinitionRecord]]:
    """At most `limit` revisions after (family, revision); the first page is after ("", 0)."""
    family, revision = last
    values = {"status": wanted.status, "prefix": wanted.prefix, "length": len(wanted.prefix), "limit": limit}
    rows = yield Statement(
        DESCENDING if wanted.descending else ASCENDING,
        {"account": account, "family": family, "revision": revision, **values},
    )
    return [_record(row) for row in rows]


def families(account: str, wanted: Wanted, last: str, limit: int) -> Work[list[str]]:
    """At most `limit` families after `last`: ACTIVE has an active revision, INACTIVE has none, or ALL."""
    values = {"status": wanted.status, "prefix": wanted.prefix, "length": len(wanted.prefix), "limit": limit}
    rows = yield Statement(FAMILIES, {"account": account, "last": last, **values})
    return [family for (family,) in rows]


def _key(record: DefinitionRecord) -> dict[str, Any]:
    return {"account": record.account, "family": record.family, "revision": record.revision}


def _record(row: Row) -> DefinitionRecord:
    account, family, revision, status, document, images, tags, registered_at, deregistered_at = row
    return DefinitionRecord(
        account,
        family,
        revision,
        status,
        json.loads(document),
        json.loads(images),
        json.loads(tags),
        registered_at,
        deregistered_at,
    )
