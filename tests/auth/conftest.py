from collections.abc import AsyncIterator

import pytest
from argon2 import PasswordHasher

from auth import passwords
from tests.auth.parts import Parts, process_on


@pytest.fixture
async def parts(database_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Parts]:
    """The parts of `auth` on an empty database, with passwords that are cheap to hash."""
    monkeypatch.setattr(passwords, "_HASHER", PasswordHasher(time_cost=1, memory_cost=64, parallelism=1))
    async with process_on(database_url) as parts:
        yield parts


@pytest.fixture
async def another(database_url: str, parts: Parts) -> AsyncIterator[Parts]:
    """Those of a second process on the same database."""
    async with process_on(database_url) as another:
        yield another
