"""The audit trail: who did what to whom, written in the transaction that did it. Only ever added to."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from storage.metadata.database import Statement, Work

INSERT = """
INSERT INTO audit (at, actor, address, action, target, detail)
VALUES (:now, :actor, :address, :action, :target, :detail)
"""
PAGE = """
SELECT id, at, actor, address, action, target, detail FROM audit
WHERE id < :before AND (:target IS NULL OR target = :target) ORDER BY id DESC LIMIT :limit
"""


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts, and from which address."""

    name: str
    address: str = ""


SERVER = Actor("server")
"""Who acts when nobody asked: the server itself, by a schedule or for a cache."""


@dataclass(frozen=True, slots=True)
class AuditRecord:
    """One thing that was done."""

    id: int
    at: float
    actor: str
    address: str
    action: str
    target: str
    detail: Mapping[str, Any]


def record(actor: Actor, action: str, target: str, **detail: Any) -> Work[None]:
    """Write down what this transaction does. `detail` holds no secret."""
    yield Statement(
        INSERT,
        {
            "actor": actor.name,
            "address": actor.address,
            "action": action,
            "target": target,
            "detail": json.dumps(detail, sort_keys=True),
        },
    )


def page(before: int, limit: int, target: str | None = None) -> Work[list[AuditRecord]]:
    """At most `limit` records older than the one of id `before`, the latest first."""
    rows = yield Statement(PAGE, {"before": before, "limit": limit, "target": target})
    return [
        AuditRecord(number, at, actor, address, action, subject, json.loads(detail))
        for number, at, actor, address, action, subject, detail in rows
    ]
