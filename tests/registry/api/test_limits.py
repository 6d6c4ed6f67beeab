import math

import pytest
from starlette.types import Scope

from auth.access import Caller
from auth.principals import ANONYMOUS, Kind, Principal
from estiva.errors import TooManyRequests
from registry.api.limits import Allowed, Buckets, Limits, Places
from registry.api.origin import Origin


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def asking(address: str) -> Scope:
    return {"type": "http", "client": (address, 1), "headers": []}


def test_a_bucket_gives_its_burst_at_once_and_then_as_often_as_its_rate_says(clock: Clock) -> None:
    buckets = Buckets(2, 5, clock)
    assert [buckets.take("a") for _ in range(10)] == [0.0] * 10
    assert buckets.take("a") == pytest.approx(0.5)
    assert buckets.take("b") == 0
    clock.now += 0.5
    assert [buckets.take("a"), buckets.take("a")] == [0.0, pytest.approx(0.5)]
    clock.now += 100
    assert [buckets.take("a") for _ in range(10)] == [0.0] * 10
    assert buckets.take("a") > 0


def test_who_is_refused_does_not_wait_longer_for_having_asked(clock: Clock) -> None:
    buckets = Buckets(1, 1, clock)
    buckets.take("a")
    assert {buckets.take("a") for _ in range(100)} == {1.0}


def test_a_rate_below_one_gives_one_at_a_time(clock: Clock) -> None:
    buckets = Buckets(0.1, 1, clock)
    assert buckets.take("a") == 0
    assert buckets.take("a") == pytest.approx(10)


def test_without_a_rate_nothing_is_counted(clock: Clock) -> None:
    buckets = Buckets(0, 1, clock)
    assert {buckets.take("a") for _ in range(100)} == {0.0}


def test_of_many_keys_those_that_came_longest_ago_are_forgotten(clock: Clock) -> None:
    buckets = Buckets(1, 1, clock, most=3)
    for key in "abcd":
        buckets.take(key)
    assert [buckets.wait(key) for key in "abcd"] == [0, 1, 1, 1]


def test_places_are_given_back_however_their_block_ends() -> None:
    places = Places(2)
    with places.place("a"), places.place("b"):
        with pytest.raises(ZeroDivisionError), places.place("a"):
            raise ZeroDivisionError
        with places.place("a"), pytest.raises(TooManyRequests, match="too many uploads at once"), places.place("a"):
            raise AssertionError
    with places.place("a"), places.place("a"):
        pass
    with Places(0).place("a"):
        pass


def test_an_address_is_counted_and_told_when_to_come_back(clock: Clock) -> None:
    limits = Limits(Allowed(requests_per_address=0.1, burst=1), Origin(), clock)
    limits.enter(asking("192.0.2.1"))
    with pytest.raises(TooManyRequests) as refused:
        limits.enter(asking("192.0.2.1"))
    assert refused.value.headers == {"Retry-After": "10"}
    limits.enter(asking("192.0.2.2"))
    assert not limits.admits(asking("192.0.2.1"), b"")
    clock.now += 10
    assert limits.admits(asking("192.0.2.1"), b"")
    assert not limits.admits(asking("192.0.2.1"), b"")


def test_of_ipv6_a_network_counts_as_one_address(clock: Clock) -> None:
    limits = Limits(Allowed(requests_per_address=1, burst=1), Origin(), clock)
    limits.enter(asking("2001:db8::1"))
    limits.enter(asking("2001:db8:0:1::1"))
    limits.enter(asking("fe80::1%eth0"))
    for address in ("2001:db8::2", "2001:db8:0:1:ffff::", "fe80::2%eth0"):
        with pytest.raises(TooManyRequests):
            limits.enter(asking(address))


def test_a_principal_is_counted_from_wherever_it_comes(clock: Clock) -> None:
    limits = Limits(Allowed(requests_per_principal=1, burst=2), Origin(), clock)
    ann, ben = (Caller(Principal(Kind.USER, name)) for name in ("ann", "ben"))
    assert not limits.admits(asking("192.0.2.1"), b"Basic ann")
    limits.recognise(ann, "Basic ann")
    assert limits.admits(asking("192.0.2.2"), b"Basic ann")
    assert not limits.admits(asking("192.0.2.2"), b"Basic ann")
    with pytest.raises(TooManyRequests):
        limits.recognise(ann, None)
    limits.recognise(ben, "Basic ben")
    for _ in range(9):
        limits.recognise(Caller(ANONYMOUS), None)
        assert limits.admits(asking("192.0.2.1"), b"")
    clock.now += 1
    assert limits.admits(asking("192.0.2.1"), b"Basic ann")


def test_uploads_are_counted_for_address_and_principal() -> None:
    limits = Limits(Allowed(uploads_per_address=2, uploads_per_principal=1), Origin())
    ann, ben = (Caller(Principal(Kind.USER, name)) for name in ("ann", "ben"))
    here, there = asking("192.0.2.1"), asking("192.0.2.2")
    with limits.uploading(here, ann):
        with pytest.raises(TooManyRequests), limits.uploading(there, ann):
            raise AssertionError
        with limits.uploading(here, ben), pytest.raises(TooManyRequests), limits.uploading(here, Caller(ANONYMOUS)):
            raise AssertionError
        with limits.uploading(there, Caller(ANONYMOUS)), limits.uploading(there, Caller(ANONYMOUS)):
            pass
    with limits.uploading(there, ann):
        pass


def test_nothing_is_limited_by_default() -> None:
    assert not Allowed().any
    assert Allowed(uploads_per_principal=1).any
    assert math.isfinite(Allowed().burst)
