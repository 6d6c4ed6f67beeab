"""Trusted issuers at work: from a job's signed token to the job as a principal with a rule's policies."""

import json
import logging
from collections.abc import Mapping
from typing import Any

import jwt

from auth.fetching import is_fetchable
from auth.identities import IdentityUnknown, check_names
from auth.issuer_keys import ALGORITHMS, IssuerKeys
from auth.policy.managed import MANAGED_POLICIES
from auth.principals import Kind, Principal
from auth.threads import Threads
from auth.trust import Trust, TrustInvalid, text_claims
from estiva.errors import RegistryError
from storage.metadata import access, audit, issuers, policies
from storage.metadata.audit import Actor
from storage.metadata.database import Database, Work

logger = logging.getLogger("estiva.auth")

LONGEST_TOKEN = 16 * 1024
LEEWAY = 30
_REQUIRED = ["iss", "sub", "aud", "exp", "iat"]


class TrustedIssuers:
    """Stores trusts, and recognises the tokens of those that are trusted. One per process."""

    def __init__(self, database: Database, threads: Threads, *, private: bool) -> None:
        self._database = database
        self._keys = IssuerKeys(threads, private=private)
        self._private = private
        self._epoch = 0
        self._trusts: list[Trust] = []

    async def put(self, actor: Actor, name: str, document: str) -> None:
        """Trust an issuer, in place of what that name stood for.

        TrustInvalid, IdentityInvalid; IdentityUnknown where a rule names a policy that there is not.
        """
        check_names([name])
        trust = Trust.parse(name, document)
        if not is_fetchable(trust.asked_at, private=self._private):
            raise TrustInvalid("keys are fetched by https only, unless private_issuers is set")

        def work() -> Work[None]:
            yield from access.advance()  # a policy that is removed at this moment is so before or after this
            for policy in sorted({policy for rule in trust.rules for policy in rule.policies}):
                if policy not in MANAGED_POLICIES and (yield from policies.find(policy)) is None:
                    raise IdentityUnknown(detail={"policy": policy[:128]})
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
        except (jwt.PyJWTError, ValueError, RecursionError):
            return None
        for trust in self._trusts:
            if trust.issuer == claimed:
                job = await self._job(trust, text, header)
                if job is not None:
                    return job
        return None

    async def _job(self, trust: Trust, text: str, header: Mapping[str, Any]) -> Principal | None:
        key_id, algorithm = header.get("kid"), header.get("alg")
        if not isinstance(key_id, str) or not isinstance(algorithm, str) or algorithm not in ALGORITHMS.values():
            return None
        key = await self._keys.find(trust, key_id, algorithm)
        if key is None:
            return None
        try:
            claims = jwt.decode(
                text,
                key,
                algorithms=[algorithm],
                audience=trust.audience,
                issuer=trust.issuer,
                leeway=LEEWAY,
                options={"require": _REQUIRED},
            )
            said = text_claims(claims)
        except (jwt.PyJWTError, TypeError, ValueError, OverflowError, RecursionError) as error:
            logger.info("token of issuer %s refused: %s", trust.name, error)
            return None
        rule = trust.rule_for(said)
        if rule is None or not said.get("sub"):
            logger.info("token of issuer %s refused: no rule covers what it says", trust.name)
            return None
        return Principal(Kind.JOB, f"{trust.name}/{said['sub']}", None, rule.id, said)

    async def _load(self) -> None:
        epoch = await self._database.read(access.epoch())
        if epoch != self._epoch:
            stored = await self._database.read(issuers.page())
            self._trusts = [trust for trust in (_parsed(*entry) for entry in stored) if trust is not None]
            self._keys.forget_others(self._trusts)
            self._epoch = epoch


def _parsed(name: str, document: str) -> Trust | None:
    try:
        return Trust.parse(name, document)
    except RegistryError as error:
        logger.error("trusted issuer %s not used: %s", name, error)
        return None
