"""Secrets of tasks: sealed where they are stored, opened at a launch, and never told to anybody who asks."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from auth.sealing import Seal
from orchestrator.rules import SECRET
from storage.metadata import audit, secrets
from storage.metadata.audit import Actor
from storage.metadata.database import Database, Work

LONGEST = 64 * 1024
"""Bytes."""
_NAME = re.compile(r"[A-Za-z0-9_/.+=@-]{1,255}")


class SecretInvalid(ValueError):
    """A name or a value that no secret can have."""


@dataclass(frozen=True, slots=True)
class SecretShown:
    """What is told of a secret."""

    name: str
    created_at: float
    updated_at: float


class Secrets:
    """Keeps secrets by name, those of each account apart (the server's own: empty)."""

    def __init__(self, database: Database, seal: Seal) -> None:
        self._database = database
        self._seal = seal

    async def put(self, actor: Actor, account: str, name: str, value: str) -> None:
        """Enter a secret, or replace it. Tasks that run keep what they have. SecretInvalid."""
        if _NAME.fullmatch(name) is None:
            raise SecretInvalid("a secret's name has 1 to 255 letters, digits and _ / . + = @ -")
        if len(value.encode()) > LONGEST or "\0" in value:
            raise SecretInvalid(f"a secret has at most {LONGEST} bytes and no NUL")
        sealed = self._seal.seal(_purpose(account, name), value.encode())

        def work() -> Work[None]:
            yield from secrets.put(account, name, sealed)
            yield from audit.record(actor, "PutSecret", f"secret/{name}")

        await self._database.write(work)

    async def delete(self, actor: Actor, account: str, name: str) -> bool:
        """Remove a secret: whether it was there."""

        def work() -> Work[bool]:
            there = yield from secrets.delete(account, name)
            if there:
                yield from audit.record(actor, "DeleteSecret", f"secret/{name}")
            return there

        return await self._database.write(work)

    async def page(self, account: str, last: str, limit: int) -> Sequence[SecretShown]:
        """At most `limit` secrets after `last`, by name, without their values."""
        records = await self._database.read(secrets.page(account, last, limit))
        return [SecretShown(record.name, record.created_at, record.updated_at) for record in records]

    async def value(self, account: str, value_from: str) -> str | None:
        """What `valueFrom` (`secret:NAME`) means; None where there is no such secret. SealBrokenError."""
        name = value_from.removeprefix(SECRET)
        found = await self._database.read(secrets.find(account, name))
        return None if found is None else self._seal.unseal(_purpose(account, name), found.sealed).decode()


def _purpose(account: str, name: str) -> str:
    return f"secret of tasks {account}:{name}"
