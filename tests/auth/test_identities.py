"""Users, robots, keys and groups: every change works, is refused where it must be, and leaves its line in the audit."""

import re
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import bcrypt
import pytest

from auth.identities import IdentityExists, IdentityInvalid, IdentityUnknown, NewAccessKey
from auth.passwords import verify
from storage.metadata import audit, principals
from storage.metadata.database import Statement, Work
from tests.auth.parts import OPERATOR, PASSWORD, READ_ONLY, Parts, fields_of

DOCUMENT = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"ecr:*","Resource":"*"}]}'
SECRET = "secretsecretsecretsecretsecretsecretsecret"

Change = Callable[[Parts], Awaitable[object]]


@pytest.fixture
async def peopled(parts: Parts) -> Parts:
    """The parts, with alice, a robot, a group and a key."""
    await parts.identities.create_user(OPERATOR, "alice", PASSWORD)
    await parts.identities.create_robot(OPERATOR, "ci", None)
    await parts.identities.create_group(OPERATOR, "team")
    await parts.identities.create_key(OPERATOR, "user", "alice", NewAccessKey("AKIA" + "A" * 16, SECRET))
    return parts


BCRYPT = bcrypt.hashpw(b"imported password", bcrypt.gensalt(4)).decode()
CHANGES: dict[str, tuple[str, str, Change]] = {
    "a user": ("CreateUser", "user/bob", lambda p: p.identities.create_user(OPERATOR, "bob", "new password")),
    "a robot": ("CreateRobot", "robot/cd", lambda p: p.identities.create_robot(OPERATOR, "cd", None, DOCUMENT)),
    "a password": (
        "SetPassword",
        "user/alice",
        lambda p: p.identities.set_password(OPERATOR, "alice", "new password"),
    ),
    "a robot's secret": ("RenewSecret", "robot/ci", lambda p: p.identities.renew_secret(OPERATOR, "ci")),
    "shut out": ("Disable", "user/alice", lambda p: p.identities.set_disabled(OPERATOR, "user", "alice", True)),
    "let in": ("Enable", "user/alice", lambda p: p.identities.set_disabled(OPERATOR, "user", "alice", False)),
    "a key": ("CreateAccessKey", "robot/ci", lambda p: p.identities.create_key(OPERATOR, "robot", "ci")),
    "a key shut out": (
        "DisableAccessKey",
        "user/alice",
        lambda p: p.identities.set_key_disabled(OPERATOR, "user", "alice", "AKIA" + "A" * 16, True),
    ),
    "a key let in": (
        "EnableAccessKey",
        "user/alice",
        lambda p: p.identities.set_key_disabled(OPERATOR, "user", "alice", "AKIA" + "A" * 16, False),
    ),
    "no key": (
        "DeleteAccessKey",
        "user/alice",
        lambda p: p.identities.delete_key(OPERATOR, "user", "alice", "AKIA" + "A" * 16),
    ),
    "an imported user": ("CreateUser", "user/eve", lambda p: p.identities.import_user(OPERATOR, "eve", BCRYPT)),
    "a group": ("CreateGroup", "group/ops", lambda p: p.identities.create_group(OPERATOR, "ops")),
    "a member": (
        "AddToGroup",
        "group/team",
        lambda p: p.identities.set_member(OPERATOR, "team", "alice", member=True),
    ),
    "no member": (
        "RemoveFromGroup",
        "group/team",
        lambda p: p.identities.set_member(OPERATOR, "team", "alice", member=False),
    ),
    "a policy": ("PutPolicy", "policy/pull", lambda p: p.policies.put(OPERATOR, "pull", DOCUMENT)),
    "a policy of alice": (
        "AttachPolicy",
        "user/alice",
        lambda p: p.policies.set_attached(OPERATOR, "principal", "alice", READ_ONLY, attached=True),
    ),
    "no policy of the group": (
        "DetachPolicy",
        "group/team",
        lambda p: p.policies.set_attached(OPERATOR, "group", "team", READ_ONLY, attached=False),
    ),
    "removed": ("Delete", "robot/ci", lambda p: p.identities.delete(OPERATOR, "robot", "ci")),
    "no group": ("DeleteGroup", "group/team", lambda p: p.identities.delete_group(OPERATOR, "team")),
}


@pytest.mark.parametrize("change", CHANGES)
async def test_each_change_leaves_one_line_that_says_who_and_holds_no_secret(peopled: Parts, change: str) -> None:
    action, target, make = CHANGES[change]
    before = len(await peopled.audit())
    await make(peopled)
    lines = (await peopled.audit())[before:]
    assert [(line.action, line.target) for line in lines] == [(action, target)]
    assert (lines[0].actor, lines[0].address) == (OPERATOR.name, OPERATOR.address)
    assert lines[0].at == pytest.approx(time.time(), abs=30)


async def test_the_lines_about_an_access_key_name_it(peopled: Parts) -> None:
    made = await peopled.identities.create_key(OPERATOR, "user", "alice")
    await peopled.identities.set_key_disabled(OPERATOR, "user", "alice", made.id, disabled=True)
    await peopled.identities.delete_key(OPERATOR, "user", "alice", made.id)
    lines = (await peopled.audit())[-3:]
    assert [line.action for line in lines] == ["CreateAccessKey", "DisableAccessKey", "DeleteAccessKey"]
    assert {line.detail["key"] for line in lines} == {made.id}


async def test_nobodys_key_is_changed_in_anothers_name(peopled: Parts) -> None:
    with pytest.raises(IdentityUnknown):
        await peopled.identities.set_key_disabled(OPERATOR, "robot", "ci", "AKIA" + "A" * 16, disabled=True)
    with pytest.raises(IdentityUnknown):
        await peopled.identities.delete_key(OPERATOR, "robot", "ci", "AKIA" + "A" * 16)
    assert [key.disabled for key in await peopled.identities.keys("user", "alice")] == [False]


async def test_no_secret_and_no_hash_is_ever_in_the_audit(peopled: Parts) -> None:
    shown: list[str] = [PASSWORD, SECRET, "new password"]
    for _, _, make in CHANGES.values():
        made = await make(peopled)
        if isinstance(made, NewAccessKey):
            shown.append(made.secret)
        elif isinstance(made, tuple):
            shown.append(made[1])
        elif isinstance(made, str):
            shown.append(made)
    assert len(shown) == 6
    written = "".join(fields_of(line) for line in await peopled.audit())
    for secret in (*shown, "sha256$", "$argon2"):
        assert secret not in written


async def test_a_change_that_fails_leaves_no_line(peopled: Parts) -> None:
    before = len(await peopled.audit())
    for failing in (
        peopled.identities.create_user(OPERATOR, "alice", "new password"),
        peopled.identities.create_user(OPERATOR, "ci", "new password"),
        peopled.identities.create_robot(OPERATOR, "alice", None),
        peopled.identities.create_group(OPERATOR, "team"),
        peopled.identities.delete(OPERATOR, "robot", "alice"),
        peopled.identities.set_password(OPERATOR, "nobody", "new password"),
        peopled.identities.renew_secret(OPERATOR, "alice"),
        peopled.identities.delete_key(OPERATOR, "robot", "ci", "AKIA" + "A" * 16),
        peopled.identities.set_member(OPERATOR, "team", "nobody", member=True),
        peopled.identities.delete_group(OPERATOR, "nobodies"),
        peopled.policies.set_attached(OPERATOR, "principal", "alice", "NoSuchPolicy", attached=True),
    ):
        with pytest.raises((IdentityExists, IdentityUnknown)):
            await failing
    assert len(await peopled.audit()) == before
    await peopled.sign_in("alice")


@pytest.mark.parametrize(
    "name", ["", "Alice", "a b", "a/b", "a:b", "-a", ".a", "a" * 65, "a\n", "ä", "a\0", "*", "a%2f", "../a", "AKIAX"]
)
async def test_names_that_could_be_taken_for_something_else_are_refused(parts: Parts, name: str) -> None:
    for creating in (
        parts.identities.create_user(OPERATOR, name, PASSWORD),
        parts.identities.create_robot(OPERATOR, name, None),
        parts.identities.create_group(OPERATOR, name),
    ):
        with pytest.raises(IdentityInvalid):
            await creating


@pytest.mark.parametrize("password", ["", "short", "1234567", "x" * 1025])
async def test_a_password_has_a_least_and_a_greatest_length(peopled: Parts, password: str) -> None:
    with pytest.raises(IdentityInvalid):
        await peopled.identities.create_user(OPERATOR, "bob", password)
    with pytest.raises(IdentityInvalid):
        await peopled.identities.set_password(OPERATOR, "alice", password)


async def test_secrets_are_stored_as_hashes_or_sealed(peopled: Parts, tmp_path: Path) -> None:
    _, secret = await peopled.identities.create_robot(OPERATOR, "cd", None)
    alice = await peopled.identities.find("user", "alice")
    robot = await peopled.identities.find("robot", "cd")
    assert alice.secret_hash is not None
    assert robot.secret_hash is not None
    assert alice.secret_hash.startswith("$argon2id$")
    assert verify(robot.secret_hash, secret)
    (key,) = await peopled.identities.keys("user", "alice")
    assert SECRET.encode() not in key.sealed_secret
    for name in tmp_path.glob("estiva.db*"):
        stored = name.read_bytes()
        assert PASSWORD.encode() not in stored
        assert secret.encode() not in stored
        assert SECRET.encode() not in stored


async def test_generated_access_keys_look_like_those_of_aws(peopled: Parts) -> None:
    made = [await peopled.identities.create_key(OPERATOR, "user", "alice") for _ in range(5)]
    assert all(re.fullmatch(r"AKIA[A-Z2-7]{16}", key.id) for key in made)
    assert all(len(key.secret) >= 40 for key in made)
    assert len({key.id for key in made} | {key.secret for key in made}) == 10


async def test_a_robot_is_not_born_expired(parts: Parts) -> None:
    with pytest.raises(IdentityInvalid):
        await parts.identities.create_robot(OPERATOR, "ci", time.time() - 1)


async def test_users_and_robots_share_their_names_and_are_not_taken_for_each_other(peopled: Parts) -> None:
    for kind, name in (("user", "ci"), ("robot", "alice")):
        with pytest.raises(IdentityUnknown):
            await peopled.identities.find(kind, name)
        with pytest.raises(IdentityUnknown):
            await peopled.identities.set_disabled(OPERATOR, kind, name, disabled=True)


async def test_whoever_is_deleted_leaves_nothing_that_a_namesake_would_inherit(peopled: Parts) -> None:
    await peopled.identities.set_member(OPERATOR, "team", "alice", member=True)
    await peopled.policies.set_attached(OPERATOR, "principal", "alice", READ_ONLY, attached=True)
    old = await peopled.identities.find("user", "alice")
    refresh = await peopled.service.refresh_token(await peopled.sign_in("alice"))
    assert refresh is not None
    await peopled.identities.delete(OPERATOR, "user", "alice")
    new = await peopled.identities.create_user(OPERATOR, "alice", "new password")
    assert new.id != old.id
    assert await peopled.identities.keys("user", "alice") == []
    assert await peopled.identities.group("team") == ([], [])
    assert await peopled.policies.attached_to("principal", "alice") == []

    def left() -> Work[list[tuple[object, ...]]]:
        return list((yield Statement("SELECT * FROM refresh_tokens")))

    assert await peopled.database.read(left()) == []


async def test_lists_come_in_pages_by_name(parts: Parts) -> None:
    for name in ("c", "a", "b"):
        await parts.identities.create_robot(OPERATOR, name, None)
        await parts.identities.create_group(OPERATOR, f"group-{name}")
    assert [record.name for record in await parts.identities.page("robot", "", 2)] == ["a", "b"]
    assert [record.name for record in await parts.identities.page("robot", "b", 2)] == ["c"]
    assert await parts.identities.page("user", "", 2) == []
    assert await parts.identities.group_page("group-a", 9) == ["group-b", "group-c"]


async def test_an_audit_page_may_be_about_one_target(peopled: Parts) -> None:
    about = await peopled.database.read(audit.page(1 << 62, 100, "user/alice"))
    assert [line.action for line in about] == ["CreateAccessKey", "CreateUser"]
    assert await peopled.database.read(audit.page(about[1].id, 100, "user/alice")) == []


async def test_nothing_in_the_audit_is_changed_by_later_changes(peopled: Parts) -> None:
    before = await peopled.audit()
    await peopled.identities.delete(OPERATOR, "user", "alice")
    assert (await peopled.audit())[: len(before)] == before


async def test_a_principal_is_found_by_id_and_by_name(peopled: Parts) -> None:
    alice = await peopled.identities.find("user", "alice")
    assert await peopled.database.read(principals.get(alice.id)) == alice
    assert await peopled.database.read(principals.get(10_000)) is None
