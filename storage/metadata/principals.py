"""Principals: users and robots, their secrets' hashes, their access keys."""

from dataclasses import dataclass

from storage.metadata import access
from storage.metadata.database import Statement, Work

COLUMNS = "id, kind, name, secret_hash, disabled, created_at, expires_at"
BY_NAME = f"SELECT {COLUMNS} FROM principals WHERE name = :name"  # noqa: S608 - a list of columns
BY_ID = f"SELECT {COLUMNS} FROM principals WHERE id = :id"  # noqa: S608 - a list of columns
PAGE = f"""
SELECT {COLUMNS} FROM principals WHERE kind = :kind AND name > :last ORDER BY name LIMIT :limit
"""  # noqa: S608 - a list of columns
INSERT = """
INSERT INTO principals (kind, name, secret_hash, disabled, created_at, expires_at)
VALUES (:kind, :name, :secret_hash, :disabled, :now, :expires_at) ON CONFLICT (name) DO NOTHING
"""
# The condition is word for word that of the index.
BCRYPT_EXAMPLE = "SELECT secret_hash FROM principals WHERE substr(secret_hash, 1, 2) = '$2' ORDER BY id LIMIT 1"
KEY = "SELECT id, principal_id, sealed_secret, disabled, created_at FROM access_keys WHERE id = :id"
KEYS = "SELECT id, principal_id, sealed_secret, disabled, created_at FROM access_keys WHERE principal_id = :principal"
INSERT_KEY = """
INSERT INTO access_keys (id, principal_id, sealed_secret, disabled, created_at)
VALUES (:id, :principal, :sealed, :disabled, :now)
"""


@dataclass(frozen=True, slots=True)
class PrincipalRecord:
    """A user or robot as it is stored."""

    id: int
    kind: str
    name: str
    secret_hash: str | None
    disabled: bool
    created_at: float
    expires_at: float | None


@dataclass(frozen=True, slots=True)
class AccessKeyRecord:
    """An access key; its secret is sealed."""

    id: str
    principal_id: int
    sealed_secret: bytes
    disabled: bool
    created_at: float


def find(name: str) -> Work[PrincipalRecord | None]:
    """The principal of that name."""
    if "\0" in name:  # what no text in PostgreSQL can hold, it does not look for either
        return None
    rows = yield Statement(BY_NAME, {"name": name})
    return _principal(rows[0]) if rows else None


def get(identifier: int) -> Work[PrincipalRecord | None]:
    """The principal of that id."""
    rows = yield Statement(BY_ID, {"id": identifier})
    return _principal(rows[0]) if rows else None


def page(kind: str, last: str, limit: int) -> Work[list[PrincipalRecord]]:
    """At most `limit` principals of that kind after name `last`."""
    rows = yield Statement(PAGE, {"kind": kind, "last": last, "limit": limit})
    return [_principal(row) for row in rows]


def create(kind: str, name: str, secret_hash: str | None, expires_at: float | None) -> Work[PrincipalRecord | None]:
    """Enter a principal; None where the name is taken."""
    if (yield from find(name)) is not None:
        return None
    values = {"kind": kind, "name": name, "secret_hash": secret_hash, "disabled": False, "expires_at": expires_at}
    yield Statement(INSERT, values)
    yield from access.advance()
    return (yield from find(name))


def set_secret(identifier: int, secret_hash: str) -> Work[None]:
    """Replace the principal's secret; what was signed in with the old one has to sign in again."""
    yield Statement(
        "UPDATE principals SET secret_hash = :secret_hash WHERE id = :id",
        {"id": identifier, "secret_hash": secret_hash},
    )
    yield Statement("DELETE FROM refresh_tokens WHERE principal_id = :id", {"id": identifier})
    yield from access.advance()


def renew_hash(identifier: int, stored: str, renewed: str) -> Work[None]:
    """Put another hash of the same secret in the place of that one, where it is still there."""
    yield Statement(
        "UPDATE principals SET secret_hash = :renewed WHERE id = :id AND secret_hash = :stored",
        {"id": identifier, "stored": stored, "renewed": renewed},
    )


def bcrypt_example() -> Work[str | None]:
    """A bcrypt hash that a principal has, None where none has one."""
    rows = yield Statement(BCRYPT_EXAMPLE)
    return rows[0][0] if rows else None


def set_disabled(identifier: int, disabled: bool) -> Work[None]:
    """Shut the principal out, or let it in again."""
    yield Statement(
        "UPDATE principals SET disabled = :disabled WHERE id = :id", {"id": identifier, "disabled": disabled}
    )
    yield Statement("DELETE FROM refresh_tokens WHERE principal_id = :id", {"id": identifier})
    yield from access.advance()


def delete(identifier: int) -> Work[None]:
    """Remove the principal with its keys, memberships, attachments and refresh tokens."""
    yield Statement("DELETE FROM principals WHERE id = :id", {"id": identifier})
    yield from access.advance()


def find_key(key_id: str) -> Work[AccessKeyRecord | None]:
    """The access key of that id."""
    rows = yield Statement(KEY, {"id": key_id})
    return _key(rows[0]) if rows else None


def keys(principal_id: int) -> Work[list[AccessKeyRecord]]:
    """The principal's access keys."""
    rows = yield Statement(KEYS, {"principal": principal_id})
    return [_key(row) for row in rows]


def create_key(key_id: str, principal_id: int, sealed_secret: bytes) -> Work[None]:
    """Enter an access key. ConstraintError where the id is taken."""
    values = {"id": key_id, "principal": principal_id, "sealed": sealed_secret, "disabled": False}
    yield Statement(INSERT_KEY, values)
    yield from access.advance()


def set_key_disabled(key_id: str, disabled: bool) -> Work[None]:
    """Make the key useless, or useful again."""
    yield Statement("UPDATE access_keys SET disabled = :disabled WHERE id = :id", {"id": key_id, "disabled": disabled})
    yield from access.advance()


def delete_key(key_id: str) -> Work[bool]:
    """Remove the key: whether it was there."""
    rows = yield Statement("DELETE FROM access_keys WHERE id = :id RETURNING id", {"id": key_id})
    yield from access.advance()
    return bool(rows)


def _principal(row: tuple[object, ...]) -> PrincipalRecord:
    identifier, kind, name, secret_hash, disabled, created_at, expires_at = row
    return PrincipalRecord(identifier, kind, name, secret_hash, bool(disabled), created_at, expires_at)  # type: ignore[arg-type]


def _key(row: tuple[object, ...]) -> AccessKeyRecord:
    identifier, principal, sealed, disabled, created_at = row
    return AccessKeyRecord(identifier, principal, bytes(sealed), bool(disabled), created_at)  # type: ignore[arg-type,call-overload]
