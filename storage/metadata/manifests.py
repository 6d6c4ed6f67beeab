"""Manifests: the bytes as they were pushed, and what they need."""

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from estiva.descriptor import Descriptor
from estiva.digest import Digest
from estiva.errors import ManifestBlobUnknown, TagImmutable
from estiva.manifest import Manifest
from estiva.mediatypes import OCI_INDEX
from estiva.reference import Reference, RepositoryName, Tag
from storage.metadata import collection, images, quotas, repositories, tags
from storage.metadata import mutability as tag_mutability
from storage.metadata.database import Rows, Statement, Work

BY_DIGEST = """
SELECT manifests.digest, manifests.media_type, manifests.payload FROM repositories
JOIN manifests ON manifests.repository_id = repositories.id
WHERE repositories.name = :name AND manifests.digest = :reference
"""
BY_TAG = """
SELECT manifests.digest, manifests.media_type, manifests.payload FROM repositories
JOIN tags ON tags.repository_id = repositories.id
JOIN manifests ON manifests.repository_id = repositories.id AND manifests.digest = tags.digest
WHERE repositories.name = :name AND tags.name = :reference
"""
ANY = """
SELECT 1 FROM manifests WHERE repository_id = (SELECT id FROM repositories WHERE name = :name) LIMIT 1
"""
EXISTS = "SELECT 1 FROM manifests WHERE repository_id = :repository AND digest = :digest"
INSERT = """
INSERT INTO manifests
(repository_id, digest, media_type, artifact_type, subject, annotations, size, pushed_at, payload)
VALUES (:repository, :digest, :media_type, :artifact_type, :subject, :annotations, :size, :now, :payload)
ON CONFLICT (repository_id, digest) DO NOTHING
"""
NEED_BLOB = """
INSERT INTO manifest_blobs (repository_id, manifest_digest, blob_digest)
SELECT repository_blobs.repository_id, :manifest, blobs.digest FROM repository_blobs
JOIN blobs ON blobs.digest = repository_blobs.digest
WHERE repository_blobs.repository_id = :repository AND blobs.digest = :digest AND blobs.state = 'live'
ON CONFLICT DO NOTHING
"""
NEED_CHILD = """
INSERT INTO manifest_children (repository_id, parent_digest, child_digest)
SELECT repository_id, :manifest, digest FROM manifests WHERE repository_id = :repository AND digest = :digest
ON CONFLICT DO NOTHING
"""
NEEDS = """
SELECT blob_digest FROM manifest_blobs WHERE repository_id = :repository AND manifest_digest = :manifest
UNION SELECT child_digest FROM manifest_children WHERE repository_id = :repository AND parent_digest = :manifest
"""
PARENT = """
SELECT parent_digest FROM manifest_children
WHERE repository_id = (SELECT id FROM repositories WHERE name = :name) AND child_digest = :digest LIMIT 1
"""
# What a list of referrers shows, and before that how long it would be: annotations may be as long as a manifest.
SHOWN = "manifests.media_type, manifests.digest, manifests.size, manifests.artifact_type, manifests.annotations"
LENGTHS = "manifests.digest, CASE WHEN manifests.annotations IS NULL THEN 0 ELSE manifests.size END"
OF_SUBJECT = """
FROM manifests
WHERE manifests.repository_id = (SELECT id FROM repositories WHERE name = :name) AND manifests.subject = :subject
AND manifests.digest > :last AND (CAST(:artifact_type AS TEXT) IS NULL OR manifests.artifact_type = :artifact_type)
ORDER BY manifests.digest LIMIT :limit
"""
OF_TAG = """
FROM tags
JOIN manifests AS list ON list.repository_id = tags.repository_id AND list.digest = tags.digest
JOIN manifest_children ON manifest_children.repository_id = list.repository_id
AND manifest_children.parent_digest = list.digest
JOIN manifests ON manifests.repository_id = manifest_children.repository_id
AND manifests.digest = manifest_children.child_digest
WHERE tags.repository_id = (SELECT id FROM repositories WHERE name = :name) AND tags.name = :tag
AND list.media_type = :media_type AND manifest_children.child_digest > :last
AND (CAST(:artifact_type AS TEXT) IS NULL OR manifests.artifact_type = :artifact_type)
ORDER BY manifest_children.child_digest LIMIT :limit
"""
REFERRERS, REFERRER_LENGTHS = f"SELECT {SHOWN} {OF_SUBJECT}", f"SELECT {LENGTHS} {OF_SUBJECT}"
LISTED, LISTED_LENGTHS = f"SELECT {SHOWN} {OF_TAG}", f"SELECT {LENGTHS} {OF_TAG}"


@dataclass(frozen=True, slots=True)
class StoredManifest:
    """A manifest as it was pushed."""

    digest: Digest
    media_type: str
    payload: bytes


def find(name: RepositoryName, reference: Reference) -> Work[StoredManifest | None]:
    """The manifest of that tag or digest, None where there is none."""
    sql = BY_TAG if isinstance(reference, Tag) else BY_DIGEST
    rows = yield Statement(sql, {"name": name.key, "reference": str(reference)})
    if not rows:
        return None
    digest, media_type, payload = rows[0]
    return StoredManifest(Digest.parse(digest), media_type, bytes(payload))


def put(name: RepositoryName, manifest: Manifest, stored: StoredManifest, new_tags: Sequence[Tag]) -> Work[None]:
    """Enter a manifest with everything it needs, and point the tags at it: all of it or nothing.

    ManifestBlobUnknown when something it needs is not in the repository, TagImmutable for a tag that is another
    manifest's and may not move, QuotaExceeded. Idempotent.
    """
    repository = yield from repositories.ensure(name)
    if missing := (yield from enter(name, repository, manifest, stored)):
        raise ManifestBlobUnknown(detail={"digests": missing[:100]})
    yield from point(name, repository, new_tags, str(stored.digest))


def point(name: RepositoryName, repository: int, new_tags: Sequence[Tag], digest: str) -> Work[None]:
    """Point the tags at a manifest, as far as the repository lets them move. TagImmutable."""
    if not new_tags:
        return
    mutability = yield from tag_mutability.read(repository)
    fixed = [tag for tag in new_tags if mutability.fixes(tag)]
    for tag in fixed:
        if (yield from tags.claim(repository, tag, digest)) != digest:
            raise TagImmutable(
                f"The image tag '{tag}' already exists in the '{name}' repository and cannot be overwritten "
                "because the tag is immutable.",
                detail={"tag": tag.text},
            )
    yield from tags.move(repository, [tag for tag in new_tags if tag not in fixed], digest)


def enter(name: RepositoryName, repository: int, manifest: Manifest, stored: StoredManifest) -> Work[list[str]]:
    """Enter a manifest, and tie it to what it needs of the repository: the digests of what is missing there.

    One that the repository has already stays as it is, and misses nothing. QuotaExceeded.
    """
    key = {"repository": repository, "digest": str(stored.digest)}
    if (yield Statement(EXISTS, key)):
        return []
    yield Statement(INSERT, {**key, **_columns(manifest, stored)})
    missing = yield from _need(repository, str(stored.digest), manifest)
    yield from images.enter(repository, str(stored.digest))
    yield from quotas.add(name, len(stored.payload))
    return missing


def delete(name: RepositoryName, digest: Digest) -> Work[bool]:
    """Remove a manifest and every tag that points at it: whether it was there.

    ConstraintError while an index needs it.
    """
    return (yield from delete_with_tags(name, digest)) is not None


def delete_with_tags(
    name: RepositoryName, digest: Digest, permitted: Collection[str] | None = None
) -> Work[list[Tag] | None]:
    """The same, and which tags pointed at it; None where it was not there.

    TagsMovedError where one of the tags is not among the permitted ones (None: whatever there is).
    """
    repository = yield from repositories.find(name)
    key = {"repository": repository, "digest": str(digest)}
    if repository is None or not (yield Statement(EXISTS, key)):
        return None
    tagged = yield Statement(
        "DELETE FROM tags WHERE repository_id = :repository AND digest = :digest RETURNING name", key
    )
    tags.TagsMovedError.check(tagged, permitted)
    yield from collection.review_needs(repository, str(digest))
    removed = yield Statement(
        "DELETE FROM manifests WHERE repository_id = :repository AND digest = :digest RETURNING size", key
    )
    yield from quotas.remove(name, removed[0][0])
    return sorted((Tag(tag) for (tag,) in tagged), key=str)


def any_in(name: RepositoryName) -> Work[bool]:
    """Whether the repository has a manifest."""
    return bool((yield Statement(ANY, {"name": name.key})))


def parent(name: RepositoryName, digest: Digest) -> Work[str | None]:
    """The digest of an index of this repository that lists the manifest, None where none does."""
    rows = yield Statement(PARENT, {"name": name.key, "digest": str(digest)})
    return rows[0][0] if rows else None


def referrers(
    name: RepositoryName, subject: Digest, artifact_type: str | None, last: str, limit: int
) -> Work[list[Descriptor]]:
    """Manifests whose subject that is, at most `limit` after digest `last`, as a referrers list shows them."""
    rows = yield Statement(REFERRERS, {"subject": str(subject), **_page_of(name, artifact_type, last, limit)})
    return _shown(rows)


def referrer_lengths(
    name: RepositoryName, subject: Digest, artifact_type: str | None, last: str, limit: int
) -> Work[dict[str, int]]:
    """The digests that `referrers` gives for the same values, each with about how long its annotations are."""
    rows = yield Statement(REFERRER_LENGTHS, {"subject": str(subject), **_page_of(name, artifact_type, last, limit)})
    return dict((digest, length) for digest, length in rows)


def listed(name: RepositoryName, tag: Tag, artifact_type: str | None, last: str, limit: int) -> Work[list[Descriptor]]:
    """What the OCI index of that tag lists, as `referrers` would show it; no index, no manifests."""
    values = {"tag": tag.text, "media_type": OCI_INDEX, **_page_of(name, artifact_type, last, limit)}
    return _shown((yield Statement(LISTED, values)))


def listed_lengths(
    name: RepositoryName, tag: Tag, artifact_type: str | None, last: str, limit: int
) -> Work[dict[str, int]]:
    """The digests that `listed` gives for the same values, each with about how long its annotations are."""
    values = {"tag": tag.text, "media_type": OCI_INDEX, **_page_of(name, artifact_type, last, limit)}
    return dict((digest, length) for digest, length in (yield Statement(LISTED_LENGTHS, values)))


def _page_of(name: RepositoryName, artifact_type: str | None, last: str, limit: int) -> dict[str, object]:
    return {"name": name.key, "artifact_type": artifact_type, "last": last, "limit": limit}


def _shown(rows: Rows) -> list[Descriptor]:
    return [
        Descriptor(media_type, Digest.parse(digest), size, kind, json.loads(annotations or "{}"))
        for media_type, digest, size, kind, annotations in rows
    ]


def _columns(manifest: Manifest, stored: StoredManifest) -> dict[str, object]:
    annotations = json.dumps(dict(manifest.annotations)) if manifest.annotations else None
    return {
        "media_type": stored.media_type,
        "artifact_type": manifest.artifact_type,
        "subject": str(manifest.subject.digest) if manifest.subject else None,
        "annotations": annotations,
        "size": len(stored.payload),
        "payload": stored.payload,
    }


def _need(repository: int, digest: str, manifest: Manifest) -> Work[list[str]]:
    """Record what the manifest needs: the digests of those that are missing."""
    # A layer with urls is fetched from there by the client; it may be absent here.
    required = {str(blob.digest) for blob in (*manifest.blobs, *manifest.children) if not blob.urls}
    key = {"repository": repository, "manifest": digest}
    children = {str(child.digest) for child in manifest.children}
    yield Statement(NEED_CHILD, many=[{**key, "digest": child} for child in sorted(children)])
    present = {needed for (needed,) in (yield Statement(NEEDS, key))}
    # Build caches list plain blobs in an index, so what is no manifest may be one.
    blobs = {str(blob.digest) for blob in manifest.blobs} | children - present
    yield Statement(NEED_BLOB, many=[{**key, "digest": blob} for blob in sorted(blobs)])
    present = {needed for (needed,) in (yield Statement(NEEDS, key))}
    return sorted(required - present)
