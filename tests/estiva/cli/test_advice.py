"""What a user is advised to do."""

from estiva.cli.advice import advised
from estiva.errors import Denied


def test_who_has_no_right_is_sent_to_the_administrator() -> None:
    assert "by a policy" in advised(Denied("not allowed"))


def test_who_has_no_room_is_not_told_to_ask_for_a_right() -> None:
    text = advised(Denied("adding 9 bytes would exceed the quota", detail={"limit": 5, "used": 1, "requested": 9}))
    assert "policy" not in text
    assert "estiva quotas" in text
