from contextlib import ExitStack

import pytest

from auth.throttling import MOST_REMEMBERED, PER_ADDRESS, PER_NAME, SOON, WINDOW, Throttle
from estiva.errors import TooManyRequests


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def throttle(clock: Clock) -> Throttle:
    return Throttle(clock)


def fail(throttle: Throttle, times: int, address: str = "192.0.2.1", name: str = "alice") -> None:
    for _ in range(times):
        with throttle.attempt(address, name) as attempt:
            attempt.failed = True


def heard(throttle: Throttle, address: str = "192.0.2.1", name: str = "alice") -> None:
    with throttle.attempt(address, name):
        pass


def retry_after(throttle: Throttle, address: str = "192.0.2.1", name: str = "alice") -> int:
    with pytest.raises(TooManyRequests) as refused:
        heard(throttle, address, name)
    return int(refused.value.headers["Retry-After"])


def test_ten_failures_a_minute_are_heard_and_no_eleventh(throttle: Throttle) -> None:
    fail(throttle, PER_NAME)
    assert 0 < retry_after(throttle) <= WINDOW + 1


def test_who_waits_as_long_as_was_said_is_heard_again(throttle: Throttle, clock: Clock) -> None:
    fail(throttle, PER_NAME)
    clock.now += retry_after(throttle)
    heard(throttle, "192.0.2.1", "alice")


def test_the_minute_slides(throttle: Throttle, clock: Clock) -> None:
    for _ in range(30):
        fail(throttle, 1)
        clock.now += WINDOW / PER_NAME + 0.1


def test_neither_other_names_nor_other_addresses_suffer(throttle: Throttle) -> None:
    fail(throttle, PER_NAME)
    heard(throttle, "192.0.2.1", "bob")
    heard(throttle, "192.0.2.2", "alice")


def test_an_address_that_tries_many_names_is_heard_no_more(throttle: Throttle) -> None:
    for number in range(PER_ADDRESS):
        fail(throttle, 1, name=f"user{number}")
    assert retry_after(throttle, name="somebody-else") > 0
    heard(throttle, "192.0.2.2", "somebody-else")


def test_what_is_remembered_is_bounded_in_number_and_length(throttle: Throttle) -> None:
    for number in range(MOST_REMEMBERED):
        fail(throttle, 1, f"address{number}", "x" * 60_000)
    assert len(throttle._failures) <= MOST_REMEMBERED
    assert max(len(name) for _, name in throttle._failures) <= 64


def test_what_runs_counts_like_a_failure_and_is_given_back_when_it_succeeds(throttle: Throttle) -> None:
    with ExitStack() as running:
        for _ in range(PER_NAME):
            running.enter_context(throttle.attempt("192.0.2.1", "alice"))
        assert retry_after(throttle) <= SOON + 1
        heard(throttle, name="bob")
    for _ in range(3 * PER_NAME):
        heard(throttle)
    assert not throttle._running
    assert not throttle._failures


def test_what_runs_and_what_failed_are_counted_together(throttle: Throttle) -> None:
    fail(throttle, PER_NAME - 1)
    with throttle.attempt("192.0.2.1", "alice"):
        assert retry_after(throttle) <= SOON + 1
    heard(throttle)


def test_an_attempt_that_breaks_off_does_not_count(throttle: Throttle) -> None:
    for _ in range(2 * PER_NAME):
        with pytest.raises(ValueError, match="broken"), throttle.attempt("192.0.2.1", "alice"):
            raise ValueError("broken")
    heard(throttle)
