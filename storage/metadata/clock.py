"""Whether the clock can be believed: what is old by it may be so only because it was set.

Nothing outside the database outlives a process, so that is where looks at the clock are noted; the clock is the
database's own. Whoever looks often sees a jump as two looks that are far apart. A process that was there all the time
knows better: the machine may have slept. And one that has just come can only guess: who was away for a night or a
weekend was probably switched off.
"""

import time

from storage.metadata.database import Statement, Work

UNEVEN = 6 * 3600.0
"""Seconds. Two looks at the clock that are further apart than this are no measure of how old something is."""
AWAY = 4 * 86400.0
"""Seconds, a long weekend: where nobody was there, a gap of at most this is taken for an absence, not a jump."""
REST_AFTER_ABSENCE = 3600.0
"""Seconds of rest after such a gap: on a machine that is switched off every night, all that is old goes in time."""
LOOKS = "SELECT name, :now - value FROM collection_state WHERE name = :look OR name = :jump"
NOTE = """
INSERT INTO collection_state (name, value) VALUES (:name, :now - :past)
ON CONFLICT (name) DO UPDATE SET value = excluded.value
"""


class Presence:
    """How long this process has been there, by a clock that nobody sets and that goes on while the machine sleeps."""

    def __init__(self) -> None:
        self._last: float | None = None

    def since_last(self) -> float | None:
        """Seconds since this was asked before; None for the first time."""
        last, self._last = self._last, time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))
        return None if last is None else self._last - last


def accounted_for(gap: float, longest: float, present: float | None) -> bool:
    """Whether a gap between two looks is no jump: it is short, or the process was `present` while it passed."""
    return abs(gap) <= longest or (present is not None and 0 < gap <= present + longest)


def was_absence(gap: float, present: float | None) -> bool:
    """Whether a gap that is not accounted for looks like one of a machine that was switched off."""
    return present is None and 0 < gap <= AWAY


def ran_evenly(name: str, seconds: float, longest: float = UNEVEN, present: float | None = None) -> Work[bool]:
    """Note that the clock was looked at: whether it ran evenly, as far as looks of that name tell, for `seconds`.

    It did not where two looks stood more than `longest` seconds apart, forwards or backwards, and this process was
    not `present` meanwhile (see `Presence`). After what looks like an absence an hour is enough.
    """
    look, jump = f"look at the clock: {name}", f"jump of the clock: {name}"
    ages: dict[str, float] = dict((yield Statement(LOOKS, {"look": look, "jump": jump})))
    yield Statement(NOTE, {"name": look, "past": 0.0})
    gap = ages.get(look, 0.0)
    if not accounted_for(gap, longest, present):
        absent = was_absence(gap, present) and (jump not in ages or ages[jump] >= seconds)
        yield Statement(NOTE, {"name": jump, "past": max(seconds - REST_AFTER_ABSENCE, 0.0) if absent else 0.0})
        return False
    return jump not in ages or ages[jump] >= seconds
