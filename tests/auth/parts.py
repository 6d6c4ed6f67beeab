"""The parts of `auth` as one process has them, on a database that several may share."""

import dataclasses
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from auth.access import Caller, Verdict
from auth.authority import Authority
from auth.credentials import HTPASSWD, Credentials
from auth.gate import Gate
from auth.htpasswd import Htpasswd
from auth.identities import Identities
from auth.issuers import TrustedIssuers
from auth.issuing import TokenService
from auth.keys import SigningKeys
from auth.policies import Policies
from auth.principals import Principal
from auth.sealing import Seal
from auth.threads import Threads
from auth.tokens import Tokens
from estiva.reference import RepositoryName
from storage.metadata import audit
from storage.metadata.audit import Actor, AuditRecord
from storage.metadata.database import Database
from storage.metadata.opening import open_database

ACCOUNT, REGION = "000000000000", "us-east-1"
MASTER_KEY = bytes(range(32))
OPERATOR = Actor("user/operator", "192.0.2.7")
HERE = "198.51.100.1"
PASSWORD = "correct horse"
POWER_USER = "AmazonEC2ContainerRegistryPowerUser"
READ_ONLY = "AmazonEC2ContainerRegistryReadOnly"


@dataclass(frozen=True)
class Parts:
    """One process's."""

    database_url: str
    database: Database
    tokens: Tokens
    keys: SigningKeys
    authority: Authority
    credentials: Credentials
    gate: Gate
    identities: Identities
    policies: Policies
    service: TokenService

    async def sign_in(self, name: str, secret: str = PASSWORD, address: str = HERE) -> Principal:
        """The principal of that name and secret."""
        return await self.credentials.sign_in(name, secret, address)

    async def decide(self, principal: Principal, action: str, name: str, **context: str) -> Verdict:
        """The verdict on an action on a repository."""
        caller = Caller(principal, None, {"aws:sourceip": (HERE,)})
        return await self.authority.decide(caller, action, self.arn(name), **context)

    def arn(self, name: str) -> str:
        """A repository's."""
        return self.authority.repository_arn(RepositoryName(name))

    async def may(self, principal: Principal, action: str, name: str) -> bool:
        """Whether the action on that repository is allowed."""
        return (await self.decide(principal, action, name)).allowed

    async def audit(self) -> list[AuditRecord]:
        """What was done, the first first."""
        return [*reversed(await self.database.read(audit.page(1 << 62, 1000)))]


@asynccontextmanager
async def process_on(
    url: str, htpasswd: Path | None = None, master_key: bytes = MASTER_KEY, life: float = 300
) -> AsyncIterator[Parts]:
    """The parts on the database at `url`, as a process of their own would have them."""
    database, threads, seal = open_database(url), Threads(), Seal(master_key)
    tokens = Tokens("estiva", "estiva", life)
    keys = SigningKeys(database, seal, tokens)
    issuers = TrustedIssuers(database, threads, private=True)
    given = {HTPASSWD: (READ_ONLY,)} if htpasswd else {}
    authority = Authority(database, keys, issuers, ACCOUNT, REGION, given)
    credentials = Credentials(
        database, seal, threads, authority.epoch, Htpasswd(htpasswd) if htpasswd else None, issuers
    )
    try:
        await keys.load()
        yield Parts(
            url,
            database,
            tokens,
            keys,
            authority,
            credentials,
            Gate(database, authority, credentials, tokens),
            Identities(database, seal, threads),
            Policies(database),
            TokenService(database, authority, tokens),
        )
    finally:
        await database.close()
        threads.close()


def counting(credentials: Credentials) -> Callable[[], int]:
    """Count from now on how many secrets are really checked."""
    checked: list[str] = []
    check = credentials._check

    async def counted(asked: Any) -> Principal | None:
        checked.append(asked.name)
        return await check(asked)

    credentials._check = counted  # type: ignore[method-assign]
    return lambda: len(checked)


def fields_of(record: AuditRecord) -> str:
    """Everything an audit record says, to look for what it must not."""
    return repr(dataclasses.asdict(record))
