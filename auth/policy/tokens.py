"""The texts of a policy cut into what they are made of: literal runs, wildcards, variables."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum

from auth.policy.errors import InvalidPolicyError, quoted
from auth.policy.keys import is_variable

MAX_TEXT_LENGTH = 2048
ARN_PARTS = 6
_VARIABLE = re.compile(r"(\$\{[^}]*\})")
_BODY = re.compile(r"(?P<key>[^\s,]+)(?:, ?'(?P<default>[^']*)')?")
_WILDCARD = re.compile(r"([*?])")


class Wildcard(Enum):
    """What stands for other characters: any number of them, or exactly one."""

    ANY = "*"
    ONE = "?"


@dataclass(frozen=True, slots=True)
class Variable:
    """`${key}` or `${key, 'default'}`; the key is in lower case."""

    key: str
    default: str | None = None


Token = str | Wildcard | Variable
Tokens = tuple[Token, ...]


def tokenize(source: str, *, like: bool, variables: bool) -> Tokens:
    """Cut `source`, where `*` and `?` are wildcards only if `like`, and `${...}` is one only if `variables`.

    InvalidPolicyError where a variable is malformed or unknown, or the text longer than MAX_TEXT_LENGTH.
    """
    if len(source) > MAX_TEXT_LENGTH:
        raise InvalidPolicyError(f"{quoted(source)} is longer than {MAX_TEXT_LENGTH} characters")
    tokens: list[Token] = []
    for index, piece in enumerate(_VARIABLE.split(source) if variables else [source]):
        if index % 2:
            tokens.append(_variable(piece))
        elif variables and "${" in piece:
            raise InvalidPolicyError(f"{quoted(source)} has a policy variable that does not end")
        else:
            tokens += _literals(piece, like)
    return tuple(tokens)


def _literals(text: str, like: bool) -> Iterator[Token]:
    for piece in _WILDCARD.split(text) if like else [text]:
        if like and piece in ("*", "?"):
            yield Wildcard(piece)
        elif piece:
            yield piece


def _variable(text: str) -> Token:
    body = text[2:-1]
    if body in ("*", "?", "$"):
        return body
    match = _BODY.fullmatch(body)
    if match is None:
        raise InvalidPolicyError(f"{quoted(text)} is a malformed policy variable")
    key = match["key"].lower()
    if not is_variable(key):
        raise InvalidPolicyError(f"{quoted(text)} is an unknown policy variable")
    return Variable(key, match["default"])


def split_arn(source: str) -> list[str]:
    """The six parts of an ARN or ARN pattern, never cut inside `${...}`; InvalidPolicyError where they are not six."""
    parts = [""]
    for index, piece in enumerate(_VARIABLE.split(source)):
        head, *rest = [piece] if index % 2 else piece.split(":", ARN_PARTS - len(parts))
        parts[-1] += head
        parts += rest
    if len(parts) != ARN_PARTS or parts[0] != "arn":
        raise InvalidPolicyError(f"{quoted(source)} is not an ARN")
    return parts


def has_variables(tokens: Tokens) -> bool:
    """Whether the text differs from request to request."""
    return any(isinstance(token, Variable) for token in tokens)


def has_wildcards(tokens: Tokens) -> bool:
    """Whether the text stands for more than one."""
    return any(isinstance(token, Wildcard) for token in tokens)


def literal(tokens: Iterable[Token]) -> str:
    """The text of tokens that are all literal."""
    return "".join(token for token in tokens if isinstance(token, str))


def expression(tokens: Tokens) -> str:
    """A regular expression, to be matched in full and with DOTALL, for tokens without variables.

    Each run between two `*` is taken where it first comes, inside an atomic group. That is right for a glob (an earlier
    place never leaves less for the rest) and means that nothing is tried twice: the time is bounded by the length of
    the text times that of the pattern.
    """
    runs = [""]
    for token in tokens:
        if token is Wildcard.ANY:
            runs.append("")
        else:
            runs[-1] += "." if isinstance(token, Wildcard) else re.escape(str(token))
    first, *middle = runs
    last = f".*{middle.pop()}" if middle else ""
    return first + "".join(f"(?>.*?{run})" for run in middle if run) + last
