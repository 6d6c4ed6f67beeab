"""When to ask another registry again."""

import random
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

ATTEMPTS = 3
PASSING = frozenset({429, 500, 502, 503, 504})
"""Answers that another try may change."""
FIRST_PAUSE = 0.5
LONGEST_PAUSE = 8.0


def retry_after(headers: Mapping[str, str], now: datetime | None = None) -> float | None:
    """Seconds that a Retry-After header asks for, as a number or a date (RFC 9110 section 10.2.3)."""
    text = headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit() and len(text) < 9:
        return float(text)
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max((moment - (now or datetime.now(UTC))).total_seconds(), 0.0)


def pause(attempt: int, asked: float | None, chance: float | None = None) -> float | None:
    """Seconds to wait after try number `attempt` (from 1); None where it is better to give up for now.

    Twice as long each time, spread by chance so that not everybody comes back at once; what the registry asked for
    where that is longer, and giving up where it is longer than anybody would wait.
    """
    if attempt >= ATTEMPTS or (asked or 0) > LONGEST_PAUSE:
        return None
    spread = random.random() if chance is None else chance  # noqa: S311 - no secret
    waited: float = FIRST_PAUSE * 2 ** (attempt - 1) * (0.5 + spread)
    return max(waited, asked or 0.0)
