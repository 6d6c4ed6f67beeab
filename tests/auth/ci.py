"""A registry that trusts an issuer's jobs."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from auth import issuer_keys
from auth.issuers import TrustedIssuers
from auth.principals import Principal
from auth.threads import Threads
from tests.auth.issuer import Issuer, issuing
from tests.auth.parts import OPERATOR, POWER_USER, Parts

RULE = {"claims": {"repository": "team/*"}, "policies": [POWER_USER]}


class Clock:
    """Time that a test can let pass, for those who ask for the monotonic one."""

    def __init__(self) -> None:
        self.passed = 0.0

    def monotonic(self) -> float:
        return time.monotonic() + self.passed


@dataclass(frozen=True)
class CI:
    """An issuer, and a registry that trusts its jobs for team/*, or what else it is told."""

    issuer: Issuer
    parts: Parts
    trusted: TrustedIssuers
    clock: Clock

    async def trust(self, *rules: Any, **members: Any) -> None:
        """Trust it by these rules from now on."""
        await self.trusted.put(OPERATOR, "ci", self.issuer.trust(*(rules or (RULE,)), **members))

    async def job(self, token: str | None = None, **claims: Any) -> Principal | None:
        """Whoever comes in with this token, or a good one that says this."""
        return await self.trusted.principal(token or self.issuer.token(**claims))

    async def must_job(self, **claims: Any) -> Principal:
        """The same, where somebody has to come in."""
        job = await self.job(**claims)
        assert job is not None
        return job


@asynccontextmanager
async def trusting(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[CI]:
    """An issuer on loopback that these parts trust; keys get old by a clock of the test's own."""
    clock, threads = Clock(), Threads(4, name="issuer")
    monkeypatch.setattr(issuer_keys, "time", clock)
    with issuing() as issuer:
        ci = CI(issuer, parts, TrustedIssuers(parts.database, threads, private=True), clock)
        await ci.trust()
        yield ci
        threads.close()
