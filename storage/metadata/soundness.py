"""Whether bytes are what their rows promise: what to look at next, and what was found.

A blob whose bytes are wrong or gone is `corrupt` or `missing`: nobody is told that it is here, so the next push of it
brings good bytes. What is bad stays where it is until then, for whoever wants to look at it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from estiva.digest import Digest
from storage.metadata.database import Statement, Work

PAGE = "SELECT digest, size, store_key, state FROM blobs WHERE digest > :after ORDER BY digest LIMIT :limit"
KEYS = "SELECT digest, size, store_key, state FROM blobs WHERE store_key > :after ORDER BY store_key LIMIT :limit"
BAD = "SELECT digest, size, store_key, state FROM blobs WHERE state <> 'live' ORDER BY digest LIMIT :limit"
MARK = """
UPDATE blobs SET state = :state WHERE digest = :digest AND store_key = :key AND state <> :state
RETURNING digest
"""
WALK = "SELECT value, position FROM collection_state WHERE name = :name"
BEGIN = """
INSERT INTO collection_state (name, value, position) VALUES (:name, :now, '')
ON CONFLICT (name) DO UPDATE SET value = excluded.value, position = ''
"""
MOVE = "UPDATE collection_state SET position = :position WHERE name = :name"
# What somebody looks at: a row for each stretch of the walk, named by the digest before it, with its last one.
# Its value is until when nobody else gets it.
OVERDUE = """
SELECT name, position FROM collection_state WHERE name LIKE :taken AND value <= :now ORDER BY value LIMIT 1
"""
TAKEN = "SELECT 1 FROM collection_state WHERE name LIKE :taken LIMIT 1"
TAKE = """
INSERT INTO collection_state (name, value, position) VALUES (:stretch, :now + :lease, :position)
ON CONFLICT (name) DO UPDATE SET value = excluded.value
"""
KEEP = "UPDATE collection_state SET value = :now + :lease WHERE name = :stretch"
DONE = "DELETE FROM collection_state WHERE name = :stretch"
FORGET = "DELETE FROM collection_state WHERE name LIKE :taken"
STRETCH = """
SELECT digest, size, store_key, state FROM blobs WHERE digest > :after AND digest <= :last ORDER BY digest
"""
END = "~"
"""The position of a pass that is over: behind every digest."""


class State(StrEnum):
    """What is known of a blob's bytes."""

    LIVE = "live"
    MISSING = "missing"
    CORRUPT = "corrupt"


@dataclass(frozen=True, slots=True)
class Promised:
    """What a row says of a blob's bytes."""

    digest: Digest
    size: int
    key: str
    state: State


@dataclass(frozen=True, slots=True)
class Walk:
    """A walk over all blobs, by their digests."""

    began_at: float
    position: str
    """The last digest that somebody has taken to look at."""

    @property
    def is_over(self) -> bool:
        """Whether every blob was taken."""
        return self.position == END


@dataclass(frozen=True, slots=True)
class Stretch:
    """A part of a walk that somebody has taken, and the blobs in it."""

    name: str
    blobs: tuple[Promised, ...]


def current_walk(name: str) -> Work[Walk | None]:
    """The walk of that name, None where there never was one."""
    rows = yield Statement(WALK, {"name": name})
    return Walk(*rows[0]) if rows else None


def begin_walk(name: str, every: float) -> Work[bool]:
    """Begin a walk anew where the last one is over and began `every` seconds ago: whether there is one to walk.

    Where all of it was taken, and a part has not come to its end, there is one until the next is due.
    """
    rows = yield Statement(
        "SELECT position, value <= :now - :every FROM collection_state WHERE name = :name",
        {"name": name, "every": every},
    )
    if rows and rows[0][0] != END:
        return True
    if rows and not rows[0][1]:
        return bool((yield Statement(TAKEN, {"taken": f"{name}/%"})))
    yield Statement(FORGET, {"taken": f"{name}/%"})
    yield Statement(BEGIN, {"name": name})
    return True


def take(name: str, limit: int, lease: float) -> Work[Stretch | None]:
    """The next blobs of a walk, for the caller to look at, who says when that is `done`. None where all are taken.

    Nobody else gets them for `lease` seconds. What others took for longer, and did not come to its end, comes first:
    their process may be gone.
    """
    overdue = yield Statement(OVERDUE, {"taken": f"{name}/%"})
    if overdue:
        stretch, last = overdue[0]
        yield from keep(stretch, lease)
        rows = yield Statement(STRETCH, {"after": stretch.partition("/")[2], "last": last})
        return Stretch(stretch, tuple(_promised(*row) for row in rows))
    current = yield from current_walk(name)
    if current is None or current.is_over:
        return None
    rows = yield Statement(PAGE, {"after": current.position, "limit": limit})
    yield Statement(MOVE, {"name": name, "position": rows[-1][0] if rows else END})
    if not rows:
        return None
    stretch = f"{name}/{current.position}"
    yield Statement(TAKE, {"stretch": stretch, "lease": lease, "position": rows[-1][0]})
    return Stretch(stretch, tuple(_promised(*row) for row in rows))


def keep(stretch: str, lease: float) -> Work[None]:
    """Go on with what was taken, for `lease` further seconds."""
    yield Statement(KEEP, {"stretch": stretch, "lease": lease})


def done(stretch: str) -> Work[None]:
    """All of what was taken has been looked at. Idempotent."""
    yield Statement(DONE, {"stretch": stretch})


def by_key(after: str, limit: int) -> Work[list[Promised]]:
    """At most `limit` blobs whose storage keys come after that one, in the order of the keys."""
    rows = yield Statement(KEYS, {"after": after, "limit": limit})
    return [_promised(*row) for row in rows]


def bad(limit: int) -> Work[list[Promised]]:
    """At most `limit` blobs that are known to be bad, by digest."""
    rows = yield Statement(BAD, {"limit": limit})
    return [_promised(*row) for row in rows]


def mark(digest: Digest, key: str, state: State) -> Work[bool]:
    """Write down what was found under a storage key, if the blob still has that key: whether that is news."""
    return bool((yield Statement(MARK, {"digest": str(digest), "key": key, "state": state.value})))


def forgotten(keys: Sequence[str]) -> Work[list[str]]:
    """Those of the storage keys that neither a blob nor the trash names."""
    unknown = []
    for key in keys:
        known = yield Statement(
            "SELECT 1 FROM blobs WHERE store_key = :key UNION ALL SELECT 1 FROM trash WHERE store_key = :key",
            {"key": key},
        )
        if not known:
            unknown.append(key)
    return unknown


def _promised(digest: str, size: int, key: str, state: str) -> Promised:
    return Promised(Digest.parse(digest), size, key, State(state))
