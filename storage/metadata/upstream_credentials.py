"""Names and sealed secrets for other registries."""

from dataclasses import dataclass, field

from storage.metadata.database import Statement, Work

PUT = """
INSERT INTO upstream_credentials (account, name, username, sealed_secret, token_server, updated_at)
VALUES (:account, :name, :username, :sealed, :token_server, :now)
ON CONFLICT (account, name) DO UPDATE SET username = excluded.username, sealed_secret = excluded.sealed_secret,
token_server = excluded.token_server, updated_at = excluded.updated_at
"""
FIND = """
SELECT name, username, sealed_secret, token_server, updated_at FROM upstream_credentials
WHERE account = :account AND name = :name
"""
PAGE = """
SELECT name, username, sealed_secret, token_server, updated_at FROM upstream_credentials
WHERE account = :account AND name > :last ORDER BY name LIMIT :limit
"""


@dataclass(frozen=True, slots=True)
class CredentialRecord:
    """A credential as it is stored."""

    name: str
    username: str
    sealed: bytes = field(repr=False)
    token_server: str | None = None
    updated_at: float = 0.0


def put(account: str, record: CredentialRecord) -> Work[None]:
    """Enter a credential, in place of an older one of that name."""
    yield Statement(
        PUT,
        {
            "account": account,
            "name": record.name,
            "username": record.username,
            "sealed": record.sealed,
            "token_server": record.token_server,
        },
    )


def find(account: str, name: str) -> Work[CredentialRecord | None]:
    """The credential of that name."""
    rows = yield Statement(FIND, {"account": account, "name": name})
    return _record(*rows[0]) if rows else None


def page(account: str, last: str, limit: int) -> Work[list[CredentialRecord]]:
    """At most `limit` credentials after `last`, by name."""
    rows = yield Statement(PAGE, {"account": account, "last": last, "limit": limit})
    return [_record(*row) for row in rows]


def delete(account: str, name: str) -> Work[bool]:
    """Remove the credential: whether it was there. ConstraintError while something uses it."""
    rows = yield Statement(
        "DELETE FROM upstream_credentials WHERE account = :account AND name = :name RETURNING name",
        {"account": account, "name": name},
    )
    return bool(rows)


def _record(name: str, username: str, sealed: bytes, token_server: str | None, updated_at: float) -> CredentialRecord:
    return CredentialRecord(name, username, bytes(sealed), token_server, updated_at)
