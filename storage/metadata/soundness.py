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


def current_walk(name: str) -> Work[Walk | None]:
    """The walk of that name, None where there never was one."""
    rows = yield Statement(WALK, {"name": name})
    return Walk(*rows[0]) if rows else None


def begin_walk(name: str, every: float) -> Work[bool]:
    """Begin a walk anew where the last one is over and began `every` seconds ago: whether there is one to walk."""
    rows = yield Statement(
        "SELECT position, value <= :now - :every FROM collection_state WHERE name = :name",
        {"name": name, "every": every},
    )
    if rows and rows[0][0] != END:
        return True
    if rows and not rows[0][1]:
        return False
    yield Statement(BEGIN, {"name": name})
    return True


def take(name: str, limit: int) -> Work[list[Promised]]:
    """The next blobs of a walk, for the caller to look at; nobody else gets them. None of them: the walk is over."""
    current = yield from current_walk(name)
    if current is None or current.is_over:
        return []
    rows = yield Statement(PAGE, {"after": current.position, "limit": limit})
    yield Statement(MOVE, {"name": name, "position": rows[-1][0] if rows else END})
    return [_promised(*row) for row in rows]


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
