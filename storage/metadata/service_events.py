"""What happened to services: the last hundred events of each."""

import uuid
from typing import NamedTuple

from storage.metadata.clusters import ClusterKey
from storage.metadata.database import Statement, Work

KEPT = 100

ADD = """
INSERT INTO service_events (account, cluster, service, id, message, created_at)
SELECT CAST(:account AS TEXT), CAST(:cluster AS TEXT), CAST(:service AS TEXT), CAST(:id AS TEXT),
CAST(:message AS TEXT), :now WHERE NOT EXISTS (SELECT 1 FROM service_events WHERE account = :account
AND cluster = :cluster AND service = :service AND message = :message
AND created_at > :now - CAST(:quiet AS DOUBLE PRECISION)
AND number = (SELECT MAX(number) FROM service_events WHERE account = :account AND cluster = :cluster
AND service = :service)) RETURNING number
"""
FORGET = """
DELETE FROM service_events WHERE account = :account AND cluster = :cluster AND service = :service AND number <=
(SELECT number FROM service_events WHERE account = :account AND cluster = :cluster AND service = :service
ORDER BY number DESC LIMIT 1 OFFSET :kept)
"""
NEWEST = """
SELECT id, message, created_at FROM service_events WHERE account = :account AND cluster = :cluster
AND service = :service ORDER BY number DESC LIMIT :limit
"""


class EventRecord(NamedTuple):
    """One event, as ECS words it."""

    id: str
    message: str
    created_at: float


def add(key: ClusterKey, service: str, message: str, quiet: float = 0.0) -> Work[bool]:
    """Note an event, unless the newest one says the same and is younger than `quiet` seconds: whether it was noted."""
    values = {**key.parameters, "service": service}
    rows = yield Statement(ADD, values | {"id": str(uuid.uuid4()), "message": message, "quiet": quiet})
    if rows:
        yield Statement(FORGET, values | {"kept": KEPT})
    return bool(rows)


def newest(key: ClusterKey, service: str, limit: int = KEPT) -> Work[list[EventRecord]]:
    """The service's events, newest first."""
    rows = yield Statement(NEWEST, {**key.parameters, "service": service, "limit": limit})
    return [EventRecord(*row) for row in rows]
