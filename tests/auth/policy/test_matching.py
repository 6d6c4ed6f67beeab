"""Wildcards, variables, ARNs: against dynamic programming, and against patterns made to be slow."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auth.policy import InvalidPolicyError
from auth.policy.matching import Arns, Reading, Texts
from tests.auth.policy import reference

PATTERN = st.text("ab*?:.$", max_size=12)
TEXT = st.text("ab:.$*?\n", max_size=12)
NAMED = {"aws:username": ("a*b",), "oidc:groups": ("x", "y"), "aws:principaltag/team": ("web",)}


def matches(pattern: str, text: str, *, ignore_case: bool = False) -> bool | None:
    return Texts.parse([pattern], ignore_case=ignore_case, variables=True).matches(text, Reading(NAMED))


@settings(max_examples=700, deadline=None)
@given(pattern=PATTERN, text=TEXT)
def test_wildcards_match_as_dynamic_programming_says(pattern: str, text: str) -> None:
    glyphs = reference.glyphs(pattern, {}, "2008-10-17", True)
    assert glyphs is not None
    assert Texts.parse([pattern]).matches(text, Reading({})) is reference.glob(glyphs, text)


@settings(max_examples=300, deadline=None)
@given(patterns=st.lists(PATTERN, min_size=1, max_size=4), text=TEXT)
def test_several_patterns_match_where_one_does(patterns: list[str], text: str) -> None:
    alone = [Texts.parse([pattern]).matches(text, Reading({})) for pattern in patterns]
    assert Texts.parse(patterns).matches(text, Reading({})) is any(alone)


@settings(max_examples=300, deadline=None)
@given(value=st.text("ab*?", max_size=4), pattern=PATTERN.filter(lambda p: "$" not in p), text=TEXT)
def test_a_variable_is_replaced_by_literal_text(value: str, pattern: str, text: str) -> None:
    context = {"aws:username": (value,)}
    source = pattern + "${aws:username}" + pattern
    glyphs = reference.glyphs(source, context, "2012-10-17", True)
    assert glyphs is not None
    read = Texts.parse([source], variables=True)
    assert read.matches(text, Reading(context)) is reference.glob(glyphs, text)


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("*a" * 1000 + "*b", "a" * 8192),
        ("*?a" * 600 + "*b", "a" * 8192),
        ("*" + "a" * 1000 + "b*", "a" * 8192),
        ("*" + "a?" * 500 + "b*", "a" * 8192),
        ("*" * 2000 + "b", "a" * 8192),
        (("*" + "a" * 100 + "b") * 20 + "*", ("a" * 100 + "b") * 19 + "a" * 6000),
    ],
)
def test_no_pattern_takes_long(pattern: str, text: str) -> None:
    test = Texts.parse([pattern])
    begin = time.process_time()
    assert test.matches(text, Reading({})) is False
    # A few milliseconds; trying again, even once for each star, would take minutes and more.
    assert time.process_time() - begin < 0.5


def test_many_slow_patterns_at_once_do_not_multiply() -> None:
    test = Texts.parse(["*a" * 20 + f"*{index}" for index in range(200)])
    begin = time.process_time()
    assert test.matches("a" * 2000, Reading({})) is False
    assert time.process_time() - begin < 0.5


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        ("${aws:username}", "a*b", True),
        ("${aws:username}", "axb", False),
        ("${AWS:UserName}/*", "a*b/c", True),
        ("?${aws:username}", "za*b", True),
        ("${aws:PrincipalTag/Team}", "web", True),
        ("${aws:PrincipalTag/stage}", "", None),
        ("${aws:PrincipalTag/stage, 'none'}", "none", True),
        ("${aws:PrincipalTag/stage,'none'}", "none", True),
        ("${aws:PrincipalTag/stage, '*'}", "anything", False),
        ("${aws:PrincipalTag/stage, ''}x", "x", True),
        ("${oidc:groups}", "x", None),
        ("${oidc:groups, 'x'}", "x", None),
        ("${*}", "*", True),
        ("${*}", "x", False),
        ("${?}${$}", "?$", True),
        ("$", "$", True),
        ("a*${aws:username}", "a\na*b", True),
        ("$x{}", "$x{}", True),
    ],
)
def test_variables_stand_for_one_value_of_the_request(pattern: str, text: str, expected: bool | None) -> None:
    assert matches(pattern, text) is expected


def test_one_pattern_that_matches_is_enough_beside_a_variable_that_stands_for_nothing() -> None:
    read = Texts.parse(["${aws:PrincipalTag/stage}", "${aws:username}"], variables=True)
    assert read.matches("a*b", Reading(NAMED)) is True
    assert read.matches("c", Reading(NAMED)) is None


def test_variables_ignore_case_where_the_text_does() -> None:
    read = Texts.parse(["${aws:username}*"], ignore_case=True, variables=True)
    assert read.matches("ANNA", Reading({"aws:username": ("Ann",)})) is True


def test_what_was_looked_at_is_remembered() -> None:
    reading = Reading(NAMED)
    Texts.parse(["b", "${aws:PrincipalTag/stage, 'x'}"], variables=True).matches("a", reading)
    assert reading.keys == {"aws:principaltag/stage"}


@pytest.mark.parametrize(
    "pattern",
    [
        "${",
        "${aws:username",
        "a${}",
        "${aws:sourceip}",
        "${ aws:username}",
        "${aws:username,x}",
        "${oidc:}",
        "a" * 2049,
    ],
)
def test_a_malformed_or_unknown_variable_is_refused(pattern: str) -> None:
    with pytest.raises(InvalidPolicyError):
        Texts.parse([pattern], variables=True)


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        ("arn:aws:iam::1:user/ann", "arn:aws:iam::1:user/ann", True),
        ("arn:aws:iam::1:user/ann", "arn:aws:iam::1:user/Ann", False),
        ("arn:*:*:*:*:*", "arn:aws:iam::1:user/ann", True),
        ("arn:aws:iam::?:user/*", "arn:aws:iam::1:user/a:b", True),
        # A star stays inside its part, though what follows it in the text would fit.
        ("arn:aws:*:user/ann:*:*", "arn:aws:iam::1:user/ann::", False),
        ("arn:aws:iam::*:user/ann", "arn:aws:iam::1:user/x:user/ann", False),
        ("arn:aws:iam::1:user/${aws:username}", "arn:aws:iam::1:user/a*b", True),
        ("arn:aws:iam::1:user/${aws:username}", "arn:aws:iam::1:user/axb", False),
        ("arn:aws:iam::1:${aws:PrincipalTag/stage}", "arn:aws:iam::1:x", None),
        ("arn:aws:iam::2:${aws:PrincipalTag/stage}", "arn:aws:iam::1:x", False),
        ("arn:aws:iam::1:*", "ann", False),
        ("arn:*:*:*:*:*", "arn", False),
        ("arn:*:*:*:*:*", "arn:aws:iam::1", False),
        ("*", "ann", True),
    ],
)
def test_arns_match_part_by_part(pattern: str, text: str, expected: bool | None) -> None:
    assert Arns.parse([pattern], variables=True).matches(text, Reading(NAMED)) is expected


@pytest.mark.parametrize("pattern", ["", "arn", "arn:aws:iam", "arn:aws:iam::1", "urn:a:b:c:d:e", "user/ann"])
def test_what_is_no_arn_is_refused_as_one(pattern: str) -> None:
    with pytest.raises(InvalidPolicyError, match="is not an ARN"):
        Arns.parse([pattern])
