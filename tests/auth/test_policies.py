import json
from typing import Any

import pytest

from auth.identities import IdentityExists, IdentityInvalid, IdentityUnknown
from auth.policies import Policies, PolicyInUse, PolicyInvalid
from auth.robots import robot_policy
from auth.uses import PolicyUses
from estiva.errors import NameUnknown
from estiva.reference import RepositoryName
from storage.metadata import issuers, repositories
from tests.auth.parts import OPERATOR, PASSWORD, POWER_USER, READ_ONLY, Parts

APP = RepositoryName("team/app")


def document(action: str, resource: str = "*", effect: str = "Allow", **more: Any) -> str:
    statement = {"Effect": effect, "Action": action, "Resource": resource, **more}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def for_everyone(action: str = "ecr:BatchGetImage", effect: str = "Allow") -> str:
    statement = {"Effect": effect, "Principal": "*", "Action": action}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


@pytest.fixture
async def alice(parts: Parts) -> Parts:
    await parts.identities.create_user(OPERATOR, "alice", PASSWORD)
    await parts.database.write(lambda: repositories.ensure(APP))
    return parts


async def test_a_policy_is_stored_as_it_was_written(parts: Parts) -> None:
    await parts.policies.put(OPERATOR, "Pull", document("ecr:BatchGetImage"))
    assert await parts.policies.find("Pull") == document("ecr:BatchGetImage")
    assert await parts.policies.page("", 9) == ["Pull"]


@pytest.mark.parametrize("text", ["", "{}", "[]", "null", "not json", document("ecr:Pull", Frobnicate="*"), "[" * 5000])
async def test_what_is_not_understood_is_not_stored(alice: Parts, text: str) -> None:
    with pytest.raises(PolicyInvalid):
        await alice.policies.put(OPERATOR, "pull", text)
    with pytest.raises(PolicyInvalid):
        await alice.policies.put_for_repository(OPERATOR, APP, text)
    assert await alice.policies.page("", 9) == []


async def test_a_ready_made_policy_can_be_read_and_not_replaced(parts: Parts) -> None:
    assert "ecr:BatchGetImage" in await parts.policies.find(READ_ONLY)
    with pytest.raises(IdentityExists):
        await parts.policies.put(OPERATOR, READ_ONLY, document("*"))
    with pytest.raises(IdentityUnknown):
        await parts.policies.delete(OPERATOR, READ_ONLY)


@pytest.mark.parametrize("name", ["", "a/b", "a b", "-", "x" * 65])
async def test_names_of_policies_have_a_grammar(parts: Parts, name: str) -> None:
    with pytest.raises(IdentityInvalid):
        await parts.policies.put(OPERATOR, name, document("ecr:*"))


async def test_rights_come_and_go_at_once_in_every_process(alice: Parts, another: Parts) -> None:
    who = await alice.sign_in("alice")

    async def both() -> list[bool]:
        return [await process.may(who, "ecr:PutImage", "team/app") for process in (alice, another)]

    assert await both() == [False, False]
    await alice.policies.set_attached(OPERATOR, "principal", "alice", POWER_USER, attached=True)
    assert await both() == [True, True]
    await another.policies.set_attached(OPERATOR, "principal", "alice", POWER_USER, attached=False)
    assert await both() == [False, False]
    await alice.identities.create_group(OPERATOR, "team")
    await alice.policies.set_attached(OPERATOR, "group", "team", POWER_USER, attached=True)
    assert await both() == [False, False]
    await another.identities.set_member(OPERATOR, "team", "alice", member=True)
    assert await both() == [True, True]
    await alice.policies.put(OPERATOR, "never", document("ecr:PutImage", effect="Deny"))
    await alice.policies.set_attached(OPERATOR, "principal", "alice", "never", attached=True)
    assert await both() == [False, False]
    await another.policies.put(OPERATOR, "never", document("ecr:DeleteRepository", effect="Deny"))
    assert await both() == [True, True]
    await alice.identities.delete_group(OPERATOR, "team")
    assert await both() == [False, False]


async def test_a_repositorys_policy_counts_at_once_in_every_process(alice: Parts, another: Parts) -> None:
    who = await alice.sign_in("alice")

    async def both() -> list[bool]:
        return [await process.may(who, "ecr:BatchGetImage", "team/app") for process in (alice, another)]

    assert await both() == [False, False]
    await another.policies.put_for_repository(OPERATOR, APP, for_everyone())
    assert await both() == [True, True]
    assert not await alice.may(who, "ecr:BatchGetImage", "team/apps")
    await alice.policies.put_for_repository(OPERATOR, APP, for_everyone(effect="Deny"))
    assert await both() == [False, False]
    await alice.policies.put_for_repository(OPERATOR, APP, for_everyone())
    await another.policies.delete_for_repository(OPERATOR, APP)
    assert await both() == [False, False]


async def test_a_repository_made_anew_does_not_inherit_the_policy_of_the_old(alice: Parts, another: Parts) -> None:
    who = await alice.sign_in("alice")
    await alice.policies.put_for_repository(OPERATOR, APP, for_everyone())
    assert await another.may(who, "ecr:BatchGetImage", "team/app")
    await alice.database.write(lambda: repositories.delete(APP))
    await alice.database.write(lambda: repositories.ensure(APP))
    assert not await another.may(who, "ecr:BatchGetImage", "team/app")


async def test_a_policy_that_somebody_has_can_not_be_removed(alice: Parts) -> None:
    await alice.policies.put(OPERATOR, "pull", document("ecr:BatchGetImage"))
    await alice.policies.set_attached(OPERATOR, "principal", "alice", "pull", attached=True)
    with pytest.raises(PolicyInUse):
        await alice.policies.delete(OPERATOR, "pull")
    await alice.policies.set_attached(OPERATOR, "principal", "alice", "pull", attached=False)
    await alice.policies.delete(OPERATOR, "pull")
    with pytest.raises(IdentityUnknown):
        await alice.policies.delete(OPERATOR, "pull")


@pytest.mark.parametrize("holder", ["user", "robot", "group", "issuer", "setting"])
async def test_whoever_uses_a_policy_is_named_to_whoever_would_remove_it(parts: Parts, holder: str) -> None:
    await parts.policies.put(OPERATOR, "pull", document("ecr:BatchGetImage"))
    await parts.identities.create_user(OPERATOR, "alice", PASSWORD)
    await parts.identities.create_robot(OPERATOR, "ci", None)
    await parts.identities.create_group(OPERATOR, "team")
    attached = {"user": ("principal", "alice"), "robot": ("principal", "ci"), "group": ("group", "team")}
    managing, named = parts.policies, {"user": "user/alice", "robot": "robot/ci", "group": "group/team"}
    if holder == "issuer":
        rule = {"claims": {"sub": "a"}, "policies": [READ_ONLY, "pull"]}
        trust = {"issuer": "https://issuer.example", "audience": "estiva", "rules": [rule]}
        await parts.database.write(lambda: issuers.put("broken", "{"))
        await parts.database.write(lambda: issuers.put("build", json.dumps(trust)))
        named["issuer"] = "issuer/build"
    elif holder == "setting":
        managing = Policies(parts.database, PolicyUses(["pull"]))
        named["setting"] = "setting/htpasswd_policies"
    else:
        kind, name = attached[holder]
        await managing.set_attached(OPERATOR, "group" if kind == "group" else "principal", name, "pull", attached=True)
    with pytest.raises(PolicyInUse) as refused:
        await managing.delete(OPERATOR, "pull")
    assert refused.value.detail == {"policy": "pull", "used_by": [named[holder]]}
    assert await parts.policies.find("pull")


async def test_a_robots_own_policy_stays_where_an_issuer_names_it(parts: Parts) -> None:
    await parts.identities.create_robot(OPERATOR, "ci", None, document("ecr:BatchGetImage"))
    rule = {"claims": {"sub": "a"}, "policies": ["robot-ci"]}
    trust = {"issuer": "https://issuer.example", "audience": "estiva", "rules": [rule]}
    await parts.database.write(lambda: issuers.put("build", json.dumps(trust)))
    await parts.identities.delete(OPERATOR, "robot", "ci")
    assert await parts.policies.find("robot-ci")


async def test_attaching_twice_is_once(alice: Parts) -> None:
    for _ in range(2):
        await alice.policies.set_attached(OPERATOR, "principal", "alice", READ_ONLY, attached=True)
    assert await alice.policies.attached_to("principal", "alice") == [READ_ONLY]


async def test_each_change_of_a_repositorys_policy_has_its_line(alice: Parts) -> None:
    before = len(await alice.audit())
    await alice.policies.put_for_repository(OPERATOR, APP, for_everyone())
    await alice.policies.delete_for_repository(OPERATOR, APP)
    lines = (await alice.audit())[before:]
    assert [(line.action, line.target, line.actor) for line in lines] == [
        ("SetRepositoryPolicy", "repository/team/app", OPERATOR.name),
        ("DeleteRepositoryPolicy", "repository/team/app", OPERATOR.name),
    ]


async def test_what_is_not_there_has_no_policy(alice: Parts) -> None:
    absent = RepositoryName("team/absent")
    with pytest.raises(NameUnknown):
        await alice.policies.put_for_repository(OPERATOR, absent, for_everyone())
    for asking in (alice.policies.of_repository(absent), alice.policies.delete_for_repository(OPERATOR, APP)):
        with pytest.raises(IdentityUnknown):
            await asking


async def test_a_robot_may_do_what_it_is_for_where_it_is_for_it(parts: Parts) -> None:
    _, secret = await parts.identities.create_robot(OPERATOR, "ci", None, robot_policy(["team/*", "tool"], ["pull"]))
    robot = await parts.sign_in("ci", secret)
    for name in ("team/app", "team/a/b", "tool"):
        for action in ("ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer", "ecr:ListImages"):
            assert await parts.may(robot, action, name)
        for action in ("ecr:PutImage", "ecr:InitiateLayerUpload", "ecr:BatchDeleteImage", "ecr:CreateRepository"):
            assert not await parts.may(robot, action, name)
    for name in ("team", "teams/app", "tools", "other"):
        assert not await parts.may(robot, "ecr:BatchGetImage", name)


@pytest.mark.parametrize(
    ("actions", "allowed"),
    [
        (["push"], {"ecr:PutImage", "ecr:InitiateLayerUpload", "ecr:CreateRepository"}),
        (["delete"], {"ecr:BatchDeleteImage"}),
        (["pull", "push", "delete"], {"ecr:PutImage", "ecr:InitiateLayerUpload", "ecr:CreateRepository",
                                      "ecr:BatchDeleteImage", "ecr:BatchGetImage", "ecr:ListImages"}),
    ],
)  # fmt: skip
async def test_each_action_of_a_robot_brings_its_rights_and_no_other(
    parts: Parts, actions: list[str], allowed: set[str]
) -> None:
    _, secret = await parts.identities.create_robot(OPERATOR, "ci", None, robot_policy(["a"], actions))
    robot = await parts.sign_in("ci", secret)
    asked = ("ecr:BatchGetImage", "ecr:ListImages", "ecr:PutImage", "ecr:InitiateLayerUpload", "ecr:CreateRepository",
             "ecr:BatchDeleteImage", "ecr:DeleteRepository", "ecr:SetRepositoryPolicy", "iam:CreateUser")  # fmt: skip
    assert {action for action in asked if await parts.may(robot, action, "a")} == allowed


@pytest.mark.parametrize(
    ("repositories", "actions"),
    [([], ["pull"]), (["a"], []), (["a"], ["*"]), (["a"], ["admin"]), ([""], ["pull"]), ([1], ["pull"])],
)
def test_a_robot_for_nothing_or_for_what_there_is_not_is_refused(repositories: list[Any], actions: list[Any]) -> None:
    with pytest.raises(IdentityInvalid):
        robot_policy(repositories, actions)


@pytest.mark.parametrize("actions", [[["pull"]], [{"pull": 1}], [None]])
def test_actions_that_are_no_texts_are_refused(actions: list[Any]) -> None:
    with pytest.raises(IdentityInvalid):
        robot_policy(["a"], actions)


@pytest.mark.parametrize("name", ["${aws:username}", "a\ud800", "a b", "a\n", "*:*", "A/../B"])
async def test_a_robots_repository_that_can_be_no_name_opens_nothing(parts: Parts, name: str) -> None:
    try:
        text = robot_policy([name], ["pull"])
    except IdentityInvalid:
        return
    _, secret = await parts.identities.create_robot(OPERATOR, "ci", None, text)
    robot = await parts.sign_in("ci", secret)
    for other in ("ci", "a", "a/b"):
        assert not await parts.may(robot, "ecr:BatchGetImage", other)


async def test_a_robot_takes_over_nobodys_policy(parts: Parts) -> None:
    await parts.policies.put(OPERATOR, "robot-ci", document("ecr:BatchGetImage"))
    with pytest.raises(IdentityExists):
        await parts.identities.create_robot(OPERATOR, "ci", None, robot_policy(["*"], ["delete"]))
    assert await parts.policies.find("robot-ci") == document("ecr:BatchGetImage")


async def test_a_robot_that_is_deleted_takes_its_own_policy_along(parts: Parts) -> None:
    await parts.identities.create_robot(OPERATOR, "ci", None, robot_policy(["*"], ["delete"]))
    await parts.identities.delete(OPERATOR, "robot", "ci")
    assert await parts.policies.page("", 9) == []
    await parts.identities.create_robot(OPERATOR, "ci", None, robot_policy(["a"], ["pull"]))
