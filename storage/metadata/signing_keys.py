"""The keys that sign tokens, sealed; and the refresh tokens that were given out, hashed."""

from dataclasses import dataclass

from storage.metadata.database import Statement, Work

ALL = "SELECT id, sealed_private_key, created_at FROM signing_keys ORDER BY created_at DESC, id"
INSERT = "INSERT INTO signing_keys (id, sealed_private_key, created_at) VALUES (:id, :sealed, :now)"
INSERT_REFRESH = "INSERT INTO refresh_tokens (hash, principal_id, expires_at) VALUES (:hash, :principal, :expires_at)"
# All have the same life: those that expire first are the oldest.
KEEP_REFRESH = """
DELETE FROM refresh_tokens WHERE principal_id = :principal AND hash NOT IN (
SELECT hash FROM refresh_tokens WHERE principal_id = :principal ORDER BY expires_at DESC, hash LIMIT :most)
"""
TAKE_REFRESH = "DELETE FROM refresh_tokens WHERE hash = :hash RETURNING principal_id, expires_at"


@dataclass(frozen=True, slots=True)
class SigningKeyRecord:
    """A key that signs tokens, or did."""

    id: str
    sealed_private_key: bytes
    created_at: float


def page() -> Work[list[SigningKeyRecord]]:
    """Every key, the youngest first."""
    rows = yield Statement(ALL)
    return [SigningKeyRecord(identifier, bytes(sealed), created) for identifier, sealed, created in rows]


def create(identifier: str, sealed_private_key: bytes, unless_younger_than: float) -> Work[bool]:
    """Enter a new key, unless one was created after `unless_younger_than`: another process was quicker then."""
    youngest = yield from page()
    if youngest and youngest[0].created_at > unless_younger_than:
        return False
    yield Statement(INSERT, {"id": identifier, "sealed": sealed_private_key})
    return True


def forget_before(moment: float) -> Work[None]:
    """Remove the keys that were created before `moment`: nothing that they signed is valid any more."""
    yield Statement("DELETE FROM signing_keys WHERE created_at < :moment", {"moment": moment})


def enter_refresh_token(digest: str, principal_id: int, expires_at: float, most: int) -> Work[None]:
    """Remember that a refresh token of that hash was given out; of `most` or more the oldest ones end."""
    yield Statement(KEEP_REFRESH, {"principal": principal_id, "most": most - 1})
    yield Statement(INSERT_REFRESH, {"hash": digest, "principal": principal_id, "expires_at": expires_at})


def take_refresh_token(digest: str) -> Work[tuple[int, float] | None]:
    """Whose refresh token this is and until when it is good; it can't be taken again."""
    rows = yield Statement(TAKE_REFRESH, {"hash": digest})
    return (rows[0][0], rows[0][1]) if rows else None


def forget_expired_refresh_tokens() -> Work[None]:
    """Remove the refresh tokens that nobody can use any more."""
    yield Statement("DELETE FROM refresh_tokens WHERE expires_at < :now")
