"""Secrets are kept sealed, opened by name, and never shown."""

import pytest

from auth.sealing import Seal
from orchestrator.secrets import LONGEST, SecretInvalid, Secrets
from storage.metadata import secrets
from storage.metadata.audit import Actor
from storage.metadata.database import Database

ALICE = Actor("user/alice")


async def test_a_secret_is_opened_by_its_name_and_account_alone(database: Database) -> None:
    kept = Secrets(database, Seal(bytes(32)))
    await kept.put(ALICE, "", "db/password", "hunter2")
    assert await kept.value("", "secret:db/password") == "hunter2"
    assert await kept.value("000000000001", "secret:db/password") is None
    stored = await database.read(secrets.find("", "db/password"))
    assert stored is not None
    assert b"hunter2" not in stored.sealed
    [shown] = await kept.page("", "", 10)
    assert (shown.name, "hunter2" in repr(shown)) == ("db/password", False)
    assert await kept.delete(ALICE, "", "db/password")
    assert not await kept.delete(ALICE, "", "db/password")
    assert await kept.value("", "secret:db/password") is None


@pytest.mark.parametrize(
    ("name", "value"),
    [("", "a"), ("a b", "a"), ("a", "\0"), ("a", "a" * (LONGEST + 1))],
    ids=["empty", "space", "nul", "long"],
)
async def test_what_can_be_no_secret_is_refused(database: Database, name: str, value: str) -> None:
    with pytest.raises(SecretInvalid):
        await Secrets(database, Seal(bytes(32))).put(ALICE, "", name, value)
