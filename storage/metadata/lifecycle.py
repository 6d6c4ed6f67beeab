"""Lifecycle policies of repositories, what they look at, and what the last preview said."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from estiva.digest import Digest
from estiva.reference import RepositoryName
from storage.metadata import repositories
from storage.metadata.database import Row, Rows, Statement, Work

PUT = """
INSERT INTO lifecycle_policies (repository_id, document, updated_at, due_at)
VALUES (:repository, :document, :now, :now + :delay)
ON CONFLICT (repository_id) DO UPDATE SET document = excluded.document, updated_at = excluded.updated_at,
due_at = excluded.due_at
"""
FIND = """
SELECT document, updated_at, evaluated_at FROM lifecycle_policies
WHERE repository_id = (SELECT id FROM repositories WHERE name = :name)
"""
DELETE = """
DELETE FROM lifecycle_policies WHERE repository_id = (SELECT id FROM repositories WHERE name = :name)
RETURNING document, updated_at, evaluated_at
"""
# The condition on time is there twice: PostgreSQL looks again at the outer one where another process was quicker.
TAKE = """
UPDATE lifecycle_policies SET due_at = :now + :lease
WHERE repository_id IN (SELECT repository_id FROM lifecycle_policies WHERE due_at <= :now ORDER BY due_at LIMIT 1)
AND due_at <= :now RETURNING repository_id
"""
KEEP = "UPDATE lifecycle_policies SET due_at = :now + :lease WHERE repository_id = :repository"
EVALUATED = """
UPDATE lifecycle_policies SET evaluated_at = :now, due_at = :now + :delay WHERE repository_id = :repository
"""
MANIFESTS = """
SELECT manifests.digest, manifests.pushed_at, images.pulled_at, manifests.subject FROM manifests
JOIN images ON images.repository_id = manifests.repository_id AND images.digest = manifests.digest
WHERE manifests.repository_id = :repository
"""
PAGE = MANIFESTS + " AND manifests.digest > :last ORDER BY manifests.digest LIMIT :limit"
ONE = MANIFESTS + " AND manifests.digest = :digest"
CHILDREN = """
SELECT parent_digest, child_digest FROM manifest_children
WHERE repository_id = :repository AND parent_digest >= :first AND parent_digest <= :last
"""
TAGS = """
SELECT digest, name, tagged_at FROM tags WHERE repository_id = :repository AND digest >= :first AND digest <= :last
"""
PARENTS = "SELECT parent_digest FROM manifest_children WHERE repository_id = :repository AND child_digest = :digest"
REFERRERS = "SELECT digest FROM manifests WHERE repository_id = :repository AND subject = :digest"
FORGET_PREVIEW = "DELETE FROM lifecycle_previews WHERE repository_id = :repository"
ENTER_PREVIEW = """
INSERT INTO lifecycle_previews (repository_id, document, evaluated_at, expiring)
VALUES (:repository, :document, :now, :expiring)
"""
ENTER_PREVIEWED = """
INSERT INTO lifecycle_preview_images (repository_id, digest, tags, pushed_at, priority)
VALUES (:repository, :digest, :tags, :pushed_at, :priority)
"""
FIND_PREVIEW = """
SELECT repository_id, document, evaluated_at, expiring FROM lifecycle_previews
WHERE repository_id = (SELECT id FROM repositories WHERE name = :name)
"""
PREVIEWED = """
SELECT digest, tags, pushed_at, priority FROM lifecycle_preview_images
WHERE repository_id = :repository AND digest > :last ORDER BY digest LIMIT :limit
"""


@dataclass(frozen=True, slots=True)
class LifecycleRecord:
    """A repository's lifecycle policy; `evaluated_at` is when it was last carried out, None before that."""

    document: str
    updated_at: float
    evaluated_at: float | None


@dataclass(frozen=True, slots=True)
class ManifestFacts:
    """What a lifecycle has to know of a manifest; times are seconds since the epoch, tags come with theirs."""

    digest: Digest
    pushed_at: float
    pulled_at: float | None = None
    subject: Digest | None = None
    children: tuple[Digest, ...] = ()
    tags: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PreviewedImage:
    """An image that would expire, and the priority of the rule by which it would."""

    digest: str
    tags: tuple[str, ...]
    pushed_at: float
    priority: int


@dataclass(frozen=True, slots=True)
class PreviewRecord:
    """What a policy would do: how many images would expire."""

    repository: int
    document: str
    evaluated_at: float
    expiring: int


def put(name: RepositoryName, document: str, delay: float) -> Work[bool]:
    """Set the repository's policy, to be carried out in `delay` seconds: whether there is such a repository."""
    repository = yield from repositories.find(name)
    if repository is None:
        return False
    yield Statement(PUT, {"repository": repository, "document": document, "delay": delay})
    return True


def find(name: RepositoryName) -> Work[LifecycleRecord | None]:
    """The repository's policy."""
    rows = yield Statement(FIND, {"name": name.key})
    return LifecycleRecord(*rows[0]) if rows else None


def delete(name: RepositoryName) -> Work[LifecycleRecord | None]:
    """Remove the repository's policy: the one that it had."""
    rows = yield Statement(DELETE, {"name": name.key})
    return LifecycleRecord(*rows[0]) if rows else None


def take(lease: float) -> Work[RepositoryName | None]:
    """A repository whose policy is due, which nobody else gets for `lease` seconds."""
    taken = yield Statement(TAKE, {"lease": lease})
    if not taken:
        return None
    rows = yield Statement("SELECT name FROM repositories WHERE id = :id", {"id": taken[0][0]})
    return RepositoryName.of_key(rows[0][0])


def keep(repository: int, lease: float) -> Work[None]:
    """Go on with what was taken, for `lease` further seconds."""
    yield Statement(KEEP, {"repository": repository, "lease": lease})


def evaluated(repository: int, delay: float) -> Work[None]:
    """The policy has been carried out; it is due again in `delay` seconds."""
    yield Statement(EVALUATED, {"repository": repository, "delay": delay})


def now() -> Work[float]:
    """The database's time: whose the times of all facts are."""
    rows = yield Statement("SELECT :now")
    return float(rows[0][0])


def page(repository: int, last: str, limit: int) -> Work[list[ManifestFacts]]:
    """The facts of at most `limit` manifests after digest `last`, in order of digest."""
    rows = yield Statement(PAGE, {"repository": repository, "last": last, "limit": limit})
    return (yield from _facts(repository, rows)) if rows else []


def one(repository: int, digest: Digest) -> Work[ManifestFacts | None]:
    """The facts of one manifest."""
    rows = yield Statement(ONE, {"repository": repository, "digest": str(digest)})
    return (yield from _facts(repository, rows))[0] if rows else None


def attached(repository: int, digest: Digest, fallback_tags: Sequence[str]) -> Work[set[str]]:
    """The digests of whatever lists the manifest, refers to it, or has one of these tags."""
    key = {"repository": repository, "digest": str(digest)}
    found = {parent for (parent,) in (yield Statement(PARENTS, key))}
    found |= {referrer for (referrer,) in (yield Statement(REFERRERS, key))}
    for tag in fallback_tags:
        rows = yield Statement(
            "SELECT digest FROM tags WHERE repository_id = :repository AND name = :tag",
            {"repository": repository, "tag": tag},
        )
        found |= {tagged for (tagged,) in rows}
    return found


def enter_preview(repository: int, document: str, images: Sequence[PreviewedImage]) -> Work[None]:
    """Keep what a policy would do, in place of what was kept for the repository before."""
    yield Statement(FORGET_PREVIEW, {"repository": repository})
    yield Statement(ENTER_PREVIEW, {"repository": repository, "document": document, "expiring": len(images)})
    yield Statement(
        ENTER_PREVIEWED,
        many=[
            {
                "repository": repository,
                "digest": image.digest,
                "tags": json.dumps(image.tags),
                "pushed_at": image.pushed_at,
                "priority": image.priority,
            }
            for image in images
        ],
    )


def find_preview(name: RepositoryName) -> Work[PreviewRecord | None]:
    """What was last kept for the repository."""
    rows = yield Statement(FIND_PREVIEW, {"name": name.key})
    return PreviewRecord(*rows[0]) if rows else None


def previewed(repository: int, last: str, limit: int) -> Work[list[PreviewedImage]]:
    """At most `limit` images after digest `last` that would expire."""
    rows = yield Statement(PREVIEWED, {"repository": repository, "last": last, "limit": limit})
    return [PreviewedImage(digest, tuple(json.loads(tags)), at, priority) for digest, tags, at, priority in rows]


def _facts(repository: int, rows: Rows) -> Work[list[ManifestFacts]]:
    span = {"repository": repository, "first": rows[0][0], "last": rows[-1][0]}
    children: dict[str, list[Digest]] = {}
    for parent, child in (yield Statement(CHILDREN, span)):
        children.setdefault(parent, []).append(Digest.parse(child))
    tags: dict[str, dict[str, float]] = {}
    for digest, tag, at in (yield Statement(TAGS, span)):
        tags.setdefault(digest, {})[tag] = at
    return [_fact(row, children.get(row[0], []), tags.get(row[0], {})) for row in rows]


def _fact(row: Row, children: list[Digest], tags: dict[str, float]) -> ManifestFacts:
    digest, pushed_at, pulled_at, subject = row
    about = None if subject is None else Digest.parse(subject)
    return ManifestFacts(Digest.parse(digest), pushed_at, pulled_at, about, tuple(sorted(children, key=str)), tags)
