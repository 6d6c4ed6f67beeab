"""Secrets of tasks, sealed (`auth/sealing.py`) before they come here."""

from dataclasses import dataclass, field

from storage.metadata.database import Row, Statement, Work

PUT = """
INSERT INTO secrets (account, name, sealed, created_at, updated_at) VALUES (:account, :name, :sealed, :now, :now)
ON CONFLICT (account, name) DO UPDATE SET sealed = excluded.sealed, updated_at = excluded.updated_at
"""
SELECT = "SELECT name, sealed, created_at, updated_at FROM secrets WHERE account = :account AND name "


@dataclass(frozen=True, slots=True)
class SecretRecord:
    """A secret as it is stored."""

    name: str
    sealed: bytes = field(repr=False)
    created_at: float
    updated_at: float


def put(account: str, name: str, sealed: bytes) -> Work[None]:
    """Enter a secret, in place of an older one of that name."""
    yield Statement(PUT, {"account": account, "name": name, "sealed": sealed})


def find(account: str, name: str) -> Work[SecretRecord | None]:
    """The secret of that name."""
    rows = yield Statement(SELECT + "= :name", {"account": account, "name": name})
    return _record(rows[0]) if rows else None


def page(account: str, last: str, limit: int) -> Work[list[SecretRecord]]:
    """At most `limit` secrets after `last`, by name."""
    rows = yield Statement(
        SELECT + "> :last ORDER BY name LIMIT :limit", {"account": account, "last": last, "limit": limit}
    )
    return [_record(row) for row in rows]


def delete(account: str, name: str) -> Work[bool]:
    """Remove a secret: whether it was there."""
    rows = yield Statement(
        "DELETE FROM secrets WHERE account = :account AND name = :name RETURNING name",
        {"account": account, "name": name},
    )
    return bool(rows)


def _record(row: Row) -> SecretRecord:
    name, sealed, created_at, updated_at = row
    return SecretRecord(name, bytes(sealed), created_at, updated_at)
