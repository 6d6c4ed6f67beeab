"""The room that request bodies share."""

import pytest

from estiva.errors import Unavailable
from registry.api.room import PER_REQUEST, Room


def test_small_bodies_need_no_room() -> None:
    room = Room(0)
    for _ in range(100):
        room.enter().hold(PER_REQUEST)


def test_a_body_that_grows_takes_only_what_it_grew_by() -> None:
    room = Room(100)
    place = room.enter()
    for size in (PER_REQUEST + 10, PER_REQUEST + 60, PER_REQUEST + 60, PER_REQUEST + 100):
        place.hold(size)
    with pytest.raises(Unavailable):
        place.hold(PER_REQUEST + 101)


def test_what_one_holds_another_cannot_have_until_it_leaves() -> None:
    room = Room(100)
    first, second = room.enter(), room.enter()
    first.hold(PER_REQUEST + 60)
    with pytest.raises(Unavailable):
        second.hold(PER_REQUEST + 41)
    second.hold(PER_REQUEST + 40)
    first.leave()
    second.hold(PER_REQUEST + 100)


def test_leaving_twice_gives_back_once() -> None:
    room = Room(100)
    place = room.enter()
    place.hold(PER_REQUEST + 100)
    place.leave()
    place.leave()
    with pytest.raises(Unavailable):
        room.enter().hold(PER_REQUEST + 101)
