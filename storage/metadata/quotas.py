"""Quotas: how many bytes a repository, or all of an account's, may hold, and how many they do.

A repository holds the blobs that are shown in it and its manifests. An account holds the manifests of its repositories
and each blob once, in however many of them it is shown. Only where there is a quota is anything counted: from the
moment it is set, in the transactions that enter and remove content. Whoever changes where a blob is shown has locked
its `blob_reviews` row (`collection.review`), so of two who enter or remove the same blob one sees what the other did.
Rows of quotas are the last that a transaction locks, an account's before its repository's.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from estiva.digest import Digest
from estiva.errors import QuotaExceeded
from estiva.reference import RepositoryName
from storage.metadata import accounts
from storage.metadata.database import Row, Statement, Work

ALL = "*"
"""In place of a repository's name: all of the account's."""

OF = "SELECT subject, limit_bytes, used_bytes FROM quotas WHERE subject IN (:all, :one) ORDER BY subject"
ADD = "UPDATE quotas SET used_bytes = used_bytes + :size WHERE subject = :subject"
ELSEWHERE = """
SELECT 1 FROM repository_blobs JOIN repositories ON repositories.id = repository_blobs.repository_id
WHERE repository_blobs.digest = :digest AND repositories.name > :last AND repositories.name < :end
AND repositories.name <> :name LIMIT 1
"""
REPOSITORIES = "SELECT id FROM repositories WHERE name > :last AND name < :end ORDER BY name"
REPOSITORY = "SELECT id FROM repositories WHERE name = :name"
SET = """
INSERT INTO quotas (subject, limit_bytes, used_bytes, updated_at) VALUES (:subject, :limit, 0, :now)
ON CONFLICT (subject) DO UPDATE SET limit_bytes = excluded.limit_bytes, updated_at = excluded.updated_at
"""
HELD_BY_REPOSITORY = """
SELECT (SELECT CAST(COALESCE(SUM(manifests.size), 0) AS BIGINT) FROM manifests WHERE repository_id = repositories.id),
(SELECT CAST(COALESCE(SUM(blobs.size), 0) AS BIGINT) FROM repository_blobs
JOIN blobs ON blobs.digest = repository_blobs.digest WHERE repository_blobs.repository_id = repositories.id)
FROM repositories WHERE name = :name
"""
HELD_BY_ACCOUNT = """
SELECT (SELECT CAST(COALESCE(SUM(manifests.size), 0) AS BIGINT) FROM manifests
JOIN repositories ON repositories.id = manifests.repository_id
WHERE repositories.name > :last AND repositories.name < :end),
(SELECT CAST(COALESCE(SUM(blobs.size), 0) AS BIGINT) FROM blobs WHERE digest IN
(SELECT repository_blobs.digest FROM repositories
JOIN repository_blobs ON repository_blobs.repository_id = repositories.id
WHERE repositories.name > :last AND repositories.name < :end))
"""
# What is in this repository and in no other of the account.
HELD_ALONE = """
SELECT CAST(COALESCE(SUM(blobs.size), 0) AS BIGINT) FROM repositories
JOIN repository_blobs ON repository_blobs.repository_id = repositories.id
JOIN blobs ON blobs.digest = repository_blobs.digest
WHERE repositories.name = :name AND NOT EXISTS
(SELECT 1 FROM repository_blobs AS shown JOIN repositories AS others ON others.id = shown.repository_id
WHERE shown.digest = blobs.digest AND others.name > :last AND others.name < :end AND others.name <> :name)
"""
COUNTED = "UPDATE quotas SET used_bytes = :used WHERE subject = :subject AND used_bytes <> :used RETURNING subject"
ANY = "SELECT 1 FROM quotas WHERE subject > '' LIMIT 1"
PAGE = "SELECT subject, limit_bytes, used_bytes FROM quotas WHERE subject > :last ORDER BY subject LIMIT :limit"
FULLEST = """
SELECT subject, limit_bytes, used_bytes FROM quotas ORDER BY limit_bytes - used_bytes, subject LIMIT :limit
"""


@dataclass(frozen=True, slots=True)
class Quota:
    """What a repository, or an account (its name is then `*`), may hold and holds, in bytes."""

    subject: RepositoryName
    limit: int
    used: int

    @staticmethod
    def subjects(name: RepositoryName) -> dict[str, str]:
        """The keys of the quotas that a repository's content counts for: of `all` of its account, and its `one`."""
        return {"all": RepositoryName(ALL, name.account).key, "one": name.key}

    @classmethod
    def from_rows(cls, rows: Sequence[Row]) -> "list[Quota]":
        """The quotas of rows that hold subject, limit and use."""
        return [cls(RepositoryName.of_key(subject), limit, used) for subject, limit, used in rows]

    @property
    def room(self) -> int:
        """Bytes that are left; less than none where there was more when the quota was set."""
        return self.limit - self.used

    def require(self, size: int) -> None:
        """Return where so many more bytes may be held; QuotaExceeded, which tells the figures."""
        if size > self.room:
            account = f"account {self.subject.account}" if self.subject.account else "this account"
            whose = account if self.subject.text == ALL else f"repository {self.subject}"
            raise QuotaExceeded(
                f"adding {size} bytes would exceed the quota of {whose}: {self.used} of {self.limit} bytes are used",
                detail={"limit": self.limit, "used": self.used, "requested": size},
            )


def of(name: RepositoryName) -> Work[list[Quota]]:
    """The quotas that what is pushed to this repository counts for: the account's first."""
    return Quota.from_rows((yield Statement(OF, Quota.subjects(name))))


def add(name: RepositoryName, size: int, digest: Digest | None = None) -> Work[None]:
    """Count what was just entered into the repository: a manifest, or the blob `digest`. QuotaExceeded."""
    for quota in (yield from _counting(name, digest)):
        quota.require(size)
        yield Statement(ADD, {"subject": quota.subject.key, "size": size})


def remove(name: RepositoryName, size: int, digest: Digest | None = None) -> Work[None]:
    """Count what was just removed from the repository."""
    for quota in (yield from _counting(name, digest)):
        yield Statement(ADD, {"subject": quota.subject.key, "size": -size})


def remove_all(name: RepositoryName) -> Work[None]:
    """Count that everything in the repository is about to be removed, whose blobs are under review."""
    for quota in Quota.from_rows((yield Statement(OF, Quota.subjects(name), lock="UPDATE"))):
        manifests, blobs = yield from _held(name)
        if quota.subject.text == ALL:
            blobs = (yield Statement(HELD_ALONE, {"name": name.key, **accounts.between(name.account)}))[0][0]
        yield Statement(ADD, {"subject": quota.subject.key, "size": -(manifests + blobs)})


def remove_unneeded(unlinked: Sequence[tuple[int, str, int]]) -> Work[None]:
    """Count that blobs were removed: from the repository of that id, the blob of that digest, of that size."""
    if not unlinked or not (yield Statement(ANY)):
        return
    removed = []
    for repository, digest, size in unlinked:
        rows = yield Statement("SELECT name FROM repositories WHERE id = :id", {"id": repository})
        removed += [(name, digest, size) for (name,) in rows]
    seen = set()
    for key, digest, size in sorted(removed):
        name = RepositoryName.of_key(key)
        # A blob that left several repositories of an account at once was the account's only once.
        is_first = (name.account, digest) not in seen
        seen.add((name.account, digest))
        for quota in (yield from _counting(name, Digest.parse(digest))):
            if is_first or quota.subject.text != ALL:
                yield Statement(ADD, {"subject": quota.subject.key, "size": -size})


def put(subject: RepositoryName, limit: int) -> Work[None]:
    """Set a quota, and count what is held. Not serializable: it has to see what ended while it waited for its locks."""
    yield from _lock(subject)
    yield Statement(SET, {"subject": subject.key, "limit": limit}, news=True)
    yield from _count(subject)


def recount(subject: RepositoryName) -> Work[bool]:
    """Count what is held anew: whether that was another figure. Not serializable, as `put`."""
    yield from _lock(subject)
    return (yield from _count(subject))


def find(subject: RepositoryName) -> Work[Quota | None]:
    """The quota of exactly that subject, None where there is none."""
    sql = "SELECT subject, limit_bytes, used_bytes FROM quotas WHERE subject = :subject"
    return next(iter(Quota.from_rows((yield Statement(sql, {"subject": subject.key})))), None)


def delete(subject: RepositoryName) -> Work[bool]:
    """Remove a quota: whether there was one."""
    sql = "DELETE FROM quotas WHERE subject = :subject RETURNING subject"
    return bool((yield Statement(sql, {"subject": subject.key}, news=True)))


def page(last: str, limit: int) -> Work[list[Quota]]:
    """At most `limit` quotas after the subject of key `last`, in the order of their keys."""
    return Quota.from_rows((yield Statement(PAGE, {"last": last, "limit": limit})))


def fullest(limit: int) -> Work[list[Quota]]:
    """At most `limit` quotas, those with the least room first. Reads all of them."""
    return Quota.from_rows((yield Statement(FULLEST, {"limit": limit})))


def _counting(name: RepositoryName, digest: Digest | None) -> Work[list[Quota]]:
    """The quotas that this content counts for, locked: for the account's, only while no other repository has it."""
    found = Quota.from_rows((yield Statement(OF, Quota.subjects(name), lock="UPDATE")))
    if digest is None or not any(quota.subject.text == ALL for quota in found):
        return found
    values = {"digest": str(digest), "name": name.key, **accounts.between(name.account)}
    elsewhere = yield Statement(ELSEWHERE, values)
    return [quota for quota in found if not elsewhere or quota.subject.text != ALL]


def _lock(subject: RepositoryName) -> Work[None]:
    """Wait for those who are entering content, and keep others from it: they lock their repository too (`ensure`)."""
    if subject.text == ALL:
        yield Statement(REPOSITORIES, accounts.between(subject.account), lock="UPDATE")
    else:
        yield Statement(REPOSITORY, {"name": subject.key}, lock="UPDATE")


def _count(subject: RepositoryName) -> Work[bool]:
    yield Statement("SELECT 1 FROM quotas WHERE subject = :subject", {"subject": subject.key}, lock="UPDATE")
    used = sum((yield from _held(subject)))
    return bool((yield Statement(COUNTED, {"subject": subject.key, "used": used})))


def _held(subject: RepositoryName) -> Work[Row]:
    """Bytes of manifests, and of blobs."""
    if subject.text == ALL:
        rows = yield Statement(HELD_BY_ACCOUNT, accounts.between(subject.account))
    else:
        rows = yield Statement(HELD_BY_REPOSITORY, {"name": subject.key})
    return rows[0] if rows else (0, 0)
