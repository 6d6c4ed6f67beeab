import time

import pytest

from auth.keys import OVERLAP, ROTATE_EVERY
from auth.principals import Kind, Principal
from auth.sealing import SealBrokenError
from auth.tokens import TokenInvalidError
from storage.metadata import signing_keys
from storage.metadata.database import Statement, Work
from tests.auth.parts import OPERATOR, Parts, process_on

ALICE = Principal(Kind.USER, "alice", 7)


async def let_pass(parts: Parts, seconds: float) -> None:
    """Make every key older by so much."""

    def work() -> Work[None]:
        yield Statement("UPDATE signing_keys SET created_at = created_at - :seconds", {"seconds": seconds})

    await parts.database.write(work)


async def stored(parts: Parts) -> int:
    return len(await parts.database.read(signing_keys.page()))


def verifies(parts: Parts, token: str) -> bool:
    try:
        parts.tokens.verify(token)
    except TokenInvalidError:
        return False
    return True


async def test_two_processes_share_one_key_from_the_first_start(parts: Parts, another: Parts) -> None:
    assert await stored(parts) == 1
    assert verifies(another, parts.tokens.issue(ALICE, [])[0])
    assert verifies(parts, another.tokens.issue(ALICE, [])[0])
    assert parts.tokens.jwks() == another.tokens.jwks()


async def test_what_the_replaced_key_signed_stays_good_in_every_process(parts: Parts, another: Parts) -> None:
    old = parts.tokens.issue(ALICE, [])[0]
    await parts.keys.rotate(OPERATOR)
    new = parts.tokens.issue(ALICE, [])[0]
    assert verifies(parts, old)
    assert verifies(parts, new)
    assert not verifies(another, new)  # until it looks, which each of its requests begins with
    await another.authority.epoch()
    assert verifies(another, old)
    assert verifies(another, new)
    assert another.tokens.jwks() == parts.tokens.jwks()
    assert len(parts.tokens.jwks()["keys"]) == 2


async def test_the_newest_key_signs(parts: Parts, another: Parts) -> None:
    await another.keys.rotate(OPERATOR)
    await parts.authority.epoch()
    newest = another.tokens.jwks()["keys"][0]["kid"]
    assert parts.tokens.jwks()["keys"][0]["kid"] == newest


async def test_after_the_overlap_the_replaced_key_verifies_nothing_and_is_gone(parts: Parts) -> None:
    old = parts.tokens.issue(ALICE, [])[0]
    await parts.keys.rotate(OPERATOR)
    await let_pass(parts, OVERLAP - 60)
    await parts.keys.load()
    assert verifies(parts, old)
    await let_pass(parts, 61)
    await parts.keys.load()
    assert not verifies(parts, old)
    assert await stored(parts) == 1
    assert verifies(parts, parts.tokens.issue(ALICE, [])[0])


async def test_an_old_key_is_replaced_without_being_asked_once_for_all_processes(parts: Parts, another: Parts) -> None:
    old = parts.tokens.issue(ALICE, [])[0]
    await let_pass(parts, ROTATE_EVERY + 1)
    await parts.keys.load()
    await another.keys.load()
    assert await stored(parts) == 2
    assert verifies(another, old)
    assert parts.tokens.jwks() == another.tokens.jwks()


async def test_the_overlap_is_longer_than_any_token_lives(parts: Parts) -> None:
    assert OVERLAP > 3600  # what `token_life` may be at most


async def test_private_keys_are_stored_sealed_and_only_the_master_key_opens_them(
    parts: Parts, database_url: str
) -> None:
    (record,) = await parts.database.read(signing_keys.page())
    assert b"PRIVATE" not in record.sealed_private_key
    with pytest.raises(SealBrokenError):
        async with process_on(database_url, master_key=bytes(32)):
            pass


async def test_a_rotation_is_in_the_audit_trail_without_the_key(parts: Parts) -> None:
    await parts.keys.rotate(OPERATOR)
    last = (await parts.audit())[-1]
    assert (last.actor, last.address, last.action) == (OPERATOR.name, OPERATOR.address, "RotateSigningKey")
    assert last.target == f"signing-key/{parts.tokens.jwks()['keys'][0]['kid']}"
    assert last.detail == {}
    assert last.at == pytest.approx(time.time(), abs=30)
