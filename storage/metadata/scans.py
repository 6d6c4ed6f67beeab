"""Scans: what a scanner said of an image."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from estiva.digest import Digest
from estiva.reference import RepositoryName
from storage.metadata.database import Statement, Work

BEGIN = """
INSERT INTO image_scans (repository_id, digest, status, description, counts, requested_at)
SELECT repository_id, digest, :status, :description, '{}', :now FROM manifests
WHERE repository_id = (SELECT id FROM repositories WHERE name = :name) AND digest = :digest
ON CONFLICT (repository_id, digest) DO UPDATE SET status = excluded.status, description = excluded.description,
requested_at = excluded.requested_at
RETURNING digest
"""
FIND = """
SELECT repository_id, status, description, counts, requested_at, completed_at FROM image_scans
WHERE repository_id = (SELECT id FROM repositories WHERE name = :name) AND digest = :digest
"""
END = """
UPDATE image_scans SET status = :status, description = :description, counts = :counts, completed_at = :now
WHERE repository_id = :repository AND digest = :digest
"""
FORGET = "DELETE FROM scan_findings WHERE repository_id = :repository AND digest = :digest"
FINDING = """
INSERT INTO scan_findings (repository_id, digest, position, document)
VALUES (:repository, :digest, :position, :document)
"""
PAGE = """
SELECT position, document FROM scan_findings
WHERE repository_id = (SELECT id FROM repositories WHERE name = :name) AND digest = :digest AND position > :last
ORDER BY position LIMIT :limit
"""

IN_PROGRESS, COMPLETE, FAILED, UNSUPPORTED = "IN_PROGRESS", "COMPLETE", "FAILED", "UNSUPPORTED_IMAGE"


@dataclass(frozen=True, slots=True)
class ScanRecord:
    """One scan; `counts` and `completed_at` are those of the last one that was completed."""

    repository_id: int
    status: str
    description: str | None
    counts: Mapping[str, int]
    requested_at: float
    completed_at: float | None


def begin(name: RepositoryName, digest: Digest, description: str | None = None) -> Work[bool]:
    """Write down that the image is being scanned: whether there is such an image."""
    values = {"name": name.key, "digest": str(digest), "status": IN_PROGRESS, "description": description}
    return bool((yield Statement(BEGIN, values)))


def find(name: RepositoryName, digest: Digest) -> Work[ScanRecord | None]:
    """The image's scan."""
    rows = yield Statement(FIND, {"name": name.key, "digest": str(digest)})
    if not rows:
        return None
    repository, status, description, counts, requested, completed = rows[0]
    return ScanRecord(repository, status, description, json.loads(counts), requested, completed)


def complete(
    name: RepositoryName, digest: Digest, findings: Sequence[Mapping[str, Any]], counts: Mapping[str, int]
) -> Work[None]:
    """Keep what was found, in place of what was found before; nothing where the image is gone."""
    found = yield from find(name, digest)
    if found is None:
        return
    key = {"repository": found.repository_id, "digest": str(digest)}
    yield Statement(FORGET, key)
    documents = ({**key, "position": place, "document": json.dumps(one)} for place, one in enumerate(findings, 1))
    yield Statement(FINDING, many=list(documents))
    text = json.dumps(dict(counts), sort_keys=True)
    yield Statement(END, {**key, "status": COMPLETE, "description": None, "counts": text})


def fail(name: RepositoryName, digest: Digest, status: str, description: str) -> Work[None]:
    """Write down why there is no report; what was found before stays."""
    found = yield from find(name, digest)
    if found is not None:
        key = {"repository": found.repository_id, "digest": str(digest)}
        text = json.dumps(dict(found.counts), sort_keys=True)
        yield Statement(END, {**key, "status": status, "description": description[:1000], "counts": text})


def page(name: RepositoryName, digest: Digest, last: int, limit: int) -> Work[list[tuple[int, Mapping[str, Any]]]]:
    """At most `limit` findings after position `last`, with their positions."""
    values = {"name": name.key, "digest": str(digest), "last": last, "limit": limit}
    return [(position, json.loads(document)) for position, document in (yield Statement(PAGE, values))]
