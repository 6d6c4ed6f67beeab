"""ECS's account settings: those of a principal, and the account's own for all who have none (principal empty)."""

from collections.abc import Mapping

from storage.metadata.database import Statement, Work

PUT = """
INSERT INTO account_settings (account, principal, name, value) VALUES (:account, :principal, :name, :value)
ON CONFLICT (account, principal, name) DO UPDATE SET value = excluded.value
"""


def of(account: str, principal: str) -> Work[Mapping[str, str]]:
    """What is set for the principal."""
    rows = yield Statement(
        "SELECT name, value FROM account_settings WHERE account = :account AND principal = :principal ORDER BY name",
        {"account": account, "principal": principal},
    )
    return dict(rows)


def put(account: str, principal: str, name: str, value: str) -> Work[None]:
    """Set one of them."""
    yield Statement(PUT, {"account": account, "principal": principal, "name": name, "value": value})


def delete(account: str, principal: str, name: str) -> Work[bool]:
    """Set one of them back: whether it was set."""
    rows = yield Statement(
        "DELETE FROM account_settings WHERE account = :account AND principal = :principal AND name = :name "
        "RETURNING name",
        {"account": account, "principal": principal, "name": name},
    )
    return bool(rows)
