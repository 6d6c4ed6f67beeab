"""Signing in: who gets in, for how long it is remembered, and that a refusal tells nothing."""

import asyncio
import time
from pathlib import Path
from typing import Any

import bcrypt
import pytest

from auth.identities import NewAccessKey
from auth.issuing import MOST_REFRESH_TOKENS
from auth.passwords import is_slow, scheme
from auth.principals import Kind
from estiva.errors import StorageFull, TooManyRequests, Unauthorized
from storage.metadata import principals
from storage.metadata.database import Statement, Work
from tests.auth.parts import HERE, OPERATOR, PASSWORD, Parts, counting, process_on


@pytest.fixture
async def alice(parts: Parts) -> Parts:
    """The parts, with a user alice who has signed in, and is remembered."""
    await parts.identities.create_user(OPERATOR, "alice", PASSWORD)
    await parts.sign_in("alice")
    return parts


async def refused(parts: Parts, name: str, secret: str = PASSWORD) -> None:
    with pytest.raises(Unauthorized) as error:
        await parts.sign_in(name, secret)
    assert error.value.text == "invalid username or password"
    assert error.value.detail is None


async def test_a_user_comes_in_with_the_password_and_with_nothing_else(alice: Parts) -> None:
    assert (await alice.sign_in("alice")).kind is Kind.USER
    for name, secret in (
        ("alice", ""),
        ("alice", PASSWORD + " "),
        ("alice", PASSWORD.upper()),
        ("Alice", PASSWORD),
        ("alice ", PASSWORD),
        ("", PASSWORD),
        ("", ""),
        ("nobody", PASSWORD),
        ("alice\0", PASSWORD),
    ):
        await refused(alice, name, secret)


async def test_names_and_secrets_are_not_run_together(parts: Parts) -> None:
    await parts.identities.create_user(OPERATOR, "al", "ice:12345678")
    await parts.sign_in("al", "ice:12345678")
    await refused(parts, "al:ice", "12345678")


async def test_a_right_secret_is_checked_once_and_then_remembered(alice: Parts) -> None:
    checked = counting(alice.credentials)
    for _ in range(20):
        await alice.sign_in("alice")
    assert checked() == 0


async def test_a_wrong_secret_is_never_remembered(alice: Parts) -> None:
    checked = counting(alice.credentials)
    for _ in range(3):
        await refused(alice, "alice", "wrong password")
    assert checked() == 3


@pytest.mark.parametrize("there", ["in this process", "in another"])
@pytest.mark.parametrize("change", ["password", "disabled", "deleted", "deleted and made anew"])
async def test_what_is_remembered_ends_at_once_with_each_change(
    alice: Parts, another: Parts, change: str, there: str
) -> None:
    changing = (alice if there == "in this process" else another).identities
    if change == "password":
        await changing.set_password(OPERATOR, "alice", "another password")
    elif change == "disabled":
        await changing.set_disabled(OPERATOR, "user", "alice", disabled=True)
    else:
        await changing.delete(OPERATOR, "user", "alice")
    if change == "deleted and made anew":
        await changing.create_user(OPERATOR, "alice", "another password")
    await refused(alice, "alice")


async def test_who_is_let_in_again_comes_in_again(alice: Parts) -> None:
    await alice.identities.set_disabled(OPERATOR, "user", "alice", disabled=True)
    await refused(alice, "alice")
    await alice.identities.set_disabled(OPERATOR, "user", "alice", disabled=False)
    await alice.sign_in("alice")


async def test_a_password_that_is_changed_while_it_is_checked_is_not_remembered(alice: Parts, another: Parts) -> None:
    await alice.identities.set_disabled(OPERATOR, "user", "alice", disabled=False)  # forgets
    signing_in = asyncio.ensure_future(alice.sign_in("alice"))
    await asyncio.sleep(0)
    await another.identities.set_password(OPERATOR, "alice", "another password")
    await asyncio.gather(signing_in, return_exceptions=True)
    await refused(alice, "alice")


async def test_a_robot_comes_in_with_its_secret_until_it_expires(parts: Parts) -> None:
    record, secret = await parts.identities.create_robot(OPERATOR, "ci", time.time() + 3600)
    assert (await parts.sign_in("ci", secret)).kind is Kind.ROBOT
    await refused(parts, "ci", secret[:-1])

    def expire() -> Work[None]:
        yield Statement("UPDATE principals SET expires_at = 1 WHERE id = :id", {"id": record.id})

    async with process_on(parts.database_url) as fresh:
        await parts.database.write(expire)
        await refused(fresh, "ci", secret)


async def test_a_robot_that_is_remembered_expires_on_time(parts: Parts) -> None:
    _, secret = await parts.identities.create_robot(OPERATOR, "ci", time.time() + 0.4)
    await parts.sign_in("ci", secret)
    await asyncio.sleep(0.5)
    await refused(parts, "ci", secret)


async def test_a_renewed_secret_ends_the_old_one(parts: Parts) -> None:
    _, secret = await parts.identities.create_robot(OPERATOR, "ci", None)
    await parts.sign_in("ci", secret)
    renewed = await parts.identities.renew_secret(OPERATOR, "ci")
    await refused(parts, "ci", secret)
    await parts.sign_in("ci", renewed)


async def test_an_access_key_is_its_owner(alice: Parts) -> None:
    key = await alice.identities.create_key(OPERATOR, "user", "alice")
    assert await alice.sign_in(key.id, key.secret) == await alice.sign_in("alice")
    for name, secret in ((key.id, PASSWORD), ("alice", key.secret), (key.id.lower(), key.secret), (key.id, "")):
        await refused(alice, name, secret)
    await refused(alice, "AKIA" + "A" * 16, key.secret)


@pytest.mark.parametrize("change", ["key deleted", "key disabled", "owner disabled", "owner deleted"])
async def test_an_access_key_ends_at_once(alice: Parts, another: Parts, change: str) -> None:
    key = await alice.identities.create_key(OPERATOR, "user", "alice", NewAccessKey("AKIA" + "B" * 16, "s" * 40))
    await alice.sign_in(key.id, key.secret)
    if change == "key deleted":
        await another.identities.delete_key(OPERATOR, "user", "alice", key.id)
    elif change == "key disabled":
        await another.database.write(lambda: principals.set_key_disabled(key.id, disabled=True))
    elif change == "owner disabled":
        await another.identities.set_disabled(OPERATOR, "user", "alice", disabled=True)
    else:
        await another.identities.delete(OPERATOR, "user", "alice")
    await refused(alice, key.id, key.secret)


async def test_ten_wrong_secrets_a_minute_are_heard_and_nobody_else_waits(alice: Parts) -> None:
    await alice.identities.create_user(OPERATOR, "bob", "bobs password")
    await alice.sign_in("alice")
    for _ in range(10):
        await refused(alice, "alice", "wrong password")
    checked = counting(alice.credentials)
    with pytest.raises(TooManyRequests) as limited:
        await alice.sign_in("alice", "wrong password")
    assert int(limited.value.headers["Retry-After"]) > 0
    assert checked() == 0  # what is not heard costs nothing
    await alice.sign_in("alice")  # remembered from before: guessing does not lock the owner out
    await alice.sign_in("bob", "bobs password")
    await alice.sign_in("alice", PASSWORD, "203.0.113.5")


async def test_guesses_that_are_sent_at_once_are_counted_when_they_begin(alice: Parts) -> None:
    await alice.identities.create_user(OPERATOR, "bob", "bobs password")
    checked = counting(alice.credentials)
    tries = [alice.sign_in("alice", f"wrong password {number}") for number in range(40)]
    outcomes = await asyncio.gather(*tries, alice.sign_in("bob", "bobs password"), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes[:40]] == [Unauthorized] * 10 + [TooManyRequests] * 30
    assert getattr(outcomes[40], "name", None) == "bob"  # nobody else of that address waits
    assert checked() == 11
    with pytest.raises(TooManyRequests) as limited:
        await alice.sign_in("alice", "wrong password")
    assert int(limited.value.headers["Retry-After"]) > 2  # they have failed by now


async def test_sign_ins_that_are_the_same_share_one_check(alice: Parts) -> None:
    await alice.identities.set_disabled(OPERATOR, "user", "alice", disabled=False)  # forgets
    checked = counting(alice.credentials)
    found = await asyncio.gather(*(alice.sign_in("alice") for _ in range(50)))
    assert {principal.name for principal in found} == {"alice"}
    assert checked() == 1
    refusals = await asyncio.gather(*(alice.sign_in("alice", "wrong") for _ in range(50)), return_exceptions=True)
    assert {type(refusal) for refusal in refusals} == {Unauthorized}
    assert len({id(refusal) for refusal in refusals}) == 50  # each its own: their headers differ
    assert checked() == 2
    assert not alice.credentials._running


async def test_a_check_goes_on_for_the_others_when_the_first_has_left(alice: Parts) -> None:
    await alice.identities.set_disabled(OPERATOR, "user", "alice", disabled=False)  # forgets
    checked = counting(alice.credentials)
    first, second = (asyncio.ensure_future(alice.sign_in("alice")) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    assert (await second).name == "alice"
    assert checked() == 1


async def test_whoever_comes_after_a_change_does_not_share_the_check_of_before(alice: Parts) -> None:
    await alice.identities.set_disabled(OPERATOR, "user", "alice", disabled=False)  # forgets
    hold = asyncio.Event()
    check = alice.credentials._check

    async def held(asked: Any) -> Any:
        found = await check(asked)
        await hold.wait()
        return found

    alice.credentials._check = held  # type: ignore[method-assign]
    before = asyncio.ensure_future(alice.sign_in("alice"))
    while not alice.credentials._running:
        await asyncio.sleep(0)
    await asyncio.sleep(0.1)
    await alice.identities.set_password(OPERATOR, "alice", "another password")
    hold.set()
    with pytest.raises(Unauthorized):
        await alice.sign_in("alice")
    assert (await before).name == "alice"


async def test_an_access_key_that_signed_in_is_told_apart_from_its_owner(alice: Parts) -> None:
    key = await alice.identities.create_key(OPERATOR, "user", "alice")
    assert (await alice.sign_in(key.id, key.secret)).key == key.id
    assert (await alice.sign_in(key.id, key.secret)).key == key.id  # remembered
    assert (await alice.sign_in("alice")).key is None


async def hash_of(parts: Parts, name: str) -> str:
    found = await parts.database.read(principals.find(name))
    assert found is not None
    return found.secret_hash or ""


async def test_an_imported_hash_is_replaced_at_the_first_sign_in(alice: Parts, another: Parts) -> None:
    stored = bcrypt.hashpw(b"imported", bcrypt.gensalt(4)).decode()
    await alice.identities.import_user(OPERATOR, "bob", stored)
    await refused(alice, "bob", "wrong password")
    assert await hash_of(alice, "bob") == stored
    bob = await alice.sign_in("bob", "imported")
    refresh_token = await alice.service.refresh_token(bob)
    renewed = await hash_of(alice, "bob")
    assert scheme(renewed) == "argon2id"
    checked = counting(alice.credentials)
    await alice.sign_in("bob", "imported")
    assert checked() == 0  # what was remembered stays so
    await another.sign_in("bob", "imported")
    assert await hash_of(alice, "bob") == renewed
    await refused(another, "bob", "imported ")
    assert refresh_token is not None
    await alice.service.redeem(refresh_token)


async def test_a_hash_that_saw_a_part_of_the_password_only_stays(parts: Parts) -> None:
    stored = bcrypt.hashpw(b"x" * 72, bcrypt.gensalt(4)).decode()
    await parts.identities.import_user(OPERATOR, "bob", stored)
    await parts.sign_in("bob", "x" * 80)
    assert await hash_of(parts, "bob") == stored
    await parts.sign_in("bob", "x" * 72)
    assert scheme(await hash_of(parts, "bob")) == "argon2id"


async def test_a_password_that_is_changed_meanwhile_is_not_put_back(parts: Parts) -> None:
    stored = bcrypt.hashpw(b"imported", bcrypt.gensalt(4)).decode()
    await parts.identities.import_user(OPERATOR, "bob", stored)
    await parts.identities.set_password(OPERATOR, "bob", "another password")
    found = await parts.database.read(principals.find("bob"))
    assert found is not None
    await parts.credentials._renew_hash(found.id, stored, "imported")
    await parts.sign_in("bob", "another password")


async def test_whoever_can_not_be_written_down_comes_in_all_the_same(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    await parts.identities.import_user(OPERATOR, "bob", bcrypt.hashpw(b"imported", bcrypt.gensalt(4)).decode())

    async def full(*_: Any, **__: Any) -> Any:
        raise StorageFull

    monkeypatch.setattr(parts.database, "write", full)
    assert (await parts.sign_in("bob", "imported")).name == "bob"


async def test_an_access_key_gets_no_refresh_token(alice: Parts) -> None:
    key = await alice.identities.create_key(OPERATOR, "user", "alice")
    assert await alice.service.refresh_token(await alice.sign_in(key.id, key.secret)) is None
    assert await alice.service.refresh_token(await alice.sign_in("alice")) is not None


async def test_of_many_refresh_tokens_the_latest_are_good(alice: Parts) -> None:
    who = await alice.sign_in("alice")
    given = [await alice.service.refresh_token(who) for _ in range(MOST_REFRESH_TOKENS + 2)]
    for old in given[:2]:
        with pytest.raises(Unauthorized):
            await alice.service.redeem(old or "")
    for good in (given[2], given[-1]):
        assert (await alice.service.redeem(good or "")).name == "alice"


async def spent(parts: Parts, name: str, tries: int = 5) -> tuple[float, list[str]]:
    """The least processor seconds that a refusal takes, and the hashes that are computed for it."""
    checked: list[str] = []
    verify = parts.credentials._verify

    async def noted(stored: str, secret: str) -> bool:
        checked.extend([scheme(stored)] if is_slow(stored) else [])
        return await verify(stored, secret)

    parts.credentials._verify = noted  # type: ignore[method-assign]
    times = []
    for number in range(tries):
        checked.clear()
        started = time.process_time()
        with pytest.raises(Unauthorized):
            await parts.sign_in(name, "wrong password", f"{HERE}{number}")
        times.append(time.process_time() - started)
    parts.credentials._verify = verify  # type: ignore[method-assign]
    return min(times), sorted(checked)


@pytest.mark.parametrize("bcrypt_of", ["nobody", "a htpasswd file", "an imported user"])
async def test_a_refusal_takes_as_long_whoever_it_is(database_url: str, tmp_path: Path, bcrypt_of: str) -> None:
    htpasswd = tmp_path / "htpasswd"
    htpasswd.write_bytes(b"fred:" + bcrypt.hashpw(b"x", bcrypt.gensalt(8)))
    with_bcrypt, with_htpasswd = bcrypt_of != "nobody", bcrypt_of == "a htpasswd file"
    async with process_on(database_url, htpasswd=htpasswd if with_htpasswd else None) as parts:
        if bcrypt_of == "an imported user":
            await parts.identities.import_user(OPERATOR, "fred", bcrypt.hashpw(b"x", bcrypt.gensalt(8)).decode())
        await parts.identities.create_user(OPERATOR, "alice", PASSWORD)
        await parts.identities.create_user(OPERATOR, "away", PASSWORD)
        await parts.identities.set_disabled(OPERATOR, "user", "away", disabled=True)
        await parts.identities.create_robot(OPERATOR, "ci", None)
        outcomes = {name: await spent(parts, name) for name in ("alice", "away", "ci", "nobody", "fred")}
    hashes = {name: checked for name, (_, checked) in outcomes.items()}
    assert set(map(tuple, hashes.values())) == {("argon2id", "bcrypt") if with_bcrypt else ("argon2id",)}, hashes
    least = [seconds for seconds, _ in outcomes.values()]
    assert max(least) < 2.5 * min(least), outcomes
