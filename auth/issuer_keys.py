"""The public keys of trusted issuers: fetched when they are needed, and followed when they change."""

import asyncio
import logging
import math
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from auth.fetching import FetchError, fetch_json
from auth.threads import Threads
from auth.trust import Trust
from estiva.errors import TooManyRequests

logger = logging.getLogger("estiva.auth")

# One algorithm for each type of key, so that no token chooses how its signature is looked at.
ALGORITHMS: Mapping[object, str] = {"RSA": "RS256", "EC": "ES256", "OKP": "EdDSA"}
GOOD_FOR = 3600.0
"""Seconds that keys count when their issuer can't be reached to ask for them anew."""
FRESH_FOR = 600.0
"""Seconds after which keys that are used are asked for anew, so that one that was withdrawn does not stay."""
ASKED_AGAIN_AFTER = 10.0
"""Seconds between two looks at an issuer, whatever tokens are shown meanwhile."""
PATIENCE = 6.0
"""Seconds that a request waits for a look."""
MOST_KEYS = 100
_RSA_SIZES = range(2048, 8193)

PublicKey = RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey
KeySet = Mapping[tuple[str, str], PublicKey]
Source = tuple[str, str | None]


@dataclass(slots=True)
class _Kept:
    """What is known of one issuer's keys, by id and algorithm."""

    keys: KeySet = field(default_factory=dict)
    fetched: float = -math.inf
    asked: float = -math.inf
    look: asyncio.Task[None] | None = None

    def key(self, key_id: str, algorithm: str) -> PublicKey | None:
        return self.keys.get((key_id, algorithm)) if time.monotonic() - self.fetched < GOOD_FOR else None


class IssuerKeys:
    """Keeps the keys of issuers. One per process.

    `threads` should be for this alone: an issuer that does not answer holds one for seconds.
    """

    def __init__(self, threads: Threads, *, private: bool) -> None:
        self._threads = threads
        self._private = private
        self._kept: dict[Source, _Kept] = {}

    async def find(self, trust: Trust, key_id: str, algorithm: str) -> PublicKey | None:
        """The issuer's key of that id and algorithm; None where it has none, or can't be asked."""
        kept = self._kept.setdefault(_source(trust), _Kept())
        key = kept.key(key_id, algorithm)
        if key is not None and time.monotonic() - kept.fetched < FRESH_FOR:
            return key
        look = self._look(kept, trust)
        if key is None and look is not None:
            await asyncio.wait([look], timeout=PATIENCE)
            key = kept.key(key_id, algorithm)
        return key

    def forget_others(self, trusts: Iterable[Trust]) -> None:
        """Forget the keys of issuers that are not among these."""
        sources = {_source(trust) for trust in trusts}
        self._kept = {source: kept for source, kept in self._kept.items() if source in sources}

    def _look(self, kept: _Kept, trust: Trust) -> asyncio.Task[None] | None:
        """The look that is under way, or a new one; None where the last was a moment ago."""
        if kept.look is not None and not kept.look.done():
            return kept.look
        now = time.monotonic()
        if now - kept.asked < ASKED_AGAIN_AFTER:
            return None
        kept.asked = now
        kept.look = asyncio.create_task(self._fetch(kept, trust))
        return kept.look

    async def _fetch(self, kept: _Kept, trust: Trust) -> None:
        try:
            kept.keys = await self._threads.run(lambda: fetch_keys(trust, private=self._private))
        except (FetchError, TooManyRequests) as error:
            logger.warning("keys of issuer %s not fetched: %s", trust.name, error)
        else:
            kept.fetched = time.monotonic()


def fetch_keys(trust: Trust, *, private: bool) -> KeySet:
    """The keys that the issuer has now. Blocking: call it in a thread. FetchError."""
    uri = trust.jwks_uri
    if uri is None:
        discovery = fetch_json(trust.issuer.rstrip("/") + "/.well-known/openid-configuration", private=private)
        if not isinstance(discovery, dict) or discovery.get("issuer") != trust.issuer:
            raise FetchError("the discovery document is another issuer's")
        uri = discovery.get("jwks_uri")
        if not isinstance(uri, str):
            raise FetchError("the discovery document names no jwks_uri")
    return public_keys(fetch_json(uri, private=private))


def public_keys(document: Any) -> KeySet:
    """Those keys of a JWK Set (RFC 7517) that signatures can be verified with; others are passed over. FetchError."""
    entries = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(entries, list):
        raise FetchError("not a set of keys")
    found: dict[tuple[str, str], PublicKey] = {}
    for entry in entries[:MOST_KEYS]:
        algorithm, key = _public_key(entry) if isinstance(entry, dict) else ("", None)
        if key is not None and isinstance(entry.get("kid"), str):
            found.setdefault((entry["kid"], algorithm), key)
    return found


def _public_key(entry: dict[str, Any]) -> tuple[str, PublicKey | None]:
    kind = entry.get("kty")
    # A symmetric key in a public document is no secret, so nothing that it signs is anybody's word.
    algorithm = ALGORITHMS.get(kind, "") if isinstance(kind, str) else ""
    if not algorithm or entry.get("use", "sig") != "sig" or entry.get("alg", algorithm) != algorithm:
        return algorithm, None
    try:
        key = jwt.PyJWK(entry, algorithm).key
    except (jwt.PyJWTError, UnsupportedAlgorithm, TypeError, ValueError, AttributeError):
        return algorithm, None
    return algorithm, key if _is_sound(key) else None


def _is_sound(key: object) -> bool:
    """Whether the key is public (whoever publishes a private one lets everybody sign), and of a size that holds."""
    if isinstance(key, RSAPublicKey):
        return key.key_size in _RSA_SIZES
    if isinstance(key, EllipticCurvePublicKey):
        return isinstance(key.curve, SECP256R1)
    return isinstance(key, Ed25519PublicKey)


def _source(trust: Trust) -> Source:
    return trust.issuer, trust.jwks_uri
