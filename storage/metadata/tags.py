"""Tags: names that point at a manifest of their repository, and can move."""

from collections.abc import Collection, Sequence

from estiva.digest import Digest
from estiva.reference import RepositoryName, Tag
from storage.metadata.database import Rows, Statement, Work

# A push that changes nothing leaves the time of tagging as it was.
MOVE = """
INSERT INTO tags (repository_id, name, digest, tagged_at) VALUES (:repository, :tag, :digest, :now)
ON CONFLICT (repository_id, name) DO UPDATE SET digest = excluded.digest, tagged_at = excluded.tagged_at
WHERE tags.digest <> excluded.digest
"""
CLAIM = """
INSERT INTO tags (repository_id, name, digest, tagged_at) VALUES (:repository, :tag, :digest, :now)
ON CONFLICT (repository_id, name) DO NOTHING
"""
PAGE = """
SELECT tags.name FROM tags
WHERE repository_id = (SELECT id FROM repositories WHERE name = :name) AND tags.name > :last
ORDER BY tags.name LIMIT :limit
"""
OTHERS = """
SELECT 1 FROM tags WHERE repository_id = (SELECT id FROM repositories WHERE name = :name) AND digest = :digest
AND name <> :tag LIMIT 1
"""
TARGET = """
SELECT digest FROM tags WHERE repository_id = (SELECT id FROM repositories WHERE name = :name) AND name = :tag
"""
DELETE = """
DELETE FROM tags WHERE repository_id = (SELECT id FROM repositories WHERE name = :name) AND name = :tag
RETURNING digest
"""
OF_MANIFEST = """
SELECT tags.name FROM tags
WHERE repository_id = (SELECT id FROM repositories WHERE name = :name) AND digest = :digest AND tags.name > :last
ORDER BY tags.name LIMIT :limit
"""


class TagsMovedError(Exception):
    """There is a tag that was not there when it was asked which may go; nothing was removed."""

    @classmethod
    def check(cls, removed: Rows, permitted: Collection[str] | None) -> None:
        """Return where all that this transaction removed may go (None: whatever there is). TagsMovedError."""
        if permitted is not None and not all(tag in permitted for (tag,) in removed):
            raise cls


def move(repository: int, tags: Sequence[Tag], digest: str) -> Work[None]:
    """Point these tags at a manifest that the repository has."""
    values = [{"repository": repository, "tag": tag.text, "digest": digest} for tag in sorted(set(tags), key=str)]
    yield Statement(MOVE, many=values)


def page(name: RepositoryName, last: str, limit: int) -> Work[list[str]]:
    """At most `limit` tags after `last`, in byte order."""
    rows = yield Statement(PAGE, {"name": name.key, "last": last, "limit": limit})
    return [tag for (tag,) in rows]


def target(name: RepositoryName, tag: Tag) -> Work[Digest | None]:
    """The digest that the tag points at, None where there is no such tag."""
    rows = yield Statement(TARGET, {"name": name.key, "tag": tag.text})
    return Digest.parse(rows[0][0]) if rows else None


def claim(repository: int, tag: Tag, digest: str) -> Work[str]:
    """Point a tag that may not move at a manifest, unless it is there already: where it points from now on."""
    key = {"repository": repository, "tag": tag.text}
    # The insertion waits for any other transaction that enters the same tag: one of them is first.
    yield Statement(CLAIM, {**key, "digest": digest})
    rows = yield Statement("SELECT digest FROM tags WHERE repository_id = :repository AND name = :tag", key)
    held: str = rows[0][0]
    return held


def others(name: RepositoryName, tag: Tag, digest: Digest) -> Work[bool]:
    """Whether another tag than this one points at that manifest."""
    return bool((yield Statement(OTHERS, {"name": name.key, "tag": tag.text, "digest": str(digest)})))


def of_manifest(name: RepositoryName, digest: Digest, last: str, limit: int) -> Work[list[str]]:
    """At most `limit` of the tags that point at the manifest, those after `last`, in byte order."""
    values = {"name": name.key, "digest": str(digest), "last": last, "limit": limit}
    return [tag for (tag,) in (yield Statement(OF_MANIFEST, values))]


def delete(name: RepositoryName, tag: Tag) -> Work[bool]:
    """Remove a tag, and nothing else: whether it was there."""
    rows = yield Statement(DELETE, {"name": name.key, "tag": tag.text})
    return bool(rows)
