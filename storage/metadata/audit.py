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
SELECT = "SELECT id, at, actor, address, action, target, detail FROM audit WHERE id < :before"
CONDITIONS = {
    "target": "target = :target",
    "actor": "actor = :actor",
    "action": "action = :action",
    "since": "at >= :since",
    "until": "at < :until",
}
FORGET = """
DELETE FROM audit WHERE id IN (SELECT id FROM audit WHERE at < :now - :age ORDER BY at LIMIT :limit) RETURNING id
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


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which records are asked for; what is None does not matter. From `since` on, before `until` (seconds)."""

    target: str | None = None
    actor: str | None = None
    action: str | None = None
    since: float | None = None
    until: float | None = None


def page(before: int, limit: int, target: str | None = None) -> Work[list[AuditRecord]]:
    """At most `limit` records older than the one of id `before`, the latest first."""
    return (yield from query(before, limit, Wanted(target)))


def query(before: int, limit: int, wanted: Wanted) -> Work[list[AuditRecord]]:
    """At most `limit` of the records that are wanted, older than the one of id `before`, the latest first."""
    values = {name: value for name in CONDITIONS if (value := getattr(wanted, name)) is not None}
    conditions = "".join(f" AND {CONDITIONS[name]}" for name in values)
    statement = f"{SELECT}{conditions} ORDER BY id DESC LIMIT :limit"
    rows = yield Statement(statement, {"before": before, "limit": limit, **values})
    return [
        AuditRecord(number, at, actor, address, action, subject, json.loads(detail))
        for number, at, actor, address, action, subject, detail in rows
    ]


def forget(age: float, limit: int) -> Work[int]:
    """Forget at most `limit` records that are older than `age` seconds: how many."""
    return len((yield Statement(FORGET, {"age": age, "limit": limit})))
