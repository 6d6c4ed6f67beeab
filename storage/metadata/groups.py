"""Groups of principals."""

from storage.metadata import access
from storage.metadata.database import Statement, Work

INSERT = "INSERT INTO groups (name, created_at) VALUES (:name, :now) ON CONFLICT (name) DO NOTHING RETURNING id"
MEMBERS = """
SELECT principals.name FROM group_members JOIN principals ON principals.id = group_members.principal_id
WHERE group_members.group_id = :group ORDER BY principals.name
"""
ADD = """
INSERT INTO group_members (group_id, principal_id) VALUES (:group, :principal) ON CONFLICT DO NOTHING
"""


def find(name: str) -> Work[int | None]:
    """The group's id."""
    rows = yield Statement("SELECT id FROM groups WHERE name = :name", {"name": name})
    return rows[0][0] if rows else None


def page(last: str, limit: int) -> Work[list[str]]:
    """At most `limit` names after `last`."""
    rows = yield Statement(
        "SELECT name FROM groups WHERE name > :last ORDER BY name LIMIT :limit", {"last": last, "limit": limit}
    )
    return [name for (name,) in rows]


def create(name: str) -> Work[int | None]:
    """Enter a group: its id, None where the name is taken."""
    rows = yield Statement(INSERT, {"name": name})
    return rows[0][0] if rows else None


def delete(group: int) -> Work[None]:
    """Remove the group; its members stay, without what it gave them."""
    yield Statement("DELETE FROM groups WHERE id = :group", {"group": group})
    yield from access.advance()


def members(group: int) -> Work[list[str]]:
    """The names of its members."""
    rows = yield Statement(MEMBERS, {"group": group})
    return [name for (name,) in rows]


def add(group: int, principal: int) -> Work[None]:
    """Make the principal a member. Idempotent."""
    yield Statement(ADD, {"group": group, "principal": principal})
    yield from access.advance()


def remove(group: int, principal: int) -> Work[None]:
    """End the principal's membership. Idempotent."""
    yield Statement(
        "DELETE FROM group_members WHERE group_id = :group AND principal_id = :principal",
        {"group": group, "principal": principal},
    )
    yield from access.advance()
