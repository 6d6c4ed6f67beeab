"""Whom we trust to vouch for jobs: an issuer of OpenID Connect tokens, and rules on what its tokens say."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self, TypeGuard

from auth.fetching import is_fetchable
from auth.policy.errors import InvalidPolicyError
from auth.policy.matching import Reading, Texts
from estiva.errors import RegistryError

LONGEST_CLAIM = 256
MOST_CLAIMS = 64
LONGEST_CLAIMS = 6 * 1024
"""Characters of all claims together: they travel in registry tokens, which have to fit into a header."""
MOST_RULES = 100
_MEMBERS = frozenset({"issuer", "audience", "jwks_uri", "rules"})


class TrustInvalid(RegistryError):
    """The document does not say whom to trust for what; the text names the member."""

    code, status, message = "TRUST_INVALID", 400, "invalid trusted issuer"


@dataclass(frozen=True, slots=True)
class Rule:
    """What a token has to say, claim by claim (texts that may hold `*` and `?`), and the policies it then brings."""

    id: str
    claims: Mapping[str, Texts]
    policies: tuple[str, ...]

    def covers(self, claims: Mapping[str, str]) -> bool:
        """Whether a token that says this satisfies the rule: every claim of it is there and matches."""
        reading = Reading({})
        return all(name in claims and texts.matches(claims[name], reading) for name, texts in self.claims.items())


@dataclass(frozen=True, slots=True)
class Trust:
    """One trusted issuer."""

    name: str
    issuer: str
    audience: str
    jwks_uri: str | None
    rules: tuple[Rule, ...]

    @classmethod
    def parse(cls, name: str, text: str) -> Self:
        """The trust that this JSON document spells. TrustInvalid."""
        value = _json_object(text)
        issuer, audience, jwks_uri = value.get("issuer"), value.get("audience"), value.get("jwks_uri")
        # An issuer's name is a URL without a query (OpenID Connect Discovery, 3); where its keys are may have one.
        if not _is_url(issuer) or "?" in issuer:
            raise TrustInvalid("issuer is not a URL")
        if not isinstance(audience, str) or not audience:
            raise TrustInvalid("audience is missing")
        if jwks_uri is not None and not _is_url(jwks_uri):
            raise TrustInvalid("jwks_uri is not a URL")
        # Tokens that were issued under a rule end with it: the id of a rule is made of all that it stands on.
        ground = (name, issuer, audience, jwks_uri)
        return cls(name, issuer, audience, jwks_uri, _rules(ground, value.get("rules")))

    @property
    def asked_at(self) -> str:
        """Where the issuer's keys, or the document that says where they are, is to be had."""
        return self.jwks_uri or self.issuer

    def rule_for(self, claims: Mapping[str, str]) -> Rule | None:
        """The first rule that such a token satisfies."""
        return next((rule for rule in self.rules if rule.covers(claims)), None)


def text_claims(claims: Mapping[str, Any]) -> dict[str, str]:
    """The claims that rules and policies can speak of: texts of up to 256 characters, whole numbers, truth values.

    ValueError where these are too many, or differ in case alone: to leave some out would let a token slip past
    policies that deny by them.
    """
    texts = {
        name: text
        for name, value in claims.items()
        if len(name) <= LONGEST_CLAIM and (text := _text(value)) is not None and len(text) <= LONGEST_CLAIM
    }
    if len(texts) > MOST_CLAIMS or len(json.dumps(texts)) > LONGEST_CLAIMS:
        raise ValueError("its claims are too many, or too long")
    if len({name.lower() for name in texts}) < len(texts):
        raise ValueError("two of its claims differ in case alone")
    json.dumps(texts, ensure_ascii=False).encode()  # a ValueError where one is no Unicode
    return texts


def _text(value: Any) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int | str) else None


def _json_object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text, object_pairs_hook=_object_without_duplicates)
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()  # neither NaN nor half a character
    except (ValueError, RecursionError):
        raise TrustInvalid("the document is not JSON") from None
    if not isinstance(value, dict):
        raise TrustInvalid("not a JSON object")
    unknown = sorted(set(value) - _MEMBERS)
    if unknown:
        raise TrustInvalid(f"unknown member {unknown[0][:64]}")
    return value


def _object_without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        raise TrustInvalid("a member is there twice")
    return value


def _rules(ground: Sequence[str | None], value: Any) -> tuple[Rule, ...]:
    if not isinstance(value, list) or not 0 < len(value) <= MOST_RULES:
        raise TrustInvalid(f"rules is not a list of 1 to {MOST_RULES}")
    return tuple(_rule(ground, rule, f"rules[{index}]") for index, rule in enumerate(value))


def _rule(ground: Sequence[str | None], value: Any, where: str) -> Rule:
    if not isinstance(value, dict) or set(value) != {"claims", "policies"}:
        raise TrustInvalid(f"{where} has other members than claims and policies")
    policies = value["policies"]
    if not isinstance(policies, list) or not policies or not all(isinstance(policy, str) for policy in policies):
        raise TrustInvalid(f"{where}.policies is not a list of names")
    claims = value["claims"]
    if not isinstance(claims, dict) or not claims:
        # A rule without claims would let every job of a public build service in.
        raise TrustInvalid(f"{where}.claims is empty")
    digest = hashlib.sha256(json.dumps([*ground, value], sort_keys=True).encode()).hexdigest()[:16]
    texts = {claim: _texts(wanted, f"{where}.claims.{claim[:64]}") for claim, wanted in claims.items()}
    return Rule(f"{ground[0]}/{digest}", texts, tuple(policies))


def _texts(wanted: Any, where: str) -> Texts:
    sources: Sequence[Any] = wanted if isinstance(wanted, list) else [wanted]
    if not sources or not all(isinstance(source, str) and source for source in sources):
        raise TrustInvalid(f"{where} is neither a text nor a list of texts")
    try:
        return Texts.parse(sources)
    except InvalidPolicyError as error:
        raise TrustInvalid(f"{where}: {error}") from None


def _is_url(value: Any) -> TypeGuard[str]:
    return isinstance(value, str) and is_fetchable(value, private=True)
