"""Work that is queued: to be done once the transaction that asked for it is committed, by whichever process gets it.

A piece of work has a kind and a subject; asked for twice before it is done, it is done once. Whoever takes one has it
for a while, and when nothing is heard of it by then somebody else may take it: so work must bear being done twice.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from storage.metadata.database import Statement, Work

ADD = """
INSERT INTO queued_work (kind, subject, document, attempts, due_at, created_at)
VALUES (:kind, :subject, :document, 0, CAST(:delay AS DOUBLE PRECISION) + :now, :now)
ON CONFLICT (kind, subject) DO UPDATE SET document = excluded.document, attempts = 0, due_at = excluded.due_at,
created_at = excluded.created_at
"""
# The condition is there twice: PostgreSQL looks again at the outer one when another process was quicker.
TAKE = """
UPDATE queued_work SET due_at = CAST(:lease AS DOUBLE PRECISION) + :now, attempts = attempts + 1
WHERE id IN (SELECT id FROM queued_work WHERE kind = :kind AND due_at <= :now ORDER BY due_at LIMIT :limit)
AND due_at <= :now RETURNING id, kind, subject, document, attempts, created_at
"""
DONE = "DELETE FROM queued_work WHERE id = :id AND created_at = :created"
AGAIN = """
UPDATE queued_work SET due_at = CAST(:delay AS DOUBLE PRECISION) + :now, last_error = :error
WHERE id = :id AND created_at = :created
"""


@dataclass(frozen=True, slots=True)
class QueuedWork:
    """A piece of work that was taken; `attempts` counts this one."""

    id: int
    kind: str
    subject: str
    document: Mapping[str, Any]
    attempts: int
    created_at: float


def add(kind: str, subject: str, document: Mapping[str, Any], delay: float = 0.0) -> Work[None]:
    """Ask for a piece of work, `delay` seconds from now; in place of the same one that still waits."""
    values = {"kind": kind, "subject": subject, "document": json.dumps(document, sort_keys=True), "delay": delay}
    yield Statement(ADD, values)


def take(kind: str, limit: int, lease: float) -> Work[list[QueuedWork]]:
    """At most `limit` pieces that are due, which nobody else gets for `lease` seconds."""
    rows = yield Statement(TAKE, {"kind": kind, "limit": limit, "lease": lease})
    return [
        QueuedWork(number, kind, subject, json.loads(document), attempts, created)
        for number, kind, subject, document, attempts, created in rows
    ]


def is_due(kind: str) -> Work[bool]:
    """Whether any piece of that kind is due."""
    rows = yield Statement("SELECT 1 FROM queued_work WHERE kind = :kind AND due_at <= :now LIMIT 1", {"kind": kind})
    return bool(rows)


def hold(work: QueuedWork, lease: float) -> Work[None]:
    """Keep a piece that was taken for `lease` seconds more."""
    yield Statement(
        "UPDATE queued_work SET due_at = CAST(:lease AS DOUBLE PRECISION) + :now "
        "WHERE id = :id AND created_at = :created",
        {"id": work.id, "created": work.created_at, "lease": lease},
    )


def done(work: QueuedWork) -> Work[None]:
    """Take it off the queue, unless it was asked for again meanwhile."""
    yield Statement(DONE, {"id": work.id, "created": work.created_at})


def again(work: QueuedWork, delay: float, error: str) -> Work[None]:
    """Do it again `delay` seconds from now."""
    yield Statement(AGAIN, {"id": work.id, "created": work.created_at, "delay": delay, "error": error[:1000]})
