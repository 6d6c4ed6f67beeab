"""Policies: documents by name, whom they are attached to, and the policies of repositories."""

from dataclasses import dataclass
from typing import Literal

from estiva.reference import RepositoryName
from storage.metadata import access, repositories
from storage.metadata.database import Statement, Work

PUT = """
INSERT INTO policies (name, document, updated_at) VALUES (:name, :document, :now)
ON CONFLICT (name) DO UPDATE SET document = excluded.document, updated_at = excluded.updated_at
"""
OF_PRINCIPAL = """
SELECT principal_policies.policy, policies.document FROM principal_policies
LEFT JOIN policies ON policies.name = principal_policies.policy
WHERE principal_policies.principal_id = :principal
UNION
SELECT group_policies.policy, policies.document FROM group_members
JOIN group_policies ON group_policies.group_id = group_members.group_id
LEFT JOIN policies ON policies.name = group_policies.policy
WHERE group_members.principal_id = :principal
ORDER BY 1
"""
HOLDERS = """
SELECT principals.kind || '/' || principals.name FROM principal_policies
JOIN principals ON principals.id = principal_policies.principal_id WHERE principal_policies.policy = :name
UNION
SELECT 'group/' || groups.name FROM group_policies
JOIN groups ON groups.id = group_policies.group_id WHERE group_policies.policy = :name
ORDER BY 1
"""
PUT_REPOSITORY = """
INSERT INTO repository_policies (repository_id, document, updated_at) VALUES (:repository, :document, :now)
ON CONFLICT (repository_id) DO UPDATE SET document = excluded.document, updated_at = excluded.updated_at
"""
OF_REPOSITORY = """
SELECT repository_policies.document FROM repositories
JOIN repository_policies ON repository_policies.repository_id = repositories.id WHERE repositories.name = :name
"""
WITH_POLICY = """
SELECT name FROM repositories WHERE name >= :first AND name <= :last
AND EXISTS (SELECT 1 FROM repository_policies WHERE repository_policies.repository_id = repositories.id)
"""

Holder = Literal["principal", "group"]


@dataclass(frozen=True, slots=True)
class AttachedPolicy:
    """A policy that counts for somebody; `document` is None where the name is a ready-made policy's (or nobody's)."""

    name: str
    document: str | None


def put(name: str, document: str) -> Work[None]:
    """Enter a policy, in place of an older one of that name."""
    yield Statement(PUT, {"name": name, "document": document})
    yield from access.advance()


def find(name: str) -> Work[str | None]:
    """The document of that name."""
    rows = yield Statement("SELECT document FROM policies WHERE name = :name", {"name": name})
    return rows[0][0] if rows else None


def page(last: str, limit: int) -> Work[list[str]]:
    """At most `limit` names after `last`."""
    rows = yield Statement(
        "SELECT name FROM policies WHERE name > :last ORDER BY name LIMIT :limit", {"last": last, "limit": limit}
    )
    return [name for (name,) in rows]


def holders(name: str) -> Work[list[str]]:
    """Everybody who has the policy itself, such as `user/alice` or `group/builders`."""
    rows = yield Statement(HOLDERS, {"name": name})
    return [holder for (holder,) in rows]


def delete(name: str) -> Work[bool]:
    """Remove the policy: whether it was there."""
    rows = yield Statement("DELETE FROM policies WHERE name = :name RETURNING name", {"name": name})
    yield from access.advance()
    return bool(rows)


def attach(holder: Holder, identifier: int, policy: str) -> Work[None]:
    """Give a principal or a group a policy. Idempotent."""
    yield Statement(
        f"INSERT INTO {holder}_policies ({holder}_id, policy) VALUES (:id, :policy) "  # noqa: S608 - a literal
        "ON CONFLICT DO NOTHING",
        {"id": identifier, "policy": policy},
    )
    yield from access.advance()


def detach(holder: Holder, identifier: int, policy: str) -> Work[None]:
    """Take a policy from a principal or a group. Idempotent."""
    yield Statement(
        f"DELETE FROM {holder}_policies WHERE {holder}_id = :id AND policy = :policy",  # noqa: S608 - a literal
        {"id": identifier, "policy": policy},
    )
    yield from access.advance()


def attached_to(holder: Holder, identifier: int) -> Work[list[str]]:
    """The names of the policies that a principal or a group itself has."""
    rows = yield Statement(
        f"SELECT policy FROM {holder}_policies WHERE {holder}_id = :id ORDER BY policy",  # noqa: S608 - a literal
        {"id": identifier},
    )
    return [policy for (policy,) in rows]


def of_principal(identifier: int) -> Work[list[AttachedPolicy]]:
    """Every policy that counts for the principal: its own and its groups'."""
    rows = yield Statement(OF_PRINCIPAL, {"principal": identifier})
    return [AttachedPolicy(name, document) for name, document in rows]


def of_repository(name: RepositoryName) -> Work[str | None]:
    """The repository's own policy."""
    rows = yield Statement(OF_REPOSITORY, {"name": name.key})
    return rows[0][0] if rows else None


def repositories_with_policy(first: RepositoryName, last: RepositoryName) -> Work[list[str]]:
    """The keys of the repositories from `first` to `last`, both included, that have a policy of their own."""
    rows = yield Statement(WITH_POLICY, {"first": first.key, "last": last.key})
    return [key for (key,) in rows]


def put_for_repository(name: RepositoryName, document: str) -> Work[bool]:
    """Set the repository's policy: whether there is such a repository."""
    repository = yield from repositories.find(name)
    if repository is None:
        return False
    yield Statement(PUT_REPOSITORY, {"repository": repository, "document": document})
    yield from access.advance()
    return True


def delete_for_repository(name: RepositoryName) -> Work[bool]:
    """Remove the repository's policy: whether it had one."""
    rows = yield Statement(
        "DELETE FROM repository_policies WHERE repository_id = (SELECT id FROM repositories WHERE name = :name) "
        "RETURNING repository_id",
        {"name": name.key},
    )
    yield from access.advance()
    return bool(rows)
