"""Signing in: from a name and a secret to the principal behind them.

A secret that was right once is remembered for some minutes by a keyed hash, so that docker's ten token calls a
push cost one password check. What is remembered counts only while nobody changed any identity. Sign-ins that come
at once and are the same share one check.
"""

import asyncio
import hashlib
import hmac
import logging
import secrets
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from auth.htpasswd import Htpasswd
from auth.identities import KEY_PURPOSE
from auth.passwords import Decoy, hash_password, is_outdated, is_slow, scheme, verify
from auth.principals import Kind, Principal
from auth.sealing import Seal, SealBrokenError
from auth.threads import Threads
from auth.throttling import Throttle
from estiva.errors import RegistryError, Unauthorized
from storage.metadata import principals
from storage.metadata.database import Database, Work
from storage.metadata.principals import AccessKeyRecord, PrincipalRecord

logger = logging.getLogger("estiva.auth")

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
    """Recognises the passwords that come with one username, such as `AWS`; nobody else can be called so."""

    async def principal(self, password: str) -> Principal | None:
        """Whose password it is; None where it is not good, or its owner may not come in (any more)."""
        ...


@dataclass(frozen=True, slots=True)
class _SignIn:
    """What was brought, and the htpasswd file's entry of that name at that moment."""

    name: str
    secret: str
    address: str
    epoch: int
    entry: str | None

    def digest(self, key: bytes) -> bytes:
        """What it is remembered by: the same for no other name, secret or entry."""
        entry = self.entry or ""
        text = f"{len(self.name)}:{len(entry)}:{self.name}:{entry}:{self.secret}"
        return hmac.digest(key, text.encode(), hashlib.sha256)


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
        passes: Mapping[str, PassTokens] | None = None,
    ) -> None:
        self._database = database
        self._seal = seal
        self._threads = threads
        self._epoch = epoch
        self._htpasswd = htpasswd
        self._job_tokens = job_tokens
        self._passes = passes or {}
        self._throttle = Throttle()
        self._key = secrets.token_bytes(32)
        self._remembered: OrderedDict[bytes, _Remembered] = OrderedDict()
        self._running: dict[tuple[bytes, str, int], asyncio.Task[Principal | None]] = {}
        self._decoy = Decoy()
        self._example: tuple[int, str | None] = (0, None)

    async def sign_in(self, name: str, secret: str, address: str) -> Principal:
        """The principal of that name and secret. Unauthorized, or TooManyRequests after too many failures.

        An unknown name takes as long as a wrong secret.
        """
        entry = self._htpasswd.hash_of(name) if self._htpasswd else None
        asked = _SignIn(name, secret, address, await self._epoch(), entry)
        digest = asked.digest(self._key)
        remembered = self._remembered.get(digest)
        if remembered is not None and remembered.epoch == asked.epoch and time.time() < remembered.until:
            return remembered.principal
        principal = await asyncio.shield(self._checking(asked, digest))
        if principal is None:
            raise Unauthorized("invalid username or password")
        return principal

    def _checking(self, asked: _SignIn, digest: bytes) -> asyncio.Task[Principal | None]:
        """The check of it, which goes on when whoever waits for it has left: it may be others' too."""
        key = (digest, asked.address, asked.epoch)
        running = self._running.get(key)
        if running is None:
            running = self._running[key] = asyncio.create_task(self._check_counted(asked, digest))

            def forget(ended: asyncio.Task[Principal | None]) -> None:
                del self._running[key]
                _ = ended.cancelled() or ended.exception()  # else asyncio complains where all have left

            running.add_done_callback(forget)
        return running

    async def _check_counted(self, asked: _SignIn, digest: bytes) -> Principal | None:
        with self._throttle.attempt(asked.address, asked.name) as attempt:
            principal = await self._check(asked)
            attempt.failed = principal is None
        if principal is not None:
            await self._remember(digest, asked, principal)
        return principal

    async def _remember(self, digest: bytes, asked: _SignIn, principal: Principal) -> None:
        if principal.kind is Kind.JOB or asked.name in self._passes:
            return  # the token or password behind it has a life of its own
        until = time.time() + REMEMBERED_FOR
        if principal.id is not None:
            found = await self._database.read(principals.get(principal.id))
            if found is not None and found.expires_at is not None:
                until = min(until, found.expires_at)
        self._remembered[digest] = _Remembered(principal, asked.epoch, until)
        while len(self._remembered) > MOST_REMEMBERED:
            self._remembered.popitem(last=False)

    async def _check(self, asked: _SignIn) -> Principal | None:
        name, secret = asked.name, asked.secret
        if name in self._passes:
            return await self._passes[name].principal(secret)
        if name.startswith(_KEY_PREFIXES):
            return await self._by_access_key(name, secret)
        if secret.count(".") == 2 and self._job_tokens is not None:
            job = await self._job_tokens.principal(secret)
            if job is not None:
                return job
        found = await self._database.read(principals.find(name))
        if found is None:
            return await self._by_htpasswd(asked)
        stored = found.secret_hash
        if stored is not None and await self._verify(stored, secret) and is_good(found):
            await self._renew_hash(found.id, stored, secret)
            return _principal(found)
        await self._take_as_long(stored, secret)
        return None

    async def _renew_hash(self, identifier: int, stored: str, secret: str) -> None:
        """Replace the hash that came from a htpasswd file by one of ours, now that the password is at hand."""
        if not is_outdated(stored, secret):
            return
        try:
            renewed = await self._threads.run(hash_password, secret)
            await self._database.write(lambda: principals.renew_hash(identifier, stored, renewed))
        except RegistryError as error:
            # The password was right all the same: the next sign-in tries again.
            logger.warning("password hash not renewed: %s", error.text)

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
        return _principal(principal, key_id) if matches and not key.disabled and is_good(principal) else None

    async def _by_htpasswd(self, asked: _SignIn) -> Principal | None:
        stored = asked.entry
        if stored is not None and await self._verify(stored, asked.secret):
            return Principal(Kind.USER, asked.name, trust=HTPASSWD)
        await self._take_as_long(stored, asked.secret)
        return None

    async def _take_as_long(self, stored: str | None, secret: str) -> None:
        """Check what was not checked, so that a refusal takes as long whatever the name stands for, if anything.

        `stored` is the hash that the secret did not fit. A robot's is quick, a user's slow, one of a htpasswd file
        costs what that file says.
        """
        for decoy in (self._decoy.hash, await self._bcrypt_example()):
            if decoy is not None and (stored is None or scheme(stored) != scheme(decoy)):
                await self._verify(decoy, secret)

    async def _bcrypt_example(self) -> str | None:
        """A bcrypt hash that somebody has, to see how long verifying takes; None where nobody has one."""
        example = self._htpasswd.example() if self._htpasswd else None
        if example is not None:
            return example
        epoch = await self._epoch()
        if self._example[0] != epoch:
            self._example = (epoch, await self._database.read(principals.bcrypt_example()))
        return self._example[1]

    async def _verify(self, stored: str, secret: str) -> bool:
        if is_slow(stored):
            return await self._threads.run(verify, stored, secret)
        return verify(stored, secret)


def is_good(found: PrincipalRecord) -> bool:
    """Whether the principal may come in at all: neither disabled nor expired."""
    return not found.disabled and (found.expires_at is None or time.time() < found.expires_at)


def _principal(found: PrincipalRecord, key: str | None = None) -> Principal:
    return Principal(Kind(found.kind), found.name, found.id, key=key)
