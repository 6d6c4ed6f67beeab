"""Whether the clock can be believed: what is old by it may be so only because it was set.

Nothing outside the database outlives a process, so that is where looks at the clock are noted; the clock is the
database's own. Whoever looks often sees a jump as two looks that are far apart.
"""

from storage.metadata.database import Statement, Work

UNEVEN = 6 * 3600.0
"""Seconds. Two looks at the clock that are further apart than this are no measure of how old something is."""
LOOKS = "SELECT name, :now - value FROM collection_state WHERE name = :look OR name = :jump"
NOTE = """
INSERT INTO collection_state (name, value) VALUES (:name, :now)
ON CONFLICT (name) DO UPDATE SET value = excluded.value
"""


def ran_evenly(name: str, seconds: float, longest: float = UNEVEN) -> Work[bool]:
    """Note that the clock was looked at: whether it ran evenly, as far as looks of that name tell, for `seconds`.

    It did not where two looks stood more than `longest` seconds apart, forwards or backwards: the machine slept, all
    processes were away, or the clock was set.
    """
    look, jump = f"look at the clock: {name}", f"jump of the clock: {name}"
    ages: dict[str, float] = dict((yield Statement(LOOKS, {"look": look, "jump": jump})))
    yield Statement(NOTE, {"name": look})
    if abs(ages.get(look, 0.0)) > longest:
        yield Statement(NOTE, {"name": jump})
        return False
    return jump not in ages or ages[jump] >= seconds
