"""What another registry wants to see, and whom its credentials are shown to."""

import pytest

from registry.upstream.challenges import Challenge, choose, may_be_trusted, parse_challenges, token_url


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ('Bearer realm="https://a/t",service="s"', [Challenge("bearer", {"realm": "https://a/t", "service": "s"})]),
        ('Basic realm="x"', [Challenge("basic", {"realm": "x"})]),
        (
            'Basic realm="x", Bearer realm="https://a",scope="repository:a/b:pull,push"',
            [
                Challenge("basic", {"realm": "x"}),
                Challenge("bearer", {"realm": "https://a", "scope": "repository:a/b:pull,push"}),
            ],
        ),
        ("Negotiate, Basic realm=x", [Challenge("negotiate", {}), Challenge("basic", {"realm": "x"})]),
        (r'Basic realm="a \"b\""', [Challenge("basic", {"realm": 'a "b"'})]),
        ("", []),
        ("=,;", []),
    ],
)
def test_challenges_are_read(header: str, expected: list[Challenge]) -> None:
    assert parse_challenges(header) == expected


def test_a_header_without_end_is_read_in_no_time() -> None:
    assert len(parse_challenges("Bearer " + 'a="' * 100_000)) <= 1


def test_a_token_is_preferred_to_a_password() -> None:
    basic, bearer = Challenge("basic", {}), Challenge("bearer", {"realm": "https://a"})
    assert choose([basic, bearer]) is bearer
    assert choose([basic, Challenge("bearer", {})]) is basic
    assert choose([Challenge("negotiate", {})]) is None


def test_a_token_is_asked_for_with_each_scope() -> None:
    challenge = Challenge("bearer", {"realm": "https://a/t?x=1", "service": "s s", "scope": "other"})
    assert token_url(challenge, "repository:a:pull repository:b:pull") == (
        "https://a/t?x=1&service=s+s&scope=repository%3Aa%3Apull&scope=repository%3Ab%3Apull"
    )
    assert token_url(challenge, "").endswith("scope=other")


@pytest.mark.parametrize(
    ("registry", "realm", "token_server", "trusted"),
    [
        ("https://quay.io", "https://quay.io/v2/auth", None, True),
        ("https://quay.io", "https://quay.io:443/v2/auth", None, True),
        ("https://registry-1.docker.io", "https://auth.docker.io/token", None, True),
        ("https://registry.gitlab.com", "https://gitlab.com/jwt/auth", None, True),
        ("https://quay.io", "https://evil.example/token", None, False),
        ("https://quay.io", "https://auth.docker.io/token", None, False),
        ("https://quay.io", "https://quay.io.evil.example/", None, False),
        ("https://quay.io", "https://quay.io@evil.example/", None, False),
        ("https://quay.io", "http://quay.io/v2/auth", None, False),
        ("https://quay.io", "https://quay.io:8443/v2/auth", None, False),
        ("https://registry-1.docker.io", "http://auth.docker.io/token", None, False),
        ("https://a.example", "https://auth.example/t", "https://auth.example", True),
        ("https://a.example", "https://a.example/t", "https://auth.example", False),
        ("https://a.example", "http://auth.example/t", "http://auth.example", False),
        ("http://10.0.0.1:5000", "http://10.0.0.1:5001/t", None, False),
        ("https://a.example", "file:///etc/passwd", None, False),
    ],
)
def test_credentials_are_for_nobody_else(registry: str, realm: str, token_server: str | None, trusted: bool) -> None:
    assert may_be_trusted(registry, realm, token_server) is trusted
