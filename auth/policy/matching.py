"""Comparing a request's texts with a policy's: exactly, by wildcards, or as ARNs."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, Self

from auth.policy.tokens import (
    ARN_PARTS,
    Tokens,
    Variable,
    Wildcard,
    expression,
    has_variables,
    has_wildcards,
    literal,
    split_arn,
    tokenize,
)

Context = Mapping[str, tuple[str, ...]]


@dataclass(slots=True)
class Reading:
    """A request's context while one decision reads it; `keys` are those that were looked at."""

    context: Context
    keys: set[str] = field(default_factory=set)

    def values(self, key: str) -> tuple[str, ...]:
        """The values of a key given in lower case; none where the request does not have it."""
        self.keys.add(key)
        return self.context.get(key, ())

    def value(self, variable: Variable) -> str | None:
        """What the variable stands for: the key's only value, or the default where it has none, or nothing."""
        values = self.values(variable.key)
        if len(values) == 1:
            return values[0]
        return None if values else variable.default

    def resolve(self, tokens: Tokens) -> Tokens | None:
        """The tokens with each variable replaced by its value, as literal text; None where one stands for nothing."""
        resolved = tuple(self.value(token) if isinstance(token, Variable) else token for token in tokens)
        return None if None in resolved else tuple(token for token in resolved if token is not None)


class Test(Protocol):
    """What a policy compares a request's text with."""

    def matches(self, text: str, reading: Reading) -> bool | None:
        """Whether `text` matches; None where that hangs on a variable which stands for nothing in this request."""
        ...


@dataclass(frozen=True, slots=True)
class Texts:
    """Some texts; another matches where it is one of them (or like one of them). Compiled when the policy is read."""

    sources: tuple[str, ...]
    _exact: frozenset[str] = field(compare=False, repr=False)
    _like: Callable[[str], object] | None = field(compare=False, repr=False)
    _open: tuple[Tokens, ...] = field(compare=False, repr=False)
    _everything: bool = field(compare=False, repr=False)
    _ignore_case: bool = field(compare=False, repr=False)

    @classmethod
    def parse(
        cls, sources: Sequence[str], *, like: bool = True, ignore_case: bool = False, variables: bool = False
    ) -> Self:
        """Compile the texts; InvalidPolicyError as `tokenize` raises it."""
        if ignore_case:
            sources = [source.lower() for source in sources]
        every = [tokenize(source, like=like, variables=variables) for source in sources]
        closed = [tokens for tokens in every if not has_variables(tokens)]
        patterns = [tokens for tokens in closed if has_wildcards(tokens)]
        return cls(
            tuple(sources),
            _exact=frozenset(literal(tokens) for tokens in closed if not has_wildcards(tokens)),
            _like=_compile(patterns) if patterns else None,
            _open=tuple(tokens for tokens in every if has_variables(tokens)),
            _everything=(Wildcard.ANY,) in closed,
            _ignore_case=ignore_case,
        )

    def matches(self, text: str, reading: Reading) -> bool | None:
        """See `Test`."""
        if self._everything:
            return True
        if self._ignore_case:
            text = text.lower()
        if text in self._exact or (self._like is not None and self._like(text) is not None):
            return True
        return self._matches_open(text, reading) if self._open else False

    def _matches_open(self, text: str, reading: Reading) -> bool | None:
        outcome: bool | None = False
        for tokens in self._open:
            resolved = reading.resolve(tokens)
            if resolved is None:
                outcome = None
            elif self._matches_resolved(text, resolved):
                return True
        return outcome

    def _matches_resolved(self, text: str, tokens: Tokens) -> bool:
        if self._ignore_case:
            tokens = tuple(token.lower() if isinstance(token, str) else token for token in tokens)
        return _compile([tokens])(text) is not None if has_wildcards(tokens) else text == literal(tokens)


def _compile(patterns: Iterable[Tokens]) -> Callable[[str], object]:
    return re.compile("|".join(map(expression, patterns)), re.DOTALL).fullmatch


@dataclass(frozen=True, slots=True)
class Arns:
    """ARN patterns as conditions compare them: each of the six parts by itself, so that no `*` spans a colon there."""

    sources: tuple[str, ...]
    _patterns: tuple[tuple[Texts, ...], ...] = field(compare=False, repr=False)

    @classmethod
    def parse(cls, sources: Sequence[str], *, variables: bool = False) -> Self:
        """Compile the patterns; InvalidPolicyError where one is neither `*` nor an ARN."""
        return cls(tuple(sources), tuple(cls._compile(source, variables) for source in sources))

    @staticmethod
    def _compile(source: str, variables: bool) -> tuple[Texts, ...]:
        parts = [] if source == "*" else split_arn(source)
        return tuple(Texts.parse([part], variables=variables) for part in parts)

    def matches(self, text: str, reading: Reading) -> bool | None:
        """See `Test`."""
        parts = text.split(":", ARN_PARTS - 1)
        outcome: bool | None = False
        for pattern in self._patterns:
            result = _matches_parts(pattern, parts, reading)
            if result:
                return True
            outcome = None if result is None else outcome
        return outcome


def _matches_parts(pattern: tuple[Texts, ...], parts: list[str], reading: Reading) -> bool | None:
    if pattern and len(parts) != ARN_PARTS:
        return False
    outcome: bool | None = True
    for test, part in zip(pattern, parts, strict=False):
        result = test.matches(part, reading)
        if result is False:
            return False
        outcome = None if result is None else outcome
    return outcome
