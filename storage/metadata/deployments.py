"""Deployments of services, newest first, and the images that must stay for them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from storage.metadata import image_uses
from storage.metadata.clusters import ClusterKey, as_json
from storage.metadata.database import Row, Statement, Work
from storage.metadata.image_uses import Images, User

PRIMARY = "PRIMARY"
ACTIVE = "ACTIVE"
INACTIVE = "INACTIVE"
KEPT = 20
"""Of each service; older ones that are INACTIVE are forgotten."""
ROLLBACK_DEPTH = 2
"""So many completed deployments of a service keep their images: the current one and the one before it."""

SELECT = """
SELECT account, cluster, service, id, family, revision, status, rollout, state, document, version, created_at,
updated_at FROM deployments WHERE account = :account AND cluster = :cluster AND service = :service
"""
CREATE = """
INSERT INTO deployments (account, cluster, service, id, family, revision, status, rollout, state, document, version,
created_at, updated_at) VALUES (:account, :cluster, :service, :id, :family, :revision, :status, :rollout, :state,
:document, 1, :now, :now)
"""
UPDATE = """
UPDATE deployments SET status = :status, rollout = :rollout, state = :state, document = :document,
version = version + 1, updated_at = :now WHERE account = :account AND cluster = :cluster AND service = :service
AND id = :id AND version = :version RETURNING version
"""
DELETE = "DELETE FROM deployments WHERE account = :account AND cluster = :cluster AND service = :service AND id = :id"


@dataclass(frozen=True, slots=True)
class DeploymentRecord:
    """A deployment: `status` PRIMARY, ACTIVE or INACTIVE; `state` is the orchestrator's."""

    key: ClusterKey
    service: str
    id: str
    family: str
    revision: int
    status: str
    rollout: str
    state: Mapping[str, Any]
    document: Mapping[str, Any]
    version: int = 1
    created_at: float = 0.0
    updated_at: float = 0.0


def create(record: DeploymentRecord, images: Images) -> Work[None]:
    """Enter a deployment and note the images that it runs."""
    yield Statement(CREATE, _values(record))
    yield from image_uses.enter(_user(record), images)
    yield from _let_go(record.key, record.service)


def update(record: DeploymentRecord) -> Work[bool]:
    """Replace the version that was read: false where somebody else was quicker."""
    rows = yield Statement(UPDATE, _values(record) | {"version": record.version})
    if rows:
        yield from _let_go(record.key, record.service)
    return bool(rows)


def keep(record: DeploymentRecord, images: Images) -> Work[None]:
    """Replace the version that was read, and note that these images, too, are needed for it."""
    if (yield from update(record)):
        yield from image_uses.enter(_user(record), images)


def find(key: ClusterKey, service: str, identifier: str) -> Work[DeploymentRecord | None]:
    """The deployment of that id."""
    rows = yield Statement(SELECT + "AND id = :id", {**key.parameters, "service": service, "id": identifier})
    return _record(rows[0]) if rows else None


def of_service(key: ClusterKey, service: str, limit: int = KEPT * 2) -> Work[list[DeploymentRecord]]:
    """The service's deployments, newest first, INACTIVE ones too."""
    rows = yield Statement(
        SELECT + "ORDER BY created_at DESC, id DESC LIMIT :limit",
        {**key.parameters, "service": service, "limit": limit},
    )
    return [_record(row) for row in rows]


def end(key: ClusterKey, service: str) -> Work[None]:
    """The service is gone: its deployments are INACTIVE and keep no images."""
    values = {**key.parameters, "service": service}
    yield Statement(
        "UPDATE deployments SET status = 'INACTIVE', version = version + 1, updated_at = :now "
        "WHERE account = :account AND cluster = :cluster AND service = :service AND status <> 'INACTIVE'",
        values,
    )
    yield Statement(
        "DELETE FROM image_uses WHERE account = :account AND cluster = :cluster AND kind = 'deployment' "
        "AND service = :service",
        values,
    )


def _let_go(key: ClusterKey, service: str) -> Work[None]:
    """Let go of the images of deployments that nothing goes back to, and of the oldest deployments."""
    deployments = yield from of_service(key, service)
    keeping = {record.id for record in _keeping(deployments)}
    for position, record in enumerate(deployments):
        if record.id not in keeping:
            yield from image_uses.forget(_user(record))
            if position >= KEPT:
                yield Statement(DELETE, {**key.parameters, "service": service, "id": record.id})


def _keeping(newest_first: Sequence[DeploymentRecord]) -> list[DeploymentRecord]:
    running = [record for record in newest_first if record.status != INACTIVE]
    completed = [record for record in newest_first if record.rollout == "COMPLETED"]
    return running + completed[:ROLLBACK_DEPTH]


def _user(record: DeploymentRecord) -> User:
    return User(record.key, image_uses.DEPLOYMENT, record.id, record.service)


def _values(record: DeploymentRecord) -> dict[str, Any]:
    return {
        **record.key.parameters,
        "service": record.service,
        "id": record.id,
        "family": record.family,
        "revision": record.revision,
        "status": record.status,
        "rollout": record.rollout,
        "state": as_json(record.state),
        "document": as_json(record.document),
    }


def _record(row: Row) -> DeploymentRecord:
    account, cluster, service, identifier, family, revision, status, rollout, state, document, *rest = row
    key = ClusterKey(account, cluster)
    return DeploymentRecord(
        key, service, identifier, family, revision, status, rollout, json.loads(state), json.loads(document), *rest
    )
