"""Waits at the start for a PostgreSQL server that is not there yet: who starts everything at once expects that."""

import logging
import math
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from storage.metadata.migrations import DatabaseAwayError, migrate
from storage.metadata.opening import shown

logger = logging.getLogger("estiva.start")

FIRST_PAUSE = 0.25
LONGEST_PAUSE = 5.0
"""Seconds between two tries; the pause doubles from the one to the other."""


def migrate_in_time(url: str, patience: float, pause: Callable[[float], None] = time.sleep) -> None:
    """`migrate`; where the server is away, again and again for `patience` seconds from then on. MigrationError.

    SIGTERM ends the process meanwhile, with code 143: the kernel would not do so for the first process of a container.
    """
    end, wait = math.inf, FIRST_PAUSE
    with _ended_by_sigterm():
        while True:
            try:
                return migrate(url)
            except DatabaseAwayError as error:
                end = min(end, time.monotonic() + patience)
                left = end - time.monotonic()
                if left <= 0:
                    raise
                logger.warning(
                    "waiting %.0f seconds more for the metadata database %s: %s", max(left, 1), shown(url), error
                )
                pause(min(wait, left))
                wait = min(wait * 2, LONGEST_PAUSE)


@contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    def end(number: int, frame: FrameType | None) -> None:
        sys.exit(128 + number)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
