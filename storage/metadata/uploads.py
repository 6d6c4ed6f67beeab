"""Uploads: what has to be known of them beside their ids, which prove themselves (`registry/upload_ids.py`).

Most need no row before they end. Ids begin with their time, so a new note comes after all that there are.
"""

from enum import Enum, auto

from storage.metadata.database import Statement, Work

ENTER_PROVING = "INSERT INTO upload_ids (id, secret, oldest) VALUES (1, :secret, '') ON CONFLICT (id) DO NOTHING"
PROVING = "SELECT secret FROM upload_ids WHERE id = 1"
STANDING = """
SELECT (SELECT ended FROM upload_notes WHERE id = :id), (SELECT oldest FROM upload_ids WHERE id = 1)
"""
END = """
INSERT INTO upload_notes (id, ended) VALUES (:id, 1)
ON CONFLICT (id) DO UPDATE SET ended = 1 WHERE upload_notes.ended = 0 RETURNING id
"""
NOTE = "INSERT INTO upload_notes (id, ended) VALUES (:id, 0) ON CONFLICT (id) DO NOTHING"
NOTE_SHORT = """
INSERT INTO upload_notes (id, ended, short_part_end) VALUES (:id, 0, :offset)
ON CONFLICT (id) DO UPDATE SET short_part_end = excluded.short_part_end WHERE upload_notes.short_part_end IS NULL
"""
EXPIRE = "UPDATE upload_ids SET oldest = :oldest WHERE id = 1 AND oldest < :oldest"
FORGET = "DELETE FROM upload_notes WHERE id < :oldest AND (ended = 1 OR id < :longest)"


class Standing(Enum):
    """What is known of an upload whose id is good."""

    OPEN = auto()
    NOTED = auto()
    """Open, and there is a note of it."""
    OLD = auto()
    """It began so long ago that it is unknown unless it has bytes."""
    ENDED = auto()


def secret(new: bytes) -> Work[bytes]:
    """What ids of uploads are proved with: `new`, where there was none yet."""
    yield Statement(ENTER_PROVING, {"secret": new})
    rows = yield Statement(PROVING)
    return bytes(rows[0][0])


def standing(upload_id: str) -> Work[Standing]:
    """Whether the upload may go on."""
    ended, oldest = (yield Statement(STANDING, {"id": upload_id}))[0]
    if ended:
        return Standing.ENDED
    if upload_id < (oldest or ""):
        return Standing.OLD
    return Standing.OPEN if ended is None else Standing.NOTED


def end(upload_id: str) -> Work[bool]:
    """Note that the upload has ended: whether it had not before."""
    return bool((yield Statement(END, {"id": upload_id})))


def note(upload_id: str) -> Work[None]:
    """Note that there is such an upload: it can then be told by less than its whole id."""
    yield Statement(NOTE, {"id": upload_id})


def note_short_part(upload_id: str, offset: int) -> Work[None]:
    """Remember where the first part ends that is too short to be followed by another."""
    yield Statement(NOTE_SHORT, {"id": upload_id, "offset": offset})


def short_part_end(upload_id: str) -> Work[int | None]:
    """Where the first such part of the upload ends; None where there is none."""
    rows = yield Statement("SELECT short_part_end FROM upload_notes WHERE id = :id", {"id": upload_id})
    return rows[0][0] if rows else None


def expire(oldest: str, longest: str) -> Work[None]:
    """Let what began before `oldest` (an id, or how one begins) be unknown unless it has bytes.

    Notes that then say nothing more are forgotten; all of them, where they are of what began before `longest`.
    """
    yield Statement(EXPIRE, {"oldest": oldest})
    yield Statement(FORGET, {"oldest": oldest, "longest": longest})
