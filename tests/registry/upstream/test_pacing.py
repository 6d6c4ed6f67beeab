"""When another registry is asked again."""

from datetime import UTC, datetime

import pytest

from registry.upstream.pacing import ATTEMPTS, FIRST_PAUSE, LONGEST_PAUSE, pause, retry_after

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("3", 3.0),
        ("Thu, 01 Jan 2026 00:01:00 GMT", 60.0),
        ("Wed, 31 Dec 2025 00:00:00 GMT", 0.0),
        ("soon", None),
        ("-1", None),
        ("", None),
        ("9" * 40, None),
    ],
)
def test_what_it_asks_for_is_read(text: str, seconds: float | None) -> None:
    assert retry_after({"retry-after": text}, NOW) == seconds


def test_pauses_grow_and_are_spread_by_chance() -> None:
    assert pause(1, None, 0.0) == FIRST_PAUSE * 0.5
    assert pause(2, None, 1.0) == FIRST_PAUSE * 3
    assert pause(1, 5.0, 0.0) == 5.0


def test_it_is_given_up_after_some_tries_and_where_the_wait_would_be_too_long() -> None:
    assert pause(ATTEMPTS, None) is None
    assert pause(1, LONGEST_PAUSE + 1) is None
