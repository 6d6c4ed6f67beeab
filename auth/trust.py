"""Whom we trust to vouch for jobs: an issuer of OpenID Connect tokens, and rules on what its tokens say."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self, TypeGuard
from urllib.parse import urlsplit

from auth.policy.errors import InvalidPolicyError
from auth.policy.matching import Reading, Texts
from estiva.errors import RegistryError

LONGEST_CLAIM = 256
MOST_CLAIMS = 40
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
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            raise TrustInvalid("the document is not JSON") from None
        if not isinstance(value, dict) or (unknown := sorted(set(value) - _MEMBERS)):
            raise TrustInvalid(f"unknown member {unknown[0]}" if isinstance(value, dict) else "not a JSON object")
        issuer, audience, jwks_uri = value.get("issuer"), value.get("audience"), value.get("jwks_uri")
        if not _is_url(issuer):
            raise TrustInvalid("issuer is not a URL")
        if not isinstance(audience, str) or not audience:
            raise TrustInvalid("audience is missing")
        if jwks_uri is not None and not _is_url(jwks_uri):
            raise TrustInvalid("jwks_uri is not a URL")
        return cls(name, issuer, audience, jwks_uri, _rules(name, value.get("rules")))

    def rule_for(self, claims: Mapping[str, str]) -> Rule | None:
        """The first rule that such a token satisfies."""
        return next((rule for rule in self.rules if rule.covers(claims)), None)


def text_claims(claims: Mapping[str, Any]) -> dict[str, str]:
    """The claims that rules and policies can speak of: texts of up to 256 characters, numbers, booleans; 40 at most."""
    texts = {}
    for name, value in claims.items():
        text = {True: "true", False: "false"}.get(value) if isinstance(value, bool) else value
        if isinstance(text, int | str) and len(str(text)) <= LONGEST_CLAIM and len(name) <= LONGEST_CLAIM:
            texts[name] = str(text)
    return dict(sorted(texts.items())[:MOST_CLAIMS])


def _rules(name: str, value: Any) -> tuple[Rule, ...]:
    if not isinstance(value, list) or not 0 < len(value) <= MOST_RULES:
        raise TrustInvalid(f"rules is not a list of 1 to {MOST_RULES}")
    return tuple(_rule(name, rule, f"rules[{index}]") for index, rule in enumerate(value))


def _rule(name: str, value: Any, where: str) -> Rule:
    if not isinstance(value, dict) or set(value) != {"claims", "policies"}:
        raise TrustInvalid(f"{where} has other members than claims and policies")
    policies = value["policies"]
    if not isinstance(policies, list) or not policies or not all(isinstance(policy, str) for policy in policies):
        raise TrustInvalid(f"{where}.policies is not a list of names")
    claims = value["claims"]
    if not isinstance(claims, dict) or not claims:
        # A rule without claims would let every job of a public build service in.
        raise TrustInvalid(f"{where}.claims is empty")
    # Tokens that were issued under a rule end with it: the name of a rule is made of what it says.
    digest = hashlib.sha256(json.dumps([name, value], sort_keys=True).encode()).hexdigest()[:16]
    texts = {claim: _texts(wanted, f"{where}.claims.{claim}") for claim, wanted in claims.items()}
    return Rule(f"{name}/{digest}", texts, tuple(policies))


def _texts(wanted: Any, where: str) -> Texts:
    sources: Sequence[Any] = wanted if isinstance(wanted, list) else [wanted]
    if not sources or not all(isinstance(source, str) and source for source in sources):
        raise TrustInvalid(f"{where} is neither a text nor a list of texts")
    try:
        return Texts.parse(sources)
    except InvalidPolicyError as error:
        raise TrustInvalid(f"{where}: {error}") from None


def _is_url(value: Any) -> TypeGuard[str]:
    if not isinstance(value, str):
        return False
    parts = urlsplit(value)
    return parts.scheme in ("http", "https") and bool(parts.hostname) and not (parts.query or parts.fragment)
