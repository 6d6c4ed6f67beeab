"""The operators of Condition, one by one, and all of them against the reference."""

import random
from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auth.policy import InvalidPolicyError
from auth.policy.conditions import OPERATORS, parse_condition
from auth.policy.matching import Reading
from tests.auth.policy import generated, reference


def holds(
    operator: str, key: str, texts: list[str], context: Mapping[str, tuple[str, ...]], denies: bool = False
) -> bool:
    condition = parse_condition(operator, key, texts, variables=True, denies=denies)
    return condition.holds(Reading({name.lower(): values for name, values in context.items()}))


@settings(max_examples=700, deadline=None)
@given(seed=st.integers(0, 2**32), denies=st.booleans())
def test_a_condition_holds_as_the_reference_says(seed: int, denies: bool) -> None:
    chance = random.Random(seed)
    operator, key, value = generated.comparison(chance)
    texts = reference.listed(value)
    context = generated.request(chance).context
    expected = reference.condition_holds(operator, key, texts, context, "2012-10-17", denies)
    assert holds(operator, key, texts, context, denies) is expected


@pytest.mark.parametrize(
    ("operator", "value", "asked", "expected"),
    [
        ("StringEquals", "v1", "v1", True),
        ("StringEquals", "v1", "V1", False),
        ("StringEquals", "v*", "v1", False),
        ("StringEquals", "v*", "v*", True),
        ("StringNotEquals", "v1", "v2", True),
        ("StringEqualsIgnoreCase", "V1", "v1", True),
        ("StringNotEqualsIgnoreCase", "V1", "v1", False),
        ("StringLike", "v?.*", "v1.2", True),
        ("StringLike", "v?.*", "V1.2", False),
        ("StringNotLike", "v?.*", "v1.2", False),
        ("ArnEquals", "arn:aws:iam::*:user/*", "arn:aws:iam::1:user/ann", True),
        ("ArnLike", "arn:aws:iam::*:user/*", "arn:aws:iam::1:role/ann", False),
        ("ArnNotEquals", "arn:aws:iam::1:user/ann", "arn:aws:iam::1:user/ann", False),
        ("ArnNotLike", "arn:aws:iam::*:role/*", "arn:aws:iam::1:user/ann", True),
        ("NumericEquals", "10", "10.0", True),
        ("NumericNotEquals", "10", "10.0", False),
        ("NumericNotEquals", "10", "ten", True),
        ("NumericEquals", "9007199254740993", "9007199254740992", False),
        ("NumericLessThan", "10", "9.99", True),
        ("NumericLessThan", "10", "10", False),
        ("NumericLessThanEquals", "10", "10", True),
        ("NumericGreaterThan", "-1", "0", True),
        ("NumericGreaterThanEquals", "10", "ten", False),
        ("DateEquals", "2026-03-01T12:00:00Z", "2026-03-01T14:00:00+02:00", True),
        ("DateEquals", "2026-03-01", "2026-03-01T00:00:00Z", True),
        ("DateEquals", "1772366400", "2026-03-01T12:00:00Z", True),
        ("DateNotEquals", "2026-03-01", "2026-03-01T00:00:00Z", False),
        ("DateLessThan", "2026-03-01T12:00:00Z", "2026-03-01T11:59:59.999Z", True),
        ("DateLessThanEquals", "2026-03-01T12:00:00Z", "2026-03-01T12:00:00Z", True),
        ("DateGreaterThan", "2026-03-01T12:00:00Z", "2026-03-01T12:00:00Z", False),
        ("DateGreaterThanEquals", "2026-03-01T12:00:00Z", "2026-03-01T12:00:00Z", True),
        ("DateGreaterThan", "2026-03-01T12:00:00Z", "tomorrow", False),
        ("DateGreaterThan", "2026-03-01T12:00:00Z", "2026-02-30T00:00:00Z", False),
        ("Bool", "true", "true", True),
        ("Bool", "false", "true", False),
        ("Bool", "true", "yes", False),
        ("IpAddress", "10.0.0.0/8", "10.255.0.1", True),
        ("IpAddress", "10.0.0.0/8", "11.0.0.1", False),
        ("IpAddress", "10.1.2.3/8", "10.9.9.9", True),
        ("IpAddress", "192.0.2.1", "192.0.2.1", True),
        ("IpAddress", "10.0.0.0/8", "::ffff:10.0.0.1", True),
        ("IpAddress", "::ffff:10.0.0.0/104", "10.0.0.1", True),
        ("IpAddress", "0.0.0.0/0", "2001:db8::1", False),
        ("IpAddress", "2001:db8::/32", "2001:db8:1::1", True),
        ("IpAddress", "2001:db8::/32", "10.0.0.1", False),
        ("IpAddress", "10.0.0.0/8", "10.0.0.1 ", False),
        ("NotIpAddress", "10.0.0.0/8", "10.0.0.1", False),
        ("NotIpAddress", "10.0.0.0/8", "nowhere", True),
    ],
)
def test_each_operator_compares_in_its_own_way(operator: str, value: str, asked: str, expected: bool) -> None:
    assert holds(operator, "aws:UserAgent", [value], {"aws:useragent": (asked,)}) is expected


def test_the_table_above_leaves_no_operator_out() -> None:
    marker = test_each_operator_compares_in_its_own_way.pytestmark[0]  # type: ignore[attr-defined]
    assert {case[0] for case in marker.args[1]} | {"Null"} == OPERATORS


@pytest.mark.parametrize(
    ("operator", "expected"),
    [
        ("StringEquals", False),
        ("StringNotEquals", True),
        ("StringEqualsIfExists", True),
        ("StringNotEqualsIfExists", True),
        ("ForAnyValue:StringEquals", False),
        ("ForAnyValue:StringNotEquals", False),
        ("ForAllValues:StringEquals", True),
        ("ForAllValues:StringNotEquals", True),
        ("ForAnyValue:StringEqualsIfExists", True),
    ],
)
@pytest.mark.parametrize("context", [{}, {"ecr:ImageTag": ()}])
def test_a_key_that_is_absent_or_empty(operator: str, expected: bool, context: Mapping[str, tuple[str, ...]]) -> None:
    assert holds(operator, "ecr:ImageTag", ["v1"], context) is expected


@pytest.mark.parametrize(
    ("operator", "asked", "expected"),
    [
        ("StringEquals", ("a", "x"), True),
        ("StringEquals", ("x", "y"), False),
        ("StringNotEquals", ("a", "x"), False),
        ("StringNotEquals", ("x", "y"), True),
        ("ForAnyValue:StringEquals", ("a", "x"), True),
        ("ForAnyValue:StringNotEquals", ("a", "x"), True),
        ("ForAnyValue:StringNotEquals", ("a", "b"), False),
        ("ForAllValues:StringEquals", ("a", "x"), False),
        ("ForAllValues:StringEquals", ("a", "b"), True),
        ("ForAllValues:StringNotEquals", ("a", "x"), False),
        ("ForAllValues:StringNotEquals", ("x", "y"), True),
    ],
)
def test_a_key_with_several_values(operator: str, asked: tuple[str, ...], expected: bool) -> None:
    assert holds(operator, "aws:TagKeys", ["a", "b"], {"aws:TagKeys": asked}) is expected


@pytest.mark.parametrize(
    ("texts", "context", "expected"),
    [
        (["true"], {}, True),
        (["true"], {"aws:TagKeys": ()}, True),
        (["true"], {"aws:TagKeys": ("a",)}, False),
        (["false"], {"aws:TagKeys": ("a",)}, True),
        (["false"], {}, False),
        (["True", "false"], {}, True),
    ],
)
def test_null_asks_whether_a_key_is_absent(
    texts: list[str], context: Mapping[str, tuple[str, ...]], expected: bool
) -> None:
    assert holds("Null", "aws:TagKeys", texts, context) is expected


@pytest.mark.parametrize("denies", [True, False])
@pytest.mark.parametrize("operator", ["StringNotEquals", "StringNotLike", "ForAnyValue:StringNotLike", "ArnNotLike"])
def test_a_negated_comparison_with_a_variable_that_stands_for_nothing_never_opens_anything(
    operator: str, denies: bool
) -> None:
    text = "arn:aws:iam::1:user/${aws:username}"
    assert holds(operator, "aws:SourceArn", [text], {"aws:SourceArn": ("arn:aws:iam::1:user/x",)}, denies) is denies


@pytest.mark.parametrize(
    ("operator", "key", "text", "problem"),
    [
        ("StringIs", "aws:username", "x", "unknown condition operator"),
        ("stringequals", "aws:username", "x", "unknown condition operator"),
        ("StringEqualsIfExistsIfExists", "aws:username", "x", "unknown condition operator"),
        ("ForSomeValues:StringEquals", "aws:username", "x", "unknown condition operator"),
        ("ForAnyValue:ForAllValues:StringEquals", "aws:username", "x", "unknown condition operator"),
        ("NullIfExists", "aws:username", "true", "unknown condition operator"),
        ("ForAnyValue:Null", "aws:username", "true", "unknown condition operator"),
        ("BinaryEquals", "aws:username", "eA==", "unknown condition operator"),
        ("StringEquals", "aws:usernames", "x", "unknown condition key"),
        ("StringEquals", "ecr:ResourceTag/", "x", "unknown condition key"),
        ("StringEquals", "username", "x", "unknown condition key"),
        ("NumericEquals", "aws:EpochTime", "1e5", "is not a number"),
        ("NumericEquals", "aws:EpochTime", "٣", "is not a number"),
        ("DateEquals", "aws:CurrentTime", "2026-13-01", "is not a date"),
        ("DateEquals", "aws:CurrentTime", "tomorrow", "is not a date"),
        ("Bool", "aws:SecureTransport", "1", "is not true or false"),
        ("Null", "aws:SecureTransport", "", "is not true or false"),
        ("IpAddress", "aws:SourceIp", "10.0.0.0/33", "is not an IP address or network"),
        ("IpAddress", "aws:SourceIp", "10.0.0.*", "is not an IP address or network"),
        ("ArnLike", "aws:PrincipalArn", "ann", "is not an ARN"),
    ],
)
def test_what_could_never_hold_is_refused(operator: str, key: str, text: str, problem: str) -> None:
    with pytest.raises(InvalidPolicyError, match=problem):
        holds(operator, key, [text], {})
