"""The keys that sign tokens: made at first start, shared by all processes, replaced with an overlap."""

import asyncio
import itertools
import time
from collections.abc import Sequence

from auth.sealing import Seal
from auth.tokens import SigningKey, Tokens
from storage.metadata import access, audit, signing_keys
from storage.metadata.audit import Actor
from storage.metadata.database import Database, Work
from storage.metadata.signing_keys import SigningKeyRecord

PURPOSE = "signing key"
ROTATE_EVERY = 30 * 86_400.0
OVERLAP = 86_400.0
"""Seconds that a replaced key still verifies: longer than any token lives."""


class SigningKeys:
    """Keeps a `Tokens` supplied with the keys in force."""

    def __init__(self, database: Database, seal: Seal, tokens: Tokens) -> None:
        self._database = database
        self._seal = seal
        self._tokens = tokens
        self._loading = asyncio.Lock()

    async def load(self) -> None:
        """Use the stored keys; rotate where there is none, or the youngest is old."""
        async with self._loading:  # of two, the one that read later has the last word
            await self._load()

    async def _load(self) -> None:
        stored = await self._database.read(signing_keys.page())
        oldest_to_sign = time.time() - ROTATE_EVERY
        if not stored or stored[0].created_at < oldest_to_sign:
            await self._create(Actor("estiva"), oldest_to_sign)
            stored = await self._database.read(signing_keys.page())
        in_force = _in_force(stored)
        if len(in_force) < len(stored):
            await self._database.write(lambda: signing_keys.forget_before(in_force[-1].created_at))
        self._tokens.use([self._opened(record) for record in in_force])

    async def rotate(self, actor: Actor) -> None:
        """Sign with a new key from now on. What the replaced key has signed stays good for OVERLAP seconds."""
        await self._create(actor, float("inf"))
        await self.load()

    def _opened(self, record: SigningKeyRecord) -> SigningKey:
        pem = self._seal.unseal(PURPOSE, record.sealed_private_key)
        return SigningKey.from_pem(record.id, pem, record.created_at)

    async def _create(self, actor: Actor, unless_younger_than: float) -> None:
        """Make a key, unless another process has just made one."""
        key = SigningKey.generate()
        sealed = self._seal.seal(PURPOSE, key.pem())

        def work() -> Work[None]:
            if (yield from signing_keys.create(key.id, sealed, unless_younger_than)):
                yield from access.advance()  # every process then loads it
                yield from audit.record(actor, "RotateSigningKey", f"signing-key/{key.id}")

        await self._database.write(work)


def _in_force(stored: Sequence[SigningKeyRecord]) -> list[SigningKeyRecord]:
    """The youngest, which signs, and those that were replaced so lately that what they signed may still be in use."""
    replaced = [older for newer, older in itertools.pairwise(stored) if newer.created_at > time.time() - OVERLAP]
    return [stored[0], *replaced]
