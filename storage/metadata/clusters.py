"""Clusters, and which process may act for one."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from storage.metadata.database import Row, Statement, Work

ACTIVE = "ACTIVE"
INACTIVE = "INACTIVE"

SELECT = "SELECT account, name, status, document, version, created_at FROM clusters"
# A deleted cluster's name may be used again.
CREATE = """
INSERT INTO clusters (account, name, status, document, version, created_at, updated_at)
VALUES (:account, :name, 'ACTIVE', :document, 1, :now, :now)
ON CONFLICT (account, name) DO UPDATE SET status = excluded.status, document = excluded.document,
version = clusters.version + 1, created_at = excluded.created_at, updated_at = excluded.updated_at
WHERE clusters.status <> 'ACTIVE' RETURNING name
"""
UPDATE = """
UPDATE clusters SET status = :status, document = :document, version = version + 1, updated_at = :now
WHERE account = :account AND name = :name AND version = :version RETURNING name
"""
PAGE = SELECT + " WHERE account = :account AND status = 'ACTIVE' AND name > :last ORDER BY name LIMIT :limit"
EVERY = SELECT + " WHERE status = 'ACTIVE' AND (account, name) > (:account, :last) ORDER BY account, name LIMIT :limit"
HOLD = """
INSERT INTO cluster_writers (account, cluster, holder, held_until)
VALUES (:account, :cluster, :holder, CAST(:lease AS DOUBLE PRECISION) + :now)
ON CONFLICT (account, cluster) DO UPDATE SET holder = excluded.holder, held_until = excluded.held_until
WHERE cluster_writers.holder = excluded.holder OR cluster_writers.held_until <= :now RETURNING holder
"""
RELEASE = "DELETE FROM cluster_writers WHERE account = :account AND cluster = :cluster AND holder = :holder"


class ClusterKey(NamedTuple):
    """Which cluster: `account` is empty for the server's own."""

    account: str
    cluster: str

    @property
    def parameters(self) -> Mapping[str, str]:
        """As statements name them."""
        return {"account": self.account, "cluster": self.cluster}


@dataclass(frozen=True, slots=True)
class ClusterRecord:
    """A cluster; `document` is what ECS's operations keep of it (settings, tags, …)."""

    key: ClusterKey
    status: str
    document: Mapping[str, Any]
    version: int
    created_at: float


def create(key: ClusterKey, document: Mapping[str, Any]) -> Work[ClusterRecord | None]:
    """Enter a cluster; None where an active one has this name."""
    values = {"account": key.account, "name": key.cluster, "document": as_json(document)}
    created = yield Statement(CREATE, values)
    return (yield from find(key)) if created else None


def find(key: ClusterKey) -> Work[ClusterRecord | None]:
    """The cluster of that name, also one that is INACTIVE."""
    rows = yield Statement(SELECT + " WHERE account = :account AND name = :name", _named(key))
    return _record(rows[0]) if rows else None


def update(record: ClusterRecord) -> Work[bool]:
    """Replace status and document of the version that was read: false where somebody else was quicker."""
    values = {"status": record.status, "document": as_json(record.document), "version": record.version}
    rows = yield Statement(UPDATE, _named(record.key) | values)
    return bool(rows)


def page(account: str, last: str, limit: int) -> Work[list[ClusterRecord]]:
    """At most `limit` active clusters of an account after `last`, by name."""
    rows = yield Statement(PAGE, {"account": account, "last": last, "limit": limit})
    return [_record(row) for row in rows]


def every(last: ClusterKey, limit: int) -> Work[list[ClusterRecord]]:
    """At most `limit` active clusters of all accounts after `last`; the first page is after ClusterKey("", "")."""
    rows = yield Statement(EVERY, {"account": last.account, "last": last.cluster, "limit": limit})
    return [_record(row) for row in rows]


def hold(key: ClusterKey, holder: str, lease: float) -> Work[bool]:
    """Be the one process that acts for the cluster, for `lease` seconds from now: false where another one is.

    Whoever holds it calls again before its time is over; where it does not, the next to ask takes over.
    """
    rows = yield Statement(HOLD, {**key.parameters, "holder": holder, "lease": lease})
    return bool(rows)


def release(key: ClusterKey, holder: str) -> Work[None]:
    """Let another process act for the cluster at once."""
    yield Statement(RELEASE, {**key.parameters, "holder": holder})


def as_json(value: Any) -> str:
    """The value as columns hold it."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def _named(key: ClusterKey) -> dict[str, Any]:
    return {"account": key.account, "name": key.cluster}


def _record(row: Row) -> ClusterRecord:
    account, name, status, document, version, created_at = row
    return ClusterRecord(ClusterKey(account, name), status, json.loads(document), version, created_at)
