"""Absent content: what a cached manifest needs and its repository does not hold, until it is fetched."""

from collections.abc import Sequence

from estiva.digest import Digest
from estiva.reference import RepositoryName
from storage.metadata.database import Statement, Work

EXPECT = """
INSERT INTO absent_content (repository_id, digest, manifest_digest) VALUES (:repository, :digest, :manifest)
ON CONFLICT DO NOTHING
"""
LINK_BLOB = """
INSERT INTO manifest_blobs (repository_id, manifest_digest, blob_digest)
SELECT absent_content.repository_id, absent_content.manifest_digest, repository_blobs.digest FROM absent_content
JOIN repository_blobs ON repository_blobs.repository_id = absent_content.repository_id
AND repository_blobs.digest = absent_content.digest
WHERE absent_content.repository_id = :repository AND absent_content.digest = :digest
ON CONFLICT DO NOTHING
"""
LINK_CHILD = """
INSERT INTO manifest_children (repository_id, parent_digest, child_digest)
SELECT absent_content.repository_id, absent_content.manifest_digest, manifests.digest FROM absent_content
JOIN manifests ON manifests.repository_id = absent_content.repository_id AND manifests.digest = absent_content.digest
WHERE absent_content.repository_id = :repository AND absent_content.digest = :digest
ON CONFLICT DO NOTHING
"""
FORGET = "DELETE FROM absent_content WHERE repository_id = :repository AND digest = :digest"
WAITING = "SELECT manifest_digest FROM absent_content WHERE repository_id = :repository AND digest = :digest"
EXPECTED = """
SELECT 1 FROM absent_content
WHERE repository_id = (SELECT id FROM repositories WHERE name = :name) AND digest = :digest LIMIT 1
"""
OF_MANIFEST = """
SELECT digest FROM absent_content
WHERE repository_id = (SELECT id FROM repositories WHERE name = :name) AND manifest_digest = :manifest
ORDER BY digest LIMIT :limit
"""


def expect(repository: int, manifest: Digest, missing: Sequence[str]) -> Work[None]:
    """Write down what the manifest needs and the repository does not hold."""
    key = {"repository": repository, "manifest": str(manifest)}
    yield Statement(EXPECT, many=[{**key, "digest": digest} for digest in missing])


def arrived(repository: int, digest: Digest) -> Work[list[Digest]]:
    """Tie what is now in the repository to the manifests that wait for it: those that wait for nothing any more.

    The content must be there. Idempotent.
    """
    key = {"repository": repository, "digest": str(digest)}
    waiting = yield Statement(WAITING, key)
    yield Statement(LINK_BLOB, key)
    yield Statement(LINK_CHILD, key)
    yield Statement(FORGET, key)
    complete = []
    for (manifest,) in waiting:
        left = yield Statement(
            "SELECT 1 FROM absent_content WHERE repository_id = :repository AND manifest_digest = :manifest LIMIT 1",
            {"repository": repository, "manifest": manifest},
        )
        if not left:
            complete.append(Digest.parse(manifest))
    return complete


def is_expected(name: RepositoryName, digest: Digest) -> Work[bool]:
    """Whether a cached manifest of the repository needs what is not there."""
    rows = yield Statement(EXPECTED, {"name": name.key, "digest": str(digest)})
    return bool(rows)


def of_manifest(name: RepositoryName, manifest: Digest, limit: int) -> Work[list[Digest]]:
    """What the manifest still lacks, at most `limit`."""
    rows = yield Statement(OF_MANIFEST, {"name": name.key, "manifest": str(manifest), "limit": limit})
    return [Digest.parse(digest) for (digest,) in rows]
