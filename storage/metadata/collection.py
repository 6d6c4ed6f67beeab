"""Garbage collection's facts: which blobs to look at again, and which bytes wait in the trash.

A blob is a candidate from the moment something was promised of it (an upload's 201, a mount's 201, a HEAD's 200)
or taken from it (a manifest that needed it, its place in a repository): each of these is a `review`, in the same
transaction. It is judged once the last promise is older than the grace. What no manifest needs then leaves its
repositories; what is in no repository any more leaves the database, and its bytes go to the trash, to be removed later.

Nothing here can take away what a manifest needs: `manifest_blobs` refers to `repository_blobs`, and that to `blobs`,
and the database refuses. A candidate that was forgotten is room that is lost, never a blob.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from estiva.digest import Digest
from storage.metadata import quotas
from storage.metadata.clock import UNEVEN, accounted_for, was_absence
from storage.metadata.database import Statement, Work

REVIEW = """
INSERT INTO blob_reviews (digest, promised_at) VALUES (:digest, :now)
ON CONFLICT (digest) DO UPDATE SET promised_at = excluded.promised_at
"""
REVIEW_NEEDS_OF_MANIFEST = """
INSERT INTO blob_reviews (digest, promised_at) SELECT blob_digest, :now FROM manifest_blobs
WHERE repository_id = :repository AND manifest_digest = :manifest ORDER BY blob_digest
ON CONFLICT (digest) DO UPDATE SET promised_at = excluded.promised_at
"""
REVIEW_REPOSITORY = """
INSERT INTO blob_reviews (digest, promised_at) SELECT digest, :now FROM repository_blobs
WHERE repository_id = :repository ORDER BY digest
ON CONFLICT (digest) DO UPDATE SET promised_at = excluded.promised_at
"""
RENEW = "UPDATE blob_reviews SET promised_at = :now WHERE digest = :digest"
# A clock may jump between a `tick` and the work that follows it: then the time of the tick counts.
CLOCK = """COALESCE(
(SELECT CASE WHEN :now - value > :uneven THEN value ELSE :now END FROM collection_state WHERE name = 'tick'), :now)"""
HELD = "SELECT 1 FROM collection_state WHERE name = 'hold' AND value > {clock}"
# What was left of a hold when the clock was looked at last, or when the hold began, is left of it now.
PROLONG_HOLD = """
UPDATE collection_state SET value = value + :now - (SELECT MAX(value) FROM collection_state
WHERE name = 'tick' OR name = 'hold since') WHERE name = 'hold'
AND EXISTS (SELECT 1 FROM collection_state WHERE name = 'hold since')
AND value > (SELECT MAX(value) FROM collection_state WHERE name = 'tick' OR name = 'hold since')
"""
DUE = """
SELECT digest FROM blob_reviews WHERE promised_at <= {clock} - :grace ORDER BY promised_at, digest LIMIT :limit
"""
JUDGED = "DELETE FROM blob_reviews WHERE digest = :digest"
# What a push found to be bad and replaced: its old bytes are nobody's.
DISCARD_BAD = """
INSERT INTO trash (store_key, digest, size, reason, since)
SELECT store_key, digest, size, 'replaced', :now FROM blobs WHERE digest = :digest AND state <> 'live'
ON CONFLICT (store_key) DO NOTHING
"""
UNLINK_UNNEEDED = """
DELETE FROM repository_blobs WHERE digest = :digest AND NOT EXISTS
(SELECT 1 FROM manifest_blobs WHERE manifest_blobs.repository_id = repository_blobs.repository_id
AND manifest_blobs.blob_digest = repository_blobs.digest) RETURNING repository_id
"""
REMOVE_UNLINKED = """
DELETE FROM blobs WHERE digest = :digest
AND NOT EXISTS (SELECT 1 FROM repository_blobs WHERE repository_blobs.digest = blobs.digest)
RETURNING store_key, size
"""
DISCARD = """
INSERT INTO trash (store_key, digest, size, reason, since)
SELECT CAST(:key AS TEXT), CAST(:digest AS TEXT), CAST(:size AS BIGINT), CAST(:reason AS TEXT), :now
WHERE NOT EXISTS (SELECT 1 FROM blobs WHERE blobs.store_key = :key)
ON CONFLICT (store_key) DO NOTHING
"""
UNNEEDED = """
SELECT COUNT(*), COALESCE(SUM(blobs.size), 0) FROM blob_reviews JOIN blobs ON blobs.digest = blob_reviews.digest
WHERE blob_reviews.promised_at <= :now - :grace AND NOT EXISTS
(SELECT 1 FROM repository_blobs JOIN manifest_blobs ON manifest_blobs.repository_id = repository_blobs.repository_id
AND manifest_blobs.blob_digest = repository_blobs.digest WHERE repository_blobs.digest = blob_reviews.digest)
"""
EXPIRED_TRASH = """
SELECT store_key, size FROM trash WHERE since <= {clock} - :delay
AND NOT EXISTS (SELECT 1 FROM blobs WHERE blobs.store_key = trash.store_key) ORDER BY since, store_key LIMIT :limit
"""
SET = """
INSERT INTO collection_state (name, value) VALUES (:name, {value})
ON CONFLICT (name) DO UPDATE SET value = excluded.value
"""


@dataclass(frozen=True, slots=True)
class Trashed:
    """Bytes that no fact names any more."""

    key: str
    size: int


def review(digest: Digest) -> Work[None]:
    """Promise the blob for another grace, and have it judged after that."""
    yield Statement(REVIEW, {"digest": str(digest)})


def review_needs(repository: int, manifest: str) -> Work[None]:
    """The same for every blob that a manifest needs, before the manifest goes."""
    yield Statement(REVIEW_NEEDS_OF_MANIFEST, {"repository": repository, "manifest": manifest})


def review_repository(repository: int) -> Work[None]:
    """The same for every blob of a repository, before the repository goes."""
    yield Statement(REVIEW_REPOSITORY, {"repository": repository})


def renew(digest: Digest) -> Work[None]:
    """Promise a blob that is waiting to be judged for another grace; ask afterwards whether it is still there."""
    yield Statement(RENEW, {"digest": str(digest)})


def discard_bad(digest: Digest) -> Work[None]:
    """Give up the bytes of a blob that is known to be bad, before its row gets others."""
    yield Statement(DISCARD_BAD, {"digest": str(digest)})


def sweep(grace: float, limit: int) -> Work[tuple[int, list[Trashed]]]:
    """Judge at most `limit` blobs whose last promise is `grace` seconds old: how many, and what went to the trash.

    ConstraintError where somebody began to need one of them meanwhile; then nothing was done.
    """
    if (yield from is_held()):
        return 0, []
    # What another sweep judges, or a push is about to promise, is passed over: it is for the one who has it.
    due = yield Statement(
        DUE.format(clock=CLOCK), {"grace": grace, "limit": limit, "uneven": UNEVEN}, lock="UPDATE SKIP LOCKED"
    )
    yield Statement(JUDGED, many=[{"digest": digest} for (digest,) in due])
    trashed: list[Trashed] = []
    unlinked: list[tuple[int, str, int]] = []
    for (digest,) in sorted(due):
        for (repository,) in (yield Statement(UNLINK_UNNEEDED, {"digest": digest})):
            size = (yield Statement("SELECT size FROM blobs WHERE digest = :digest", {"digest": digest}))[0][0]
            unlinked.append((repository, digest, size))
        for key, size in (yield Statement(REMOVE_UNLINKED, {"digest": digest})):
            yield from discard(key, digest, size, "unused")
            trashed.append(Trashed(key, size))
    yield from quotas.remove_unneeded(unlinked)
    return len(due), trashed


def discard(key: str, digest: str, size: int, reason: str) -> Work[None]:
    """Put a storage key into the trash, unless a blob has it."""
    yield Statement(DISCARD, {"key": key, "digest": digest, "size": size, "reason": reason})


def unneeded(grace: float) -> Work[tuple[int, int]]:
    """How many blobs, and bytes, a sweep would take away now. Reads every candidate."""
    rows = yield Statement(UNNEEDED, {"grace": grace})
    return int(rows[0][0]), int(rows[0][1])


def candidates() -> Work[int]:
    """How many blobs wait to be judged."""
    rows = yield Statement("SELECT COUNT(*) FROM blob_reviews")
    return int(rows[0][0])


def trash() -> Work[tuple[int, int]]:
    """How many blobs, and bytes, wait in the trash."""
    rows = yield Statement("SELECT COUNT(*), COALESCE(SUM(size), 0) FROM trash")
    return int(rows[0][0]), int(rows[0][1])


def expired_trash(delay: float, limit: int) -> Work[list[Trashed]]:
    """At most `limit` of what has been in the trash for `delay` seconds, the oldest first; nothing during a hold."""
    if (yield from is_held()):
        return []
    rows = yield Statement(EXPIRED_TRASH.format(clock=CLOCK), {"delay": delay, "limit": limit, "uneven": UNEVEN})
    return [Trashed(key, size) for key, size in rows]


def forget_trash(keys: Sequence[str]) -> Work[None]:
    """Forget trash whose bytes are gone. Idempotent."""
    yield Statement("DELETE FROM trash WHERE store_key = :key", many=[{"key": key} for key in keys])


def hold(seconds: float) -> Work[None]:
    """Collect nothing for so many seconds from now; 0 ends a hold."""
    yield Statement(SET.format(value=":now + :seconds"), {"name": "hold", "seconds": seconds})
    yield Statement(SET.format(value=":now"), {"name": "hold since"})


def is_held() -> Work[bool]:
    """Whether a hold is in force."""
    return bool((yield Statement(HELD.format(clock=CLOCK), {"uneven": UNEVEN})))


def tick(longest: float, present: float | None = None) -> Work[bool]:
    """Note that the clock was looked at: whether it can be trusted to have run evenly since the last look.

    When it stood more than `longest` seconds away from now, forwards or backwards, and this process was not `present`
    meanwhile, everybody was away or the clock was set: every promise then begins its time anew, and a hold goes on as
    if nothing had been. So does all that is in the trash, but after what looks like an absence.
    """
    rows = yield Statement("SELECT :now - value FROM collection_state WHERE name = 'tick'")
    gap = rows[0][0] if rows else 0.0
    even = accounted_for(gap, longest, present)
    if not even:
        yield Statement(PROLONG_HOLD)
    yield Statement(SET.format(value=":now"), {"name": "tick"})
    if even:
        return True
    yield Statement("UPDATE collection_state SET value = :now WHERE name = 'hold since'")
    yield Statement("UPDATE blob_reviews SET promised_at = :now")
    if not was_absence(gap, present):
        yield Statement("UPDATE trash SET since = :now")
    return False
