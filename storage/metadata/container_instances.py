"""Container instances: the engines of a cluster."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from storage.metadata.clusters import ClusterKey, as_json
from storage.metadata.database import Row, Statement, Work

SELECT = "SELECT account, cluster, id, endpoint, status, state, document, version, created_at FROM container_instances"
CREATE = """
INSERT INTO container_instances
(account, cluster, id, endpoint, status, state, document, version, created_at, updated_at)
VALUES (:account, :cluster, :id, :endpoint, :status, :state, :document, 1, :now, :now)
ON CONFLICT (account, cluster, id) DO NOTHING RETURNING id
"""
UPDATE = """
UPDATE container_instances SET endpoint = :endpoint, status = :status, state = :state, document = :document,
version = version + 1, updated_at = :now
WHERE account = :account AND cluster = :cluster AND id = :id AND version = :version RETURNING version
"""
ONE = SELECT + " WHERE account = :account AND cluster = :cluster AND id = :id"
PAGE = SELECT + " WHERE account = :account AND cluster = :cluster AND id > :last ORDER BY id LIMIT :limit"


@dataclass(frozen=True, slots=True)
class InstanceRecord:
    """An instance: `state` is the orchestrator's, `document` what ECS's operations keep (attributes, tags, …)."""

    key: ClusterKey
    id: str
    endpoint: str
    status: str
    state: Mapping[str, Any]
    document: Mapping[str, Any]
    version: int = 1
    created_at: float = 0.0


def create(record: InstanceRecord) -> Work[bool]:
    """Enter an instance: false where there is one of this id."""
    rows = yield Statement(CREATE, _values(record))
    return bool(rows)


def find(key: ClusterKey, identifier: str) -> Work[InstanceRecord | None]:
    """The instance of that id."""
    rows = yield Statement(ONE, {**key.parameters, "id": identifier})
    return _record(rows[0]) if rows else None


def update(record: InstanceRecord) -> Work[bool]:
    """Replace the version that was read: false where somebody else was quicker."""
    rows = yield Statement(UPDATE, _values(record) | {"version": record.version})
    return bool(rows)


def page(key: ClusterKey, last: str, limit: int) -> Work[list[InstanceRecord]]:
    """At most `limit` instances after `last`, by id, of whatever status."""
    rows = yield Statement(PAGE, {**key.parameters, "last": last, "limit": limit})
    return [_record(row) for row in rows]


def delete(key: ClusterKey, identifier: str) -> Work[bool]:
    """Remove an instance: whether it was there."""
    rows = yield Statement(
        "DELETE FROM container_instances WHERE account = :account AND cluster = :cluster AND id = :id RETURNING id",
        {**key.parameters, "id": identifier},
    )
    return bool(rows)


def _values(record: InstanceRecord) -> dict[str, Any]:
    return {
        **record.key.parameters,
        "id": record.id,
        "endpoint": record.endpoint,
        "status": record.status,
        "state": as_json(record.state),
        "document": as_json(record.document),
    }


def _record(row: Row) -> InstanceRecord:
    account, cluster, identifier, endpoint, status, state, document, version, created_at = row
    key = ClusterKey(account, cluster)
    return InstanceRecord(
        key, identifier, endpoint, status, json.loads(state), json.loads(document), version, created_at
    )
