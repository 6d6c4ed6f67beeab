"""The rules of policies a second time, as plainly as they can be said, on the policies' JSON itself.

It shares no code with the engine: wildcards by dynamic programming, conditions by sets, addresses by whole numbers,
moments by counting. Slow, and meant to be read next to IAM's documentation.
"""

import calendar
import itertools
import re
import socket
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

Json = Any
Context = Mapping[str, tuple[str, ...]]
# A pattern is a list of characters, where a pair marks a character that has a meaning: ("*",) or ("?",).
Glyph = str | tuple[str]
UNKNOWN = "unknown"
IPV4 = "0" * 80 + "1" * 16


@dataclass(frozen=True)
class Question:
    """A request, with everything about the principal in plain sight."""

    arn: str
    account: str
    anonymous: bool
    action: str
    resource: str
    context: Context


def glob(pattern: list[Glyph], text: str) -> bool:
    """reached[j]: the pattern so far can use up exactly the first j characters."""
    reached = [True] + [False] * len(text)
    for glyph in pattern:
        if glyph == ("*",):
            reached = list(itertools.accumulate(reached, lambda before, here: before or here))
        else:
            fits = [glyph in (("?",), character) for character in text]
            reached = [False, *(before and fit for before, fit in zip(reached, fits, strict=False))]
    return reached[-1]


def glyphs(source: str, context: Context, version: str, wild: bool) -> list[Glyph] | None:
    """The pattern, its variables filled in; None where one has no value."""
    found: list[Glyph] = []
    while source:
        variable = re.match(r"\$\{([^}]*)\}", source) if version == "2012-10-17" else None
        if variable:
            value = fill(variable[1], context)
            if value is None:
                return None
            found += value
            source = source[variable.end() :]
        else:
            found.append((source[0],) if wild and source[0] in "*?" else source[0])
            source = source[1:]
    return found


def fill(body: str, context: Context) -> str | None:
    if body in ("*", "?", "$"):
        return body
    key, _, default = body.partition(", ")
    values = context.get(key.lower(), ())
    if len(values) == 1:
        return values[0]
    return default.strip("'") if default and not values else None


def text_is(text: str, source: str, context: Context, version: str, wild: bool) -> Any:
    pattern = glyphs(source, context, version, wild)
    return UNKNOWN if pattern is None else glob(pattern, text)


def arn_is(text: str, source: str, context: Context, version: str) -> Any:
    if source == "*":
        return True
    parts, patterns = text.split(":", 5), re.split(r":(?![^{]*\})", source, maxsplit=5)
    if len(parts) != len(patterns):
        return False
    results = [text_is(part, pattern, context, version, True) for part, pattern in zip(parts, patterns, strict=True)]
    return False if False in results else UNKNOWN if UNKNOWN in results else True


def one_of(results: Iterable[Any]) -> Any:
    results = list(results)
    return True if True in results else UNKNOWN if UNKNOWN in results else False


def number(text: str) -> Fraction | None:
    return Fraction(text) if re.fullmatch(r"[+-]?\d+(\.\d+)?", text) else None


def moment(text: str) -> Fraction | None:
    if re.fullmatch(r"\d+", text):
        return Fraction(text)
    match = re.fullmatch(r"(\d{4})-(\d\d)-(\d\d)(?:T(\d\d):(\d\d):(\d\d)(?:Z|([+-])(\d\d):(\d\d)))?", text)
    if not match:
        return None
    year, month, day, hour, minute, second = (int(group or 0) for group in match.groups()[:6])
    zone = (int(match[8] or 0) * 60 + int(match[9] or 0)) * (-60 if match[7] == "-" else 60)
    return Fraction(calendar.timegm((year, month, day, hour, minute, second)) - zone)


def bits(text: str) -> str | None:
    """The address as 128 binary digits; IPv4 as it is mapped into IPv6."""
    for family, prefix in ((socket.AF_INET, bytes(10) + b"\xff\xff"), (socket.AF_INET6, b"")):
        try:
            packed = prefix + socket.inet_pton(family, text)
        except OSError:
            continue
        return "".join(f"{byte:08b}" for byte in packed)
    return None


def address_is(text: str, source: str) -> bool:
    network, _, length = source.partition("/")
    ours, theirs = bits(text), bits(network)
    assert theirs is not None
    size = (int(length) + (0 if ":" in network else 96)) if length else 128
    if ours is None or (ours.startswith(IPV4) and size < len(IPV4)):
        return False
    return ours[:size] == theirs[:size]


def compare(read: Callable[[str], Any], order: str, text: str, source: str) -> bool:
    left, right = read(text), read(source)
    if left is None:
        return False
    sign = (left > right) - (left < right)
    return (
        sign
        in {
            "Equals": {0},
            "LessThan": {-1},
            "LessThanEquals": {-1, 0},
            "GreaterThan": {1},
            "GreaterThanEquals": {1, 0},
        }[order]
    )


def matches(operator: str, text: str, source: str, context: Context, version: str) -> Any:
    """The positive operators, one text against one value of the policy."""
    if operator == "StringEqualsIgnoreCase":
        lowered = {key: tuple(value.lower() for value in values) for key, values in context.items()}
        return text_is(text.lower(), source.lower(), lowered, version, False)
    if operator.startswith("String"):
        return text_is(text, source, context, version, operator == "StringLike")
    if operator.startswith("Arn"):
        return arn_is(text, source, context, version)
    if operator == "Bool":
        return text.lower() == source.lower()
    if operator == "IpAddress":
        return address_is(text, source)
    kind = "Numeric" if operator.startswith("Numeric") else "Date"
    return compare(number if kind == "Numeric" else moment, operator.removeprefix(kind), text, source)


def positive(operator: str) -> tuple[str, bool]:
    """The operator without its negation, and whether it had one."""
    plain = operator.replace("NotEquals", "Equals").replace("NotLike", "Like").replace("NotIp", "Ip")
    return plain, plain != operator


def condition_holds(operator: str, key: str, sources: list[str], context: Context, version: str, denies: bool) -> bool:
    present = set(context.get(key.lower(), ()))
    if operator == "Null":
        return ("true" if not present else "false") in sources
    prefix, _, rest = operator.rpartition(":")
    if not present and rest.endswith("IfExists"):
        return True
    plain, negated = positive(rest.removesuffix("IfExists"))
    if not present:
        return prefix == "ForAllValues" or (negated and prefix != "ForAnyValue")
    verdicts = {v: one_of(matches(plain, v, source, context, version) for source in sources) for v in present}
    if negated:
        passing = {v for v in present if verdicts[v] is False or (verdicts[v] is UNKNOWN and denies)}
    else:
        passing = {v for v in present if verdicts[v] is True}
    every = prefix == "ForAllValues" or (negated and prefix != "ForAnyValue")
    return passing == present if every else bool(passing)


def listed(value: Json) -> list[Any]:
    return value if isinstance(value, list) else [value]


def names(value: Json, question: Question, *, account_counts: bool) -> bool:
    """Whether a Principal element names who asks."""
    entries = [value] if value == "*" else listed(value.get("AWS", []))
    if "*" in entries:
        return True
    if question.anonymous:
        return False
    accounts = {question.account, f"arn:aws:iam::{question.account}:root"}
    return question.arn in entries or (account_counts and not accounts.isdisjoint(entries))


def about(statement: Json, question: Question, version: str) -> bool:
    """Whether a statement is about this request, its principals apart."""
    denies = statement["Effect"] == "Deny"
    lower = question.action.lower()
    actions = listed(statement.get("Action", statement.get("NotAction")))
    named = any(text_is(lower, action.lower(), {}, "", True) is True for action in actions)
    if named is not ("Action" in statement):
        return False
    if not {"Resource", "NotResource"}.isdisjoint(statement):
        resources = listed(statement.get("Resource", statement.get("NotResource")))
        verdict = one_of(text_is(question.resource, r, question.context, version, True) for r in resources)
        if "Resource" in statement and verdict is not True:
            return False
        if "NotResource" in statement and (verdict is True or (verdict is UNKNOWN and not denies)):
            return False
    return all(
        condition_holds(operator, key, listed(sources), question.context, version, denies)
        for operator, keys in statement.get("Condition", {}).items()
        for key, sources in keys.items()
    )


def decide(question: Question, identity: list[Json], resource: Json | None) -> str:
    """The outcome in the engine's words."""
    if question.anonymous:
        identity = []
    own = [(s, p["Version"]) for p in identity for s in listed(p["Statement"])]
    theirs = [(s, resource["Version"]) for s in listed(resource["Statement"])] if resource else []

    def named(statement: Json, account_counts: bool) -> bool:
        if "NotPrincipal" in statement:
            return not names(statement["NotPrincipal"], question, account_counts=True)
        return names(statement["Principal"], question, account_counts=account_counts)

    owner = question.resource.split(":")[4] if question.resource != "*" else question.account
    within = question.anonymous or owner == question.account
    applying = [s for s, version in own if about(s, question, version)]
    attached = [s for s, version in theirs if about(s, question, version)]
    if any(s["Effect"] == "Deny" for s in applying):
        return "explicit deny"
    if any(s["Effect"] == "Deny" and named(s, True) for s in attached):
        return "explicit deny"
    by_identity = any(s["Effect"] == "Allow" for s in applying)
    by_resource = any(s["Effect"] == "Allow" and named(s, not within) for s in attached)
    allowed = (by_identity or by_resource) if within else (by_identity and by_resource)
    return "allowed" if allowed else "implicit deny"
