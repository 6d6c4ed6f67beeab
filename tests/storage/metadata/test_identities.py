"""Principals, groups, policies and keys as facts: each change begins a new epoch of access, and seeks in an index."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from estiva.reference import RepositoryName
from storage.metadata import access, groups, issuers, policies, principals, repositories, signing_keys
from storage.metadata.database import ConstraintError, Database, Statement, Work
from storage.metadata.principals import PrincipalRecord
from storage.metadata.sqlite import SQLiteDatabase

APP = RepositoryName("team/app")


@pytest.fixture
async def alice(database: Database) -> PrincipalRecord:
    created = await database.write(lambda: principals.create("user", "alice", "hash", None))
    assert created is not None
    return created


CHANGES: dict[str, Callable[[int, int], Work[Any]]] = {
    "create": lambda a, g: principals.create("user", "bob", None, None),
    "set_secret": lambda a, g: principals.set_secret(a, "other"),
    "set_disabled": lambda a, g: principals.set_disabled(a, True),
    "delete": lambda a, g: principals.delete(a),
    "create_key": lambda a, g: principals.create_key("AKIA", a, b"sealed"),
    "set_key_disabled": lambda a, g: principals.set_key_disabled("AKIA", True),
    "delete_key": lambda a, g: principals.delete_key("AKIA"),
    "add": lambda a, g: groups.add(g, a),
    "remove": lambda a, g: groups.remove(g, a),
    "delete_group": lambda a, g: groups.delete(g),
    "put": lambda a, g: policies.put("p", "{}"),
    "delete_policy": lambda a, g: policies.delete("p"),
    "attach": lambda a, g: policies.attach("principal", a, "p"),
    "detach": lambda a, g: policies.detach("group", g, "p"),
    "put_for_repository": lambda a, g: policies.put_for_repository(APP, "{}"),
    "delete_for_repository": lambda a, g: policies.delete_for_repository(APP),
    "put_issuer": lambda a, g: issuers.put("i", "{}"),
    "delete_issuer": lambda a, g: issuers.delete("i"),
    "delete_repository": lambda a, g: repositories.delete(APP),
}


@pytest.mark.parametrize("change", CHANGES)
async def test_whatever_a_decision_rests_on_begins_a_new_epoch(
    database: Database, alice: PrincipalRecord, change: str
) -> None:
    group = await database.write(lambda: groups.create("team"))
    assert group is not None
    await database.write(lambda: repositories.ensure(APP))
    before = await database.read(access.epoch())
    await database.write(lambda: CHANGES[change](alice.id, group))
    assert await database.read(access.epoch()) > before


async def test_a_change_that_is_rolled_back_begins_none(database: Database, alice: PrincipalRecord) -> None:
    before = await database.read(access.epoch())

    def work() -> Work[None]:
        yield from principals.set_disabled(alice.id, True)
        yield from principals.create_key("AKIA", 10_000, b"sealed")

    with pytest.raises(ConstraintError):
        await database.write(work)
    assert await database.read(access.epoch()) == before
    assert await database.read(principals.get(alice.id)) == alice


async def test_ids_are_never_given_twice(database: Database, alice: PrincipalRecord) -> None:
    await database.write(lambda: principals.delete(alice.id))
    again = await database.write(lambda: principals.create("user", "alice", "hash", None))
    assert again is not None
    assert again.id > alice.id


async def test_a_refresh_token_is_taken_once(database: Database, alice: PrincipalRecord) -> None:
    await database.write(lambda: signing_keys.enter_refresh_token("digest", alice.id, 2e9, 10))
    assert await database.write(lambda: signing_keys.take_refresh_token("digest")) == (alice.id, 2e9)
    assert await database.write(lambda: signing_keys.take_refresh_token("digest")) is None


async def test_of_too_many_refresh_tokens_the_oldest_fall_out(database: Database, alice: PrincipalRecord) -> None:
    bob = await database.write(lambda: principals.create("user", "bob", "hash", None))
    assert bob is not None
    for number in (3, 1, 2, 5, 4, 6):
        await database.write(partial(signing_keys.enter_refresh_token, f"a{number}", alice.id, 1000.0 + number, 3))
    await database.write(lambda: signing_keys.enter_refresh_token("b", bob.id, 1.0, 3))

    def left() -> Work[list[str]]:
        return [row[0] for row in (yield Statement("SELECT hash FROM refresh_tokens ORDER BY hash"))]

    assert await database.read(left()) == ["a4", "a5", "a6", "b"]


async def test_a_principals_policies_are_its_own_and_its_groups_each_once(
    database: Database, alice: PrincipalRecord
) -> None:
    group = await database.write(lambda: groups.create("team"))
    assert group is not None
    for work in (
        lambda: policies.put("own", "{}"),
        lambda: policies.put("both", "{}"),
        lambda: policies.attach("principal", alice.id, "own"),
        lambda: policies.attach("principal", alice.id, "both"),
        lambda: policies.attach("group", group, "both"),
        lambda: policies.attach("group", group, "ReadyMade"),
        lambda: groups.add(group, alice.id),
    ):
        await database.write(work)
    found = await database.read(policies.of_principal(alice.id))
    assert [(policy.name, policy.document) for policy in found] == [("ReadyMade", None), ("both", "{}"), ("own", "{}")]


@pytest.mark.parametrize(
    "sql",
    [principals.BY_NAME, principals.BY_ID, principals.KEY, principals.KEYS, groups.MEMBERS, policies.OF_PRINCIPAL,
     policies.OF_REPOSITORY, policies.WITH_POLICY, policies.HOLDERS, signing_keys.TAKE_REFRESH,
     signing_keys.KEEP_REFRESH],
)  # fmt: skip
async def test_what_each_request_asks_is_found_by_an_index(database_file: Path, sql: str) -> None:
    names = {name: 1 for name in ("name", "id", "principal", "group", "hash", "first", "last", "most")}

    def explained() -> Work[list[str]]:
        return [str(row[3]) for row in (yield Statement(f"EXPLAIN QUERY PLAN {sql}", names))]

    database = SQLiteDatabase(database_file)
    plan = await database.read(explained())
    await database.close()
    assert not [
        step for step in plan if step.startswith("SCAN") and "CONSTANT" not in step and "subquery" not in step
    ], plan
