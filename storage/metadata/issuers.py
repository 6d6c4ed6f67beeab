"""Trusted issuers: the documents that say whose signed word counts, by name."""

from storage.metadata import access
from storage.metadata.database import Statement, Work

PUT = """
INSERT INTO trusted_issuers (name, document, updated_at) VALUES (:name, :document, :now)
ON CONFLICT (name) DO UPDATE SET document = excluded.document, updated_at = excluded.updated_at
"""


def put(name: str, document: str) -> Work[None]:
    """Enter a trusted issuer, in place of an older one of that name."""
    yield Statement(PUT, {"name": name, "document": document})
    yield from access.advance()


def page() -> Work[list[tuple[str, str]]]:
    """Every trusted issuer: names and documents."""
    rows = yield Statement("SELECT name, document FROM trusted_issuers ORDER BY name")
    return [(name, document) for name, document in rows]


def delete(name: str) -> Work[bool]:
    """Remove a trusted issuer: whether it was there."""
    rows = yield Statement("DELETE FROM trusted_issuers WHERE name = :name RETURNING name", {"name": name})
    yield from access.advance()
    return bool(rows)
