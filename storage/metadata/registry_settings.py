"""What is set for an account's whole registry: documents by name (its policy, replication, scanning)."""

from storage.metadata import access
from storage.metadata.database import Statement, Work

POLICY = "policy"
REPLICATION = "replication"
SCANNING = "scanning"

PUT = """
INSERT INTO registry_settings (account, name, document, updated_at) VALUES (:account, :name, :document, :now)
ON CONFLICT (account, name) DO UPDATE SET document = excluded.document, updated_at = excluded.updated_at
"""


def find(account: str, name: str) -> Work[str | None]:
    """The document of that name."""
    rows = yield Statement(
        "SELECT document FROM registry_settings WHERE account = :account AND name = :name",
        {"account": account, "name": name},
    )
    return rows[0][0] if rows else None


def put(account: str, name: str, document: str) -> Work[None]:
    """Set the document of that name."""
    yield Statement(PUT, {"account": account, "name": name, "document": document})
    if name == POLICY:
        yield from access.advance()


def delete(account: str, name: str) -> Work[str | None]:
    """Remove the document of that name: what it was."""
    rows = yield Statement(
        "DELETE FROM registry_settings WHERE account = :account AND name = :name RETURNING document",
        {"account": account, "name": name},
    )
    if name == POLICY:
        yield from access.advance()
    return rows[0][0] if rows else None
