"""Registry tokens: JSON web tokens that say who asks and what for (distribution's token specification, jwt.md).

Signed with ES256 and nothing else. A token's header may name one of our keys and nothing more: keys, URLs and
algorithms that a token brings along are refused before any library looks at it.
"""

import base64
import binascii
import json
import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from auth.principals import ANONYMOUS, Kind, Principal
from auth.scopes import Scope

ALGORITHM = "ES256"
LONGEST_TOKEN = 16 * 1024
LEEWAY = 30
LONGEST_LIFE = 86_400
"""Seconds: whoever writes down a longer life than any token has, counts in other units or means no good."""
_HEADER = frozenset({"typ", "alg", "kid"})
_REQUIRED = ("iss", "sub", "aud", "exp", "nbf", "iat", "jti")


class TokenInvalidError(Exception):
    """The token is not one of ours, or no longer good. The text says why, for the log."""


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A key that signs tokens."""

    id: str
    private: ec.EllipticCurvePrivateKey = field(repr=False)
    created_at: float

    @classmethod
    def generate(cls) -> "SigningKey":
        """A new key on the curve P-256."""
        return cls(uuid.uuid4().hex, ec.generate_private_key(ec.SECP256R1()), time.time())

    def pem(self) -> bytes:
        """The private key, to be sealed."""
        return self.private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )

    @classmethod
    def from_pem(cls, identifier: str, pem: bytes, created_at: float) -> "SigningKey":
        """The key that `pem` gave."""
        private = serialization.load_pem_private_key(pem, None)
        if not isinstance(private, ec.EllipticCurvePrivateKey):
            raise TypeError("not an elliptic curve key")
        return cls(identifier, private, created_at)

    def jwk(self) -> dict[str, str]:
        """The public half as a JSON web key (RFC 7517)."""
        numbers = self.private.public_key().public_numbers()
        x, y = (base64.urlsafe_b64encode(n.to_bytes(32, "big")).rstrip(b"=").decode() for n in (numbers.x, numbers.y))
        return {"kty": "EC", "crv": "P-256", "x": x, "y": y, "kid": self.id, "use": "sig", "alg": ALGORITHM}


@dataclass(frozen=True, slots=True)
class Token:
    """What a valid token says."""

    principal: Principal
    access: tuple[Scope, ...]
    expires: float

    def grants(self, kind: str, name: str, action: str) -> bool:
        """Whether the token was issued for this."""
        return any(
            scope.type == kind and scope.name == name and (action in scope.actions or "*" in scope.actions)
            for scope in self.access
        )


class Tokens:
    """Issues and verifies tokens with a set of keys: the youngest signs, all of them verify."""

    def __init__(self, issuer: str, audience: str, life: float) -> None:
        self.audience = audience
        self.life = life
        self._issuer = issuer
        self._keys: dict[str, SigningKey] = {}
        self._signing: SigningKey | None = None

    def use(self, keys: Sequence[SigningKey]) -> None:
        """Sign with the first of these keys from now on, and accept what any of them signed."""
        self._keys = {key.id: key for key in keys}
        self._signing = keys[0]

    def jwks(self) -> dict[str, list[dict[str, str]]]:
        """The public keys (RFC 7517)."""
        return {"keys": [key.jwk() for key in self._keys.values()]}

    def issue(self, principal: Principal, access: Iterable[Scope], life: float | None = None) -> tuple[str, float]:
        """A token that grants `access` to the principal, and when it was issued (seconds since the epoch).

        It is good for `life` seconds, by default as long as every token of this service.
        """
        if self._signing is None:
            raise RuntimeError("no signing key")
        now = int(time.time())
        claims: dict[str, Any] = {
            "iss": self._issuer,
            "sub": principal.name,
            "aud": self.audience,
            "exp": now + int(self.life if life is None else life),
            "nbf": now,
            "iat": now,
            "jti": uuid.uuid4().hex,
            "access": [{"type": scope.type, "name": scope.name, "actions": sorted(scope.actions)} for scope in access],
            "kind": principal.kind.value,
        }
        if principal.id is not None:
            claims["pid"] = principal.id
        if principal.account:
            claims["account"] = principal.account
        if principal.trust is not None:
            claims["trust"], claims["claims"] = principal.trust, dict(principal.claims)
        return jwt.encode(claims, self._signing.private, ALGORITHM, headers={"kid": self._signing.id}), now

    def verify(self, text: str) -> Token:
        """What the token says. TokenInvalidError for anything that we did not sign or that is no longer good."""
        key = self._keys.get(_key_id(text))
        if key is None:
            raise TokenInvalidError("unknown key")
        try:
            claims = jwt.decode(
                text,
                key.private.public_key(),
                algorithms=[ALGORITHM],
                audience=self.audience,
                issuer=self._issuer,
                leeway=LEEWAY,
                options={"require": list(_REQUIRED), "strict_aud": True},
            )
            _check_times(claims)
            return _token(claims)
        except (jwt.InvalidTokenError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise TokenInvalidError(str(error)) from None


def _key_id(text: str) -> str:
    """The key that the header names, once the header is known to hold nothing else."""
    if len(text) > LONGEST_TOKEN:
        raise TokenInvalidError("too long")
    encoded = text.partition(".")[0]
    try:
        header = json.loads(base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)))
    except (binascii.Error, ValueError, RecursionError):
        raise TokenInvalidError("malformed header") from None
    if not isinstance(header, dict) or set(header) != _HEADER:
        raise TokenInvalidError("unexpected header")
    if header["alg"] != ALGORITHM or header["typ"] != "JWT" or not isinstance(header["kid"], str):
        raise TokenInvalidError("unexpected header")
    return header["kid"]


def _check_times(claims: Mapping[str, Any]) -> None:
    """ValueError unless the times are whole seconds (`"1"`, 1.5 and true are none), and not absurdly far apart."""
    if not all(type(claims[name]) is int for name in ("exp", "nbf", "iat")):
        raise ValueError("a time that is no whole number of seconds")
    if claims["exp"] - claims["iat"] > LONGEST_LIFE:
        raise ValueError("too long a life")


def _token(claims: Mapping[str, Any]) -> Token:
    kind = Kind(claims["kind"])
    principal = ANONYMOUS
    if kind is not Kind.ANONYMOUS:
        principal = Principal(
            kind,
            claims["sub"],
            claims.get("pid"),
            claims.get("trust"),
            claims.get("claims", {}),
            claims.get("account", ""),
        )
    access = tuple(
        Scope(entry["type"], entry["name"], frozenset(entry["actions"])) for entry in claims.get("access", [])
    )
    return Token(principal, access, float(claims["exp"]))
