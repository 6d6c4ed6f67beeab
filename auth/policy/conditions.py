"""The Condition element: operators, how they treat keys that are absent, and keys with several values.

Every operator comes down to a test of one value and three facts (IAM's rules, condensed):

- whether the test is negated;
- whether every value of the request has to pass or one is enough: `ForAllValues:` and plain negated operators want
  every one, `ForAnyValue:` and plain positive operators are content with one;
- what holds where the request does not have the key: yes for `ForAllValues:`, `...IfExists` and plain negated
  operators, no for the others.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

from auth.policy.comparisons import Booleans, Dates, Networks, Numbers
from auth.policy.errors import InvalidPolicyError
from auth.policy.keys import is_condition_key
from auth.policy.matching import Arns, Reading, Test, Texts

ANY_VALUE, ALL_VALUES, IF_EXISTS = "ForAnyValue:", "ForAllValues:", "IfExists"


class Condition(Protocol):
    """One key under one operator."""

    def holds(self, reading: Reading) -> bool:
        """Whether it is met by the request that is read."""
        ...


@dataclass(frozen=True, slots=True)
class Comparison:
    """`{operator: {key: texts}}`, for every operator but Null."""

    operator: str
    key: str
    texts: tuple[str, ...]
    _test: Test = field(compare=False, repr=False)
    _negated: bool = field(compare=False, repr=False)
    _every: bool = field(compare=False, repr=False)
    _when_absent: bool = field(compare=False, repr=False)
    _when_unknown: bool

    def holds(self, reading: Reading) -> bool:
        """See `Condition`."""
        values = reading.values(self.key)
        if not values:
            return self._when_absent
        passes = (self._passes(value, reading) for value in values)
        return all(passes) if self._every else any(passes)

    def _passes(self, value: str, reading: Reading) -> bool:
        matches = self._test.matches(value, reading)
        if not self._negated:
            return matches is True
        # A negated comparison with a variable that stands for nothing must not open what it was to keep closed.
        return self._when_unknown if matches is None else not matches


@dataclass(frozen=True, slots=True)
class Null:
    """`{"Null": {key: "true"}}`: the request does not have the key; "false": it has it."""

    key: str
    absent: frozenset[bool]

    def holds(self, reading: Reading) -> bool:
        """See `Condition`."""
        return (not reading.values(self.key)) in self.absent


_Parse = Callable[[Sequence[str], bool], Test]


def _texts(texts: Sequence[str], variables: bool, *, like: bool = False, ignore_case: bool = False) -> Test:
    return Texts.parse(texts, like=like, ignore_case=ignore_case, variables=variables)


def _arns(texts: Sequence[str], variables: bool) -> Test:
    return Arns.parse(texts, variables=variables)


def _without_variables(parse: Callable[[Sequence[str]], Test]) -> _Parse:
    return lambda texts, _: parse(texts)


def _in_order(parse: Callable[[Sequence[str], str], Test], order: str) -> _Parse:
    return lambda texts, _: parse(texts, order)


def _ordered(name: str, parse: Callable[[Sequence[str], str], Test]) -> dict[str, tuple[_Parse, bool]]:
    orders = {"LessThan": "<", "LessThanEquals": "<=", "GreaterThan": ">", "GreaterThanEquals": ">="}
    named = {f"{name}{suffix}": (order, False) for suffix, order in orders.items()}
    named |= {f"{name}Equals": ("=", False), f"{name}NotEquals": ("=", True)}
    return {operator: (_in_order(parse, order), negated) for operator, (order, negated) in named.items()}


# The positive test behind each operator, and whether the operator negates it.
_OPERATORS: Mapping[str, tuple[_Parse, bool]] = {
    "StringEquals": (_texts, False),
    "StringNotEquals": (_texts, True),
    "StringEqualsIgnoreCase": (partial(_texts, ignore_case=True), False),
    "StringNotEqualsIgnoreCase": (partial(_texts, ignore_case=True), True),
    "StringLike": (partial(_texts, like=True), False),
    "StringNotLike": (partial(_texts, like=True), True),
    "ArnEquals": (_arns, False),
    "ArnNotEquals": (_arns, True),
    "ArnLike": (_arns, False),
    "ArnNotLike": (_arns, True),
    **_ordered("Numeric", Numbers.parse),
    **_ordered("Date", Dates.parse),
    "Bool": (_without_variables(Booleans.parse), False),
    "IpAddress": (_without_variables(Networks.parse), False),
    "NotIpAddress": (_without_variables(Networks.parse), True),
}
OPERATORS = frozenset(_OPERATORS) | {"Null"}


def parse_condition(operator: str, key: str, texts: Sequence[str], *, variables: bool, denies: bool) -> Condition:
    """The condition; InvalidPolicyError where operator or key is unknown, or a text is not of the operator's type.

    `variables` tells whether `${...}` means anything in this policy, `denies` whether the statement's Effect is Deny.
    """
    lower = key.lower()
    if not is_condition_key(lower):
        raise InvalidPolicyError("unknown condition key")
    if operator == "Null":
        return Null(lower, Booleans.parse(texts).wanted)
    base, every, when_absent = _qualifiers(operator)
    if base not in _OPERATORS:
        raise InvalidPolicyError("unknown condition operator")
    parse, negated = _OPERATORS[base]
    return Comparison(
        operator,
        lower,
        tuple(texts),
        _test=parse(texts, variables),
        _negated=negated,
        _every=negated if every is None else every,
        _when_absent=negated if when_absent is None else when_absent,
        _when_unknown=denies,
    )


def _qualifiers(operator: str) -> tuple[str, bool | None, bool | None]:
    """The operator without prefix and suffix, and what these say of "every value" and "key absent", if anything."""
    every, when_absent = None, None
    if operator.startswith(ANY_VALUE):
        operator, every, when_absent = operator.removeprefix(ANY_VALUE), False, False
    elif operator.startswith(ALL_VALUES):
        operator, every, when_absent = operator.removeprefix(ALL_VALUES), True, True
    if operator.endswith(IF_EXISTS):
        operator, when_absent = operator.removesuffix(IF_EXISTS), True
    return operator, every, when_absent
