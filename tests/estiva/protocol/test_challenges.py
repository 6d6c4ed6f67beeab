import pytest

from estiva.protocol.challenges import Challenge, parse_challenges


@pytest.mark.parametrize(
    ("header", "challenges"),
    [
        ("", []),
        ("Basic", [Challenge("basic", {})]),
        ('Basic realm="a, b"', [Challenge("basic", {"realm": "a, b"})]),
        (
            'Bearer realm="https://x/token",service="x",scope="repository:a:pull,push"',
            [Challenge("bearer", {"realm": "https://x/token", "service": "x", "scope": "repository:a:pull,push"})],
        ),
        (
            'bearer Realm=x , error="a \\"b\\"", BASIC realm=y',
            [Challenge("bearer", {"realm": "x", "error": 'a "b"'}), Challenge("basic", {"realm": "y"})],
        ),
        ("Negotiate, Basic realm=y", [Challenge("negotiate", {}), Challenge("basic", {"realm": "y"})]),
        ('"quoted"', []),
        ("=,=,=", []),
    ],
)
def test_challenges_are_read(header: str, challenges: list[Challenge]) -> None:
    assert parse_challenges(header) == challenges


def test_what_is_long_and_malformed_is_read_in_no_time() -> None:
    assert len(parse_challenges("a=" * 20_000 + ' "')) <= 1
    assert parse_challenges('Basic realm="' + "\\" * 50_000)
