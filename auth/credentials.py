"""Signing in: from a name and a secret to the principal behind them.

A secret that was right once is remembered for some minutes by a keyed hash, so that docker's ten token calls a
push cost one password check. What is remembered counts only while nobody changed any identity.
"""

import hashlib
import hmac
import secrets
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from auth.htpasswd import Htpasswd
from auth.identities import KEY_PURPOSE
from auth.passes import USERNAME
from auth.passwords import Decoy, is_slow, scheme, verify
from auth.principals import Kind, Principal
from auth.sealing import Seal, SealBrokenError
from auth.threads import Threads
from auth.throttling import Throttle
from estiva.errors import Unauthorized
from storage.metadata import principals
from storage.metadata.database import Database, Work
from storage.metadata.principals import AccessKeyRecord, PrincipalRecord

REMEMBERED_FOR = 600.0
MOST_REMEMBERED = 10_000
HTPASSWD = "htpasswd"
_KEY_PREFIXES = ("AKIA", "ASIA")


class JobTokens(Protocol):
    """Recognises the tokens with which a trusted issuer vouches for a job."""

    async def principal(self, text: str) -> Principal | None:
        """The job that the token speaks for; None where it is no good token of a trusted issuer."""
        ...


class PassTokens(Protocol):
    """Recognises the passwords of those who sign in as `AWS`."""

    async def principal(self, password: str) -> Principal | None:
        """Whose password it is; None where it is not good, or its owner may not come in (any more)."""
        ...


@dataclass(frozen=True, slots=True)
class _Remembered:
    principal: Principal
    epoch: int
    until: float


class Credentials:
    """Checks names and secrets. One per process."""

    def __init__(
        self,
        database: Database,
        seal: Seal,
        threads: Threads,
        epoch: Callable[[], Awaitable[int]],
        htpasswd: Htpasswd | None = None,
        job_tokens: JobTokens | None = None,
        passes: PassTokens | None = None,
    ) -> None:
        self._database = database
        self._seal = seal
        self._threads = threads
        self._epoch = epoch
        self._htpasswd = htpasswd
        self._job_tokens = job_tokens
        self._passes = passes
        self._throttle = Throttle()
        self._key = secrets.token_bytes(32)
        self._remembered: OrderedDict[bytes, _Remembered] = OrderedDict()
        self._decoy = Decoy()

    async def sign_in(self, name: str, secret: str, address: str) -> Principal:
        """The principal of that name and secret. Unauthorized, or TooManyRequests after too many failures.

        An unknown name takes as long as a wrong secret.
        """
        epoch = await self._epoch()
        key = hmac.digest(self._key, f"{len(name)}:{name}:{secret}".encode(), hashlib.sha256)
        remembered = self._remembered.get(key)
        if remembered is not None and remembered.epoch == epoch and time.time() < remembered.until:
            return remembered.principal
        self._throttle.check(address, name)
        principal = await self._check(name, secret)
        if principal is None:
            self._throttle.failed(address, name)
            raise Unauthorized("invalid username or password")
        await self._remember(key, name, principal, epoch)
        return principal

    async def _remember(self, key: bytes, name: str, principal: Principal, epoch: int) -> None:
        if principal.trust is not None or name == USERNAME:
            return  # the token or the file behind it has a life of its own
        until = time.time() + REMEMBERED_FOR
        if principal.id is not None:
            found = await self._database.read(principals.get(principal.id))
            if found is not None and found.expires_at is not None:
                until = min(until, found.expires_at)
        self._remembered[key] = _Remembered(principal, epoch, until)
        while len(self._remembered) > MOST_REMEMBERED:
            self._remembered.popitem(last=False)

    async def _check(self, name: str, secret: str) -> Principal | None:
        if name == USERNAME and self._passes is not None:
            return await self._passes.principal(secret)
        if name.startswith(_KEY_PREFIXES):
            return await self._by_access_key(name, secret)
        if secret.count(".") == 2 and self._job_tokens is not None:
            job = await self._job_tokens.principal(secret)
            if job is not None:
                return job
        found = await self._database.read(principals.find(name))
        if found is None:
            return await self._by_htpasswd(name, secret)
        stored = found.secret_hash
        good = stored is not None and await self._verify(stored, secret)
        if good and is_good(found):
            return _principal(found)
        await self._take_as_long(stored, secret)
        return None

    async def _by_access_key(self, key_id: str, secret: str) -> Principal | None:
        def work() -> Work[tuple[AccessKeyRecord, PrincipalRecord | None] | None]:
            key = yield from principals.find_key(key_id)
            return None if key is None else (key, (yield from principals.get(key.principal_id)))

        found = await self._database.read(work())
        if found is None or found[1] is None:
            return None
        key, principal = found[0], found[1]
        try:
            expected = self._seal.unseal(KEY_PURPOSE, key.sealed_secret)
        except SealBrokenError:
            return None
        matches = hmac.compare_digest(expected, secret.encode())
        return _principal(principal) if matches and not key.disabled and is_good(principal) else None

    async def _by_htpasswd(self, name: str, secret: str) -> Principal | None:
        stored = self._htpasswd.hash_of(name) if self._htpasswd else None
        if stored is not None and await self._verify(stored, secret):
            return Principal(Kind.USER, name, trust=HTPASSWD)
        await self._take_as_long(stored, secret)
        return None

    async def _take_as_long(self, stored: str | None, secret: str) -> None:
        """Check what was not checked, so that a refusal takes as long whatever the name stands for, if anything.

        `stored` is the hash that the secret did not fit. A robot's is quick, a user's slow, a htpasswd file's its own.
        """
        example = self._htpasswd.example() if self._htpasswd else None
        for decoy in (self._decoy.hash, example):
            if decoy is not None and (stored is None or scheme(stored) != scheme(decoy)):
                await self._verify(decoy, secret)

    async def _verify(self, stored: str, secret: str) -> bool:
        if is_slow(stored):
            return await self._threads.run(verify, stored, secret)
        return verify(stored, secret)


def is_good(found: PrincipalRecord) -> bool:
    """Whether the principal may come in at all: neither disabled nor expired."""
    return not found.disabled and (found.expires_at is None or time.time() < found.expires_at)


def _principal(found: PrincipalRecord) -> Principal:
    return Principal(Kind(found.kind), found.name, found.id)
