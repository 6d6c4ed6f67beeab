"""Which digests run: asked in the transaction that would delete one."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from estiva.digest import Digest
from estiva.reference import RepositoryName
from storage.metadata.clusters import ClusterKey
from storage.metadata.database import Statement, Work

TASK = "task"
DEPLOYMENT = "deployment"

ENTER = """
INSERT INTO image_uses (repository, digest, account, cluster, kind, user_id, service)
VALUES (:repository, :digest, :account, :cluster, :kind, :user, :service) ON CONFLICT DO NOTHING
"""
FORGET = """
DELETE FROM image_uses WHERE account = :account AND cluster = :cluster AND kind = :kind AND service = :service
AND user_id = :user
"""
OF_REPOSITORY = """
SELECT digest, account, cluster, kind, user_id, service FROM image_uses WHERE repository = :repository
ORDER BY digest, account, cluster, kind, service, user_id
"""
PAGE = """
SELECT repository, digest FROM image_uses WHERE (repository, digest) > (:repository, :digest)
ORDER BY repository, digest LIMIT :limit
"""
PAGE_SIZE = 1000
CHILDREN = """
SELECT child_digest FROM manifest_children WHERE parent_digest = :digest
AND repository_id = (SELECT id FROM repositories WHERE name = :name)
"""
REFERRERS = """
SELECT digest FROM manifests WHERE subject = :digest
AND repository_id = (SELECT id FROM repositories WHERE name = :name)
"""
HERE = """
SELECT 1 FROM manifests WHERE digest = :digest AND repository_id = (SELECT id FROM repositories WHERE name = :name)
"""
TAGGED = """
SELECT digest FROM tags WHERE name = :tag AND repository_id = (SELECT id FROM repositories WHERE name = :name)
"""
REFERRING_TAGS = ("", ".sig", ".att", ".sbom")
"""Ends of the tags under which clients without the referrers API keep what refers to a digest."""

Images = Sequence[tuple[RepositoryName, Digest]]
"""Images of ours that something runs; those of other registries are nobody's to keep here."""


class User(NamedTuple):
    """Who uses an image: a task, or a deployment of a service (empty for a task that is none's)."""

    key: ClusterKey
    kind: str
    id: str
    service: str


def enter(user: User, images: Images) -> Work[None]:
    """Note that the user runs these images. Part of the transaction in which it comes to be."""
    for name, digest in images:
        yield Statement(ENTER, _values(user) | {"repository": name.key, "digest": str(digest)})


def forget(user: User) -> Work[None]:
    """Note that the user runs nothing any more."""
    yield Statement(FORGET, _values(user))


def of_repository(name: RepositoryName) -> Work[Mapping[Digest, list[User]]]:
    """Every digest of the repository that is used, with its users."""
    found: dict[Digest, list[User]] = {}
    rows = yield Statement(OF_REPOSITORY, {"repository": name.key})
    for digest, account, cluster, kind, identifier, service in rows:
        user = User(ClusterKey(account, cluster), kind, identifier, service)
        found.setdefault(Digest.parse(digest), []).append(user)
    return found


def everything() -> Work[frozenset[Digest]]:
    """Every digest that is used, in any repository and cluster."""
    found: set[Digest] = set()
    last, digest = "", ""
    while True:
        rows = yield Statement(PAGE, {"repository": last, "digest": digest, "limit": PAGE_SIZE})
        found.update(Digest.parse(text) for _, text in rows)
        if len(rows) < PAGE_SIZE:
            return frozenset(found)
        last, digest = rows[-1]


def belonging(name: RepositoryName, digest: Digest) -> Work[set[Digest]]:
    """The manifest itself, its children, and whatever refers to any of these."""
    found: set[Digest] = set()
    waiting = [digest]
    while waiting:
        current = waiting.pop()
        if current not in found:
            found.add(current)
            waiting += yield from _attached(name, current)
    return found


def absent(images: Images) -> Work[Images]:
    """Those of the images that are not here (any more); the others can't go before this work has ended."""
    gone = []
    for name, digest in images:
        yield Statement("SELECT id FROM repositories WHERE name = :name", {"name": name.key}, lock="KEY SHARE")
        rows = yield Statement(HERE, {"name": name.key, "digest": str(digest)})
        if not rows:
            gone.append((name, digest))
    return gone


def _attached(name: RepositoryName, digest: Digest) -> Work[list[Digest]]:
    found: list[Digest] = []
    for statement in (CHILDREN, REFERRERS):
        rows = yield Statement(statement, {"name": name.key, "digest": str(digest)})
        found += [Digest.parse(attached) for (attached,) in rows]
    tag = str(digest).replace(":", "-")
    for end in REFERRING_TAGS:
        rows = yield Statement(TAGGED, {"name": name.key, "tag": tag + end})
        found += [Digest.parse(attached) for (attached,) in rows]
    return found


def _values(user: User) -> dict[str, Any]:
    return {**user.key.parameters, "kind": user.kind, "user": user.id, "service": user.service}
