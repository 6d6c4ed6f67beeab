"""Services, each with the version that whoever changes it must have read."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from storage.metadata.clusters import ClusterKey, as_json
from storage.metadata.database import Row, Statement, Work

INACTIVE = "INACTIVE"

SELECT = "SELECT account, cluster, name, status, state, document, version, created_at FROM services"
# The name of a service that is gone may be used again.
CREATE = """
INSERT INTO services
(account, cluster, name, status, state, document, deploys_on_push, version, created_at, updated_at)
VALUES (:account, :cluster, :name, :status, :state, :document, :deploys_on_push, 1, :now, :now)
ON CONFLICT (account, cluster, name) DO UPDATE SET status = excluded.status, state = excluded.state,
document = excluded.document, deploys_on_push = excluded.deploys_on_push, version = services.version + 1,
created_at = excluded.created_at, updated_at = excluded.updated_at WHERE services.status = 'INACTIVE' RETURNING name
"""
UPDATE = """
UPDATE services SET status = :status, state = :state, document = :document, deploys_on_push = :deploys_on_push,
version = version + 1, updated_at = :now
WHERE account = :account AND cluster = :cluster AND name = :name AND version = :version RETURNING version
"""
OF_CLUSTER = SELECT + " WHERE account = :account AND cluster = :cluster AND name "
PAGE = OF_CLUSTER + "> :last AND status <> 'INACTIVE' ORDER BY name LIMIT :limit"
FORGET_PAST = (
    "DELETE FROM service_events WHERE account = :account AND cluster = :cluster AND service = :service",
    "DELETE FROM deployments WHERE account = :account AND cluster = :cluster AND service = :service",
    "DELETE FROM image_uses WHERE account = :account AND cluster = :cluster AND kind = 'deployment' "
    "AND service = :service",
)


@dataclass(frozen=True, slots=True)
class ServiceRecord:
    """A service: `state` is the orchestrator's, `document` what ECS's operations keep (tags, …)."""

    key: ClusterKey
    name: str
    status: str
    state: Mapping[str, Any]
    document: Mapping[str, Any]
    version: int = 1
    created_at: float = 0.0


def create(record: ServiceRecord) -> Work[bool]:
    """Enter a service, in place of an INACTIVE one, whose deployments and events go: false where there is another."""
    rows = yield Statement(CREATE, _values(record))
    if rows:
        for statement in FORGET_PAST:
            yield Statement(statement, {**record.key.parameters, "service": record.name})
    return bool(rows)


def find(key: ClusterKey, name: str) -> Work[ServiceRecord | None]:
    """The service of that name, also one that is INACTIVE."""
    rows = yield Statement(OF_CLUSTER + "= :name", {**key.parameters, "name": name})
    return _record(rows[0]) if rows else None


def update(record: ServiceRecord) -> Work[bool]:
    """Replace the version that was read: false where somebody else was quicker."""
    rows = yield Statement(UPDATE, _values(record) | {"version": record.version})
    return bool(rows)


def page(key: ClusterKey, last: str, limit: int) -> Work[list[ServiceRecord]]:
    """At most `limit` services after `last`, by name, that are ACTIVE or DRAINING."""
    rows = yield Statement(PAGE, {**key.parameters, "last": last, "limit": limit})
    return [_record(row) for row in rows]


def deployed_on_push() -> Work[list[ServiceRecord]]:
    """The active services of all clusters that deploy what is pushed."""
    rows = yield Statement(f"{SELECT} WHERE deploys_on_push = 1 AND status = 'ACTIVE'")
    return [_record(row) for row in rows]


def _values(record: ServiceRecord) -> dict[str, Any]:
    return {
        **record.key.parameters,
        "name": record.name,
        "status": record.status,
        "state": as_json(record.state),
        "document": as_json(record.document),
        "deploys_on_push": int(bool(record.state.get("deploy_on_push"))),
    }


def _record(row: Row) -> ServiceRecord:
    account, cluster, name, status, state, document, version, created_at = row
    key = ClusterKey(account, cluster)
    return ServiceRecord(key, name, status, json.loads(state), json.loads(document), version, created_at)
