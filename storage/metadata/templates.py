"""Templates of repositories: documents by prefix."""

from dataclasses import dataclass

from storage.metadata.database import Statement, Work

INSERT = """
INSERT INTO creation_templates (account, prefix, document, created_at, updated_at)
VALUES (:account, :prefix, :document, :now, :now) ON CONFLICT (account, prefix) DO NOTHING RETURNING prefix
"""
UPDATE = """
UPDATE creation_templates SET document = :document, updated_at = :now
WHERE account = :account AND prefix = :prefix RETURNING prefix
"""
PAGE = """
SELECT prefix, document, created_at, updated_at FROM creation_templates
WHERE account = :account AND prefix > :last ORDER BY prefix LIMIT :limit
"""


@dataclass(frozen=True, slots=True)
class TemplateRecord:
    """A template as it is stored; `document` is JSON text."""

    prefix: str
    document: str
    created_at: float
    updated_at: float


def create(account: str, prefix: str, document: str) -> Work[bool]:
    """Enter a template: whether the prefix was free."""
    rows = yield Statement(INSERT, {"account": account, "prefix": prefix, "document": document})
    return bool(rows)


def update(account: str, prefix: str, document: str) -> Work[bool]:
    """Replace a template: whether there was one."""
    rows = yield Statement(UPDATE, {"account": account, "prefix": prefix, "document": document})
    return bool(rows)


def find(account: str, prefix: str) -> Work[TemplateRecord | None]:
    """The template of exactly that prefix."""
    rows = yield Statement(
        "SELECT prefix, document, created_at, updated_at FROM creation_templates "
        "WHERE account = :account AND prefix = :prefix",
        {"account": account, "prefix": prefix},
    )
    return TemplateRecord(*rows[0]) if rows else None


def page(account: str, last: str, limit: int) -> Work[list[TemplateRecord]]:
    """At most `limit` templates after prefix `last`, in byte order."""
    rows = yield Statement(PAGE, {"account": account, "last": last, "limit": limit})
    return [TemplateRecord(*row) for row in rows]


def delete(account: str, prefix: str) -> Work[bool]:
    """Remove the template: whether it was there."""
    rows = yield Statement(
        "DELETE FROM creation_templates WHERE account = :account AND prefix = :prefix RETURNING prefix",
        {"account": account, "prefix": prefix},
    )
    return bool(rows)
