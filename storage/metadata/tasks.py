"""Tasks: those that run, those that are wanted, and for a while those that stopped."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from storage.metadata import image_uses
from storage.metadata.clusters import ClusterKey, as_json
from storage.metadata.database import Row, Statement, Work
from storage.metadata.image_uses import Images, User

RUNNING = "RUNNING"
STOPPED = 8
"""The last of the statuses, as the orchestrator numbers them."""
KEPT_SECONDS = 30 * 86400.0

SELECT = """
SELECT account, cluster, id, family, revision, desired, status, service, deployment, instance, started_by, state,
document, version, created_at, stopped_at FROM tasks WHERE account = :account AND cluster = :cluster
"""
CREATE = """
INSERT INTO tasks (account, cluster, id, family, revision, desired, status, service, deployment, instance, started_by,
state, document, version, created_at, stopped_at) VALUES (:account, :cluster, :id, :family, :revision, :desired,
:status, :service, :deployment, :instance, :started_by, :state, :document, 1, :created_at, :stopped_at)
"""
UPDATE = """
UPDATE tasks SET desired = :desired, status = :status, instance = :instance, state = :state, document = :document,
stopped_at = :stopped_at, version = version + 1
WHERE account = :account AND cluster = :cluster AND id = :id AND version = :version RETURNING version
"""
# Only the orchestrator's own part; a task never comes back from STOPPED.
LIVE = SELECT + "AND status < 8 AND (status, id) > (:status, :last) ORDER BY status, id LIMIT :limit"
OVERDUE = (
    "SELECT account, cluster, id FROM tasks WHERE stopped_at < :now - CAST(:kept AS DOUBLE PRECISION) LIMIT :limit"
)
DELETE = "DELETE FROM tasks WHERE account = :account AND cluster = :cluster AND id = :id"
COUNT = """
SELECT service, status, COUNT(*) FROM tasks WHERE account = :account AND cluster = :cluster AND status < 8
GROUP BY service, status
"""


@dataclass(frozen=True, slots=True)
class TaskRecord:
    """A task: `state` is the orchestrator's, `document` what was asked for (overrides, tags, …). Unix seconds."""

    key: ClusterKey
    id: str
    family: str
    revision: int
    desired: str
    status: int
    service: str | None
    deployment: str | None
    instance: str | None
    started_by: str | None
    state: Mapping[str, Any]
    document: Mapping[str, Any]
    version: int = 1
    created_at: float = 0.0
    stopped_at: float | None = None


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which tasks to list: all that are given have to be so."""

    desired: str = RUNNING
    family: str | None = None
    service: str | None = None
    instance: str | None = None
    started_by: str | None = None


def create(record: TaskRecord, images: Images) -> Work[None]:
    """Enter a task and note the images that it runs."""
    yield Statement(CREATE, _values(record))
    yield from image_uses.enter(_user(record), images)


def update(record: TaskRecord) -> Work[bool]:
    """Replace the version that was read: false where somebody else was quicker. A stopped task keeps no image."""
    rows = yield Statement(UPDATE, _values(record) | {"version": record.version})
    if rows and record.status >= STOPPED:
        yield from image_uses.forget(_user(record))
    return bool(rows)


def use(record: TaskRecord, images: Images) -> Work[None]:
    """Note images that the task runs besides: those that were resolved at its launch."""
    yield from image_uses.enter(_user(record), images)


def find(key: ClusterKey, identifier: str) -> Work[TaskRecord | None]:
    """The task of that id."""
    rows = yield Statement(SELECT + "AND id = :id", {**key.parameters, "id": identifier})
    return _record(rows[0]) if rows else None


def live(key: ClusterKey, limit: int = 10_000) -> Work[list[TaskRecord]]:
    """At most `limit` tasks of the cluster that have not stopped."""
    rows = yield Statement(LIVE, {**key.parameters, "status": 0, "last": "", "limit": limit})
    return [_record(row) for row in rows]


def page(key: ClusterKey, wanted: Wanted, last: str, limit: int) -> Work[list[TaskRecord]]:
    """At most `limit` tasks after `last`, by id."""
    columns = ("desired", "family", "service", "instance", "started_by")
    given = {column: value for column in columns if (value := getattr(wanted, column)) is not None}
    conditions = "".join(f"AND {column} = :{column} " for column in given)
    rows = yield Statement(
        f"{SELECT}{conditions}AND id > :last ORDER BY id LIMIT :limit",
        {**key.parameters, **given, "last": last, "limit": limit},
    )
    return [_record(row) for row in rows]


def counts(key: ClusterKey) -> Work[Mapping[tuple[str | None, int], int]]:
    """How many tasks that have not stopped are of each (service, status)."""
    rows = yield Statement(COUNT, key.parameters)
    return {(service, status): number for service, status, number in rows}


def forget_stopped(kept: float = KEPT_SECONDS, limit: int = 100) -> Work[int]:
    """Forget at most `limit` tasks, with their logs, that stopped longer ago than `kept` seconds: how many."""
    rows = yield Statement(OVERDUE, {"kept": kept, "limit": limit})
    for account, cluster, identifier in rows:
        yield Statement(DELETE, {"account": account, "cluster": cluster, "id": identifier})
    return len(rows)


def _user(record: TaskRecord) -> User:
    return User(record.key, image_uses.TASK, record.id, record.service or "")


def _values(record: TaskRecord) -> dict[str, Any]:
    return {
        **record.key.parameters,
        "id": record.id,
        "family": record.family,
        "revision": record.revision,
        "desired": record.desired,
        "status": record.status,
        "service": record.service,
        "deployment": record.deployment,
        "instance": record.instance,
        "started_by": record.started_by,
        "state": as_json(record.state),
        "document": as_json(record.document),
        "created_at": record.created_at,
        "stopped_at": record.stopped_at,
    }


def _record(row: Row) -> TaskRecord:
    account, cluster, identifier, family, revision, desired, status, *names, state, document = row[:13]
    service, deployment, instance, started_by = names
    return TaskRecord(
        ClusterKey(account, cluster),
        identifier,
        family,
        revision,
        desired,
        status,
        service,
        deployment,
        instance,
        started_by,
        json.loads(state),
        json.loads(document),
        *row[13:],
    )
