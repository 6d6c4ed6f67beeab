"""Repositories: created by the first push, listed by name, deleted with everything in them."""

from collections.abc import Collection, Sequence

from estiva.reference import RepositoryName
from storage.metadata import access, accounts, collection, quotas, tags
from storage.metadata.database import Statement, Work
from storage.metadata.quotas import Quota

ENSURE = "INSERT INTO repositories (name, created_at) VALUES (:name, :now) ON CONFLICT (name) DO NOTHING RETURNING id"
FIND = "SELECT id FROM repositories WHERE name = :name"
KNOWN = """
SELECT id, (SELECT COUNT(*) FROM quotas WHERE subject IN (:all, :one)) FROM repositories WHERE name = :one
"""
PAGE = "SELECT name FROM repositories WHERE name > :last AND name < :end ORDER BY name LIMIT :limit"
BEFORE_TAGS = (
    "cached_tags",
    "absent_content",
    "image_replications",
    "scan_findings",
    "image_scans",
)
CONTENTS = (
    "manifest_children",
    "manifest_blobs",
    "manifests",
    "repository_blobs",
    "repository_policies",
    "lifecycle_policies",
    "lifecycle_previews",
)


def find(name: RepositoryName) -> Work[int | None]:
    """The repository's id, None where there is no such repository."""
    rows = yield Statement(FIND, {"name": name.key})
    return rows[0][0] if rows else None


def known(name: RepositoryName) -> Work[tuple[int, bool] | None]:
    """The repository's id, and whether any quota counts what is pushed to it; None where there is no such repository.

    Both are the same until a commit that is `news`, unless there is no such repository.
    """
    rows = yield Statement(KNOWN, Quota.subjects(name))
    return (rows[0][0], rows[0][1] > 0) if rows else None


def ensure(name: RepositoryName) -> Work[int]:
    """The repository's id; it is created where there was none, and can't be deleted before this work ends."""
    values = {"name": name.key}
    while True:
        rows = yield Statement(FIND, values, lock="KEY SHARE")
        rows = rows or (yield Statement(ENSURE, values))
        # Neither: somebody else was entering it just then, and by now has.
        if rows:
            identifier: int = rows[0][0]
            return identifier


def page(last: str, limit: int, account: str = "") -> Work[list[str]]:
    """At most `limit` names of that account's registry after `last`, in byte order."""
    rows = yield Statement(PAGE, {**accounts.between(account, last), "limit": limit})
    return [RepositoryName.of_key(name).text for (name,) in rows]


def lock(name: RepositoryName) -> Work[int | None]:
    """The repository's id; until this work ends nobody enters anything there. None where there is none.

    Who pushes has locked the repository too (`ensure`): this waits for them, and sees from here on what they entered.
    """
    rows = yield Statement(FIND, {"name": name.key}, lock="UPDATE")
    return rows[0][0] if rows else None


def delete(name: RepositoryName, permitted: Collection[str] | None = None) -> Work[int | None]:
    """Remove the repository and everything in it: its id, None where there is none.

    TagsMovedError where one of its tags is not among the permitted ones (None: whatever there is).
    The blobs' bytes stay: which of them nobody needs any more is a question for garbage collection.
    """
    repository = yield from lock(name)
    if repository is None:
        return None
    yield from _empty(repository, BEFORE_TAGS)
    key = {"repository": repository}
    tagged = yield Statement("DELETE FROM tags WHERE repository_id = :repository RETURNING name", key)
    tags.TagsMovedError.check(tagged, permitted)
    yield from collection.review_repository(repository)
    yield from quotas.remove_all(name)
    yield from _empty(repository, CONTENTS)
    yield Statement("DELETE FROM repositories WHERE id = :repository", {"repository": repository})
    yield from access.advance()
    return repository


def _empty(repository: int, tables: Sequence[str]) -> Work[None]:
    for table in tables:
        yield Statement(
            f"DELETE FROM {table} WHERE repository_id = :repository",  # noqa: S608 - names from the lists above
            {"repository": repository},
        )
