"""Trusted issuers at work: from a job's signed token to the job as a principal with a rule's policies."""

import json
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jwt

from auth.fetching import FetchError, fetch_json
from auth.identities import IdentityUnknown, check_names
from auth.principals import Kind, Principal
from auth.threads import Threads
from auth.trust import Trust, text_claims
from estiva.errors import RegistryError
from storage.metadata import access, audit, issuers
from storage.metadata.audit import Actor
from storage.metadata.database import Database, Work

logger = logging.getLogger("estiva.auth")

ALGORITHMS = ("RS256", "ES256", "EdDSA")
LONGEST_TOKEN = 16 * 1024
LEEWAY = 30
KEYS_FOR = 3600.0
ASKED_AGAIN_AFTER = 10.0
"""Seconds between two looks for a key that an issuer did not have."""
_REQUIRED = ["iss", "sub", "aud", "exp", "iat"]


@dataclass(slots=True)
class _Keys:
    by_id: Mapping[str, Any]
    fetched: float


class TrustedIssuers:
    """Stores trusts, and recognises the tokens of those that are trusted. One per process."""

    def __init__(self, database: Database, threads: Threads, *, private: bool) -> None:
        self._database = database
        self._threads = threads
        self._private = private
        self._epoch = 0
        self._trusts: list[Trust] = []
        self._keys: dict[str, _Keys] = {}

    async def put(self, actor: Actor, name: str, document: str) -> None:
        """Trust an issuer, in place of what that name stood for. TrustInvalid, IdentityInvalid."""
        check_names([name])
        trust = Trust.parse(name, document)

        def work() -> Work[None]:
            yield from issuers.put(name, document)
            yield from audit.record(actor, "PutTrustedIssuer", f"issuer/{name}", issuer=trust.issuer)

        await self._database.write(work)

    async def documents(self) -> dict[str, Any]:
        """Every trust's document, by name."""
        stored = await self._database.read(issuers.page())
        return {name: json.loads(document) for name, document in stored}

    async def delete(self, actor: Actor, name: str) -> None:
        """Trust the issuer no more; what was issued by its word ends at once. IdentityUnknown."""

        def work() -> Work[None]:
            if not (yield from issuers.delete(name)):
                raise IdentityUnknown(detail={"issuer": name[:64]})
            yield from audit.record(actor, "DeleteTrustedIssuer", f"issuer/{name}")

        await self._database.write(work)

    async def policies(self) -> dict[str, tuple[str, ...]]:
        """The policies of every rule, by its id, as of now."""
        await self._load()
        return {rule.id: rule.policies for trust in self._trusts for rule in trust.rules}

    async def principal(self, text: str) -> Principal | None:
        """The job that the token speaks for, with the first rule it satisfies; None where there is no such."""
        await self._load()
        if len(text) > LONGEST_TOKEN:
            return None
        try:
            header = jwt.get_unverified_header(text)
            claimed = jwt.decode(text, options={"verify_signature": False}).get("iss")
        except (jwt.InvalidTokenError, ValueError):
            return None
        for trust in self._trusts:
            if trust.issuer == claimed:
                job = await self._job(trust, text, header)
                if job is not None:
                    return job
        return None

    async def _job(self, trust: Trust, text: str, header: Mapping[str, Any]) -> Principal | None:
        key = await self._key(trust, header.get("kid"))
        if key is None:
            return None
        try:
            claims = jwt.decode(
                text,
                key,
                algorithms=list(ALGORITHMS),
                audience=trust.audience,
                issuer=trust.issuer,
                leeway=LEEWAY,
                options={"require": _REQUIRED},
            )
        except (jwt.InvalidTokenError, TypeError, ValueError) as error:
            logger.info("token of issuer %s refused: %s", trust.name, error)
            return None
        said = text_claims(claims)
        rule = trust.rule_for(said)
        if rule is None or "sub" not in said:
            return None
        return Principal(Kind.JOB, f"{trust.name}/{said['sub']}"[:256], None, rule.id, said)

    async def _load(self) -> None:
        epoch = await self._database.read(access.epoch())
        if epoch != self._epoch:
            stored = await self._database.read(issuers.page())
            self._trusts = [trust for trust in (_parsed(*entry) for entry in stored) if trust is not None]
            self._epoch = epoch

    async def _key(self, trust: Trust, key_id: object) -> Any:
        """The issuer's key of that id. Keys are fetched when they are first needed, and when one is missing."""
        if not isinstance(key_id, str):
            return None
        known = self._keys.get(trust.issuer)
        now = time.monotonic()
        stale = known is None or now - known.fetched > KEYS_FOR
        missing = known is not None and key_id not in known.by_id and now - known.fetched > ASKED_AGAIN_AFTER
        if stale or missing:
            try:
                known = _Keys(await self._threads.run(self._fetch(trust)), now)
            except FetchError as error:
                logger.warning("keys of issuer %s not fetched: %s", trust.name, error)
                known = _Keys(known.by_id if known else {}, now)
            self._keys[trust.issuer] = known
        return known.by_id.get(key_id) if known else None

    def _fetch(self, trust: Trust) -> Callable[[], Mapping[str, Any]]:
        def fetch() -> Mapping[str, Any]:
            uri = trust.jwks_uri
            if uri is None:
                discovery = fetch_json(
                    trust.issuer.rstrip("/") + "/.well-known/openid-configuration", private=self._private
                )
                uri = discovery.get("jwks_uri") if isinstance(discovery, dict) else None
            if not isinstance(uri, str):
                raise FetchError("the issuer names no keys")
            return _public_keys(fetch_json(uri, private=self._private))

        return fetch


def _public_keys(document: Any) -> Mapping[str, Any]:
    try:
        found = jwt.PyJWKSet.from_dict(document)
    except (jwt.PyJWTError, AttributeError, TypeError, ValueError, KeyError):
        raise FetchError("not a set of keys") from None
    return {
        key.key_id: key.key
        for key in found.keys
        # A symmetric key in a public document is no secret, so nothing that it signs is anybody's word.
        if key.key_id and key.key_type in ("RSA", "EC", "OKP")
    }


def _parsed(name: str, document: str) -> Trust | None:
    try:
        return Trust.parse(name, document)
    except RegistryError as error:
        logger.error("trusted issuer %s not used: %s", name, error)
        return None
