"""Images as a repository's owner sees them: sizes, times of push and pull, all tags of each."""

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import NamedTuple

from storage.metadata.database import Row, Rows, Statement, Work

SIZE = """COALESCE((
  SELECT SUM(blobs.size) FROM manifest_blobs JOIN blobs ON blobs.digest = manifest_blobs.blob_digest
  WHERE manifest_blobs.repository_id = manifests.repository_id AND manifest_blobs.manifest_digest = manifests.digest
), 0) + COALESCE((
  SELECT MAX(images.size) FROM manifest_children
  JOIN images ON images.repository_id = manifest_children.repository_id
  AND images.digest = manifest_children.child_digest
  WHERE manifest_children.repository_id = manifests.repository_id
  AND manifest_children.parent_digest = manifests.digest
), 0)"""
ENTER = f"""
INSERT INTO images (repository_id, digest, size)
SELECT manifests.repository_id, manifests.digest, {SIZE}
FROM manifests WHERE manifests.repository_id = :repository AND manifests.digest = :digest
"""  # noqa: S608
WEIGH = f"""
UPDATE images SET size = (
  SELECT {SIZE} FROM manifests WHERE manifests.repository_id = :repository AND manifests.digest = :digest
) WHERE repository_id = :repository AND digest = :digest
"""  # noqa: S608
PARENTS = "SELECT parent_digest FROM manifest_children WHERE repository_id = :repository AND child_digest = :digest"
DESCRIBED = """
SELECT manifests.digest, manifests.media_type, manifests.artifact_type, manifests.subject, manifests.pushed_at,
images.size, images.pulled_at
FROM manifests JOIN images ON images.repository_id = manifests.repository_id AND images.digest = manifests.digest
WHERE manifests.repository_id = :repository
"""
OF_DIGEST = DESCRIBED + " AND manifests.digest = :digest"
HAS_TAG = """(
SELECT 1 FROM tags WHERE tags.repository_id = manifests.repository_id AND tags.digest = manifests.digest
)"""
OF_TAG = "SELECT digest FROM tags WHERE repository_id = :repository AND name = :tag"
TAGS = """
SELECT digest, name FROM tags WHERE repository_id = :repository AND digest >= :first AND digest <= :last
ORDER BY digest, name
"""
TAGS_OF = "SELECT name FROM tags WHERE repository_id = :repository AND digest = :digest ORDER BY name"
LISTED = """
SELECT manifests.digest, tags.name FROM manifests
LEFT JOIN tags ON tags.repository_id = manifests.repository_id AND tags.digest = manifests.digest
WHERE manifests.repository_id = :repository AND manifests.digest >= :digest
AND (manifests.digest > :digest OR tags.name > :tag) {condition}
ORDER BY manifests.digest, tags.name LIMIT :limit
"""
LISTED_TAGS = """
SELECT digest, name FROM tags WHERE repository_id = :repository AND digest >= :digest
AND (digest > :digest OR name > :tag) ORDER BY digest, name LIMIT :limit
"""
PULLED = """
UPDATE images SET pulled_at = :at
WHERE repository_id = (SELECT id FROM repositories WHERE name = :name) AND digest = :digest
AND (pulled_at IS NULL OR pulled_at < :at)
"""


class TagStatus(Enum):
    """Which images are asked for."""

    ANY = "ANY"
    TAGGED = "TAGGED"
    UNTAGGED = "UNTAGGED"


PAGES = {
    TagStatus.ANY: DESCRIBED + " AND manifests.digest > :last ORDER BY manifests.digest LIMIT :limit",
    TagStatus.TAGGED: DESCRIBED
    + f" AND manifests.digest > :last AND EXISTS {HAS_TAG} ORDER BY manifests.digest LIMIT :limit",
    TagStatus.UNTAGGED: DESCRIBED
    + f" AND manifests.digest > :last AND NOT EXISTS {HAS_TAG} ORDER BY manifests.digest LIMIT :limit",
}
LISTS = {
    TagStatus.ANY: LISTED.format(condition=""),
    TagStatus.TAGGED: LISTED_TAGS,
    TagStatus.UNTAGGED: LISTED.format(condition="AND tags.name IS NULL"),
}


class ImageRecord(NamedTuple):
    """An image; `size` is that of its config and layers, of an index that of its largest image."""

    digest: str
    media_type: str
    artifact_type: str | None
    subject: str | None
    pushed_at: float
    size: int
    pulled_at: float | None
    tags: tuple[str, ...] = ()


def enter(repository: int, digest: str) -> Work[None]:
    """Note the size of a manifest that has just been entered with what it needs."""
    yield Statement(ENTER, {"repository": repository, "digest": digest})


def weigh(repository: int, digest: str) -> Work[None]:
    """Look again how large the image is, and the indexes that list it, now that more of it is here."""
    key = {"repository": repository, "digest": digest}
    yield Statement(WEIGH, key)
    for (parent,) in (yield Statement(PARENTS, key)):
        yield Statement(WEIGH, {**key, "digest": parent})


def page(repository: int, last: str, limit: int, status: TagStatus = TagStatus.ANY) -> Work[list[ImageRecord]]:
    """At most `limit` images after digest `last`, in order of digest."""
    rows = yield Statement(PAGES[status], {"repository": repository, "last": last, "limit": limit})
    if not rows:
        return []
    span = {"repository": repository, "first": rows[0][0], "last": rows[-1][0]}
    names = _by_digest((yield Statement(TAGS, span)))
    return [_record(row, names.get(row[0], ())) for row in rows]


def find(repository: int, digest: str) -> Work[ImageRecord | None]:
    """The image of that digest."""
    key = {"repository": repository, "digest": digest}
    rows = yield Statement(OF_DIGEST, key)
    if not rows:
        return None
    return _record(rows[0], [name for (name,) in (yield Statement(TAGS_OF, key))])


def digest_of(repository: int, tag: str) -> Work[str | None]:
    """The digest that a tag points at."""
    rows = yield Statement(OF_TAG, {"repository": repository, "tag": tag})
    return rows[0][0] if rows else None


def listed(
    repository: int, after: tuple[str, str], limit: int, status: TagStatus = TagStatus.ANY
) -> Work[list[tuple[str, str | None]]]:
    """At most `limit` pairs of digest and tag after that pair, one for each tag; images without have None."""
    values = {"repository": repository, "digest": after[0], "tag": after[1], "limit": limit}
    rows = yield Statement(LISTS[status], values)
    return [(digest, tag) for digest, tag in rows]


def pulled(times: Mapping[tuple[str, str], float]) -> Work[None]:
    """Note when images were last pulled: by the repository's key and the digest."""
    values = [{"name": name, "digest": digest, "at": at} for (name, digest), at in sorted(times.items())]
    yield Statement(PULLED, many=values)


def _record(row: Row, names: Sequence[str]) -> ImageRecord:
    digest, media_type, artifact_type, subject, pushed_at, size, pulled_at = row
    return ImageRecord(digest, media_type, artifact_type, subject, pushed_at, size, pulled_at, tuple(names))


def _by_digest(rows: Rows) -> dict[str, list[str]]:
    names: dict[str, list[str]] = {}
    for digest, name in rows:
        names.setdefault(digest, []).append(name)
    return names
