"""Deciding about many repositories at once: for less, and never otherwise than one by one."""

import json
import random
import time
from typing import Any

import pytest

from auth.access import Caller
from auth.principals import ANONYMOUS, Kind, Principal
from estiva.reference import RepositoryName
from storage.metadata import registry_settings, repositories
from storage.metadata.database import Work
from tests.auth.parts import HERE, OPERATOR, PASSWORD, Parts

NAMES = [f"{team}/{app}" for team in ("alice", "bob", "ops", "web") for app in ("a", "app", "b", "prod-1", "z")]
RESOURCES = ["*", "arn:aws:ecr:*:*:repository/web/*", "arn:aws:ecr:*:*:repository/${aws:username}/*",
             "arn:aws:ecr:*:*:repository/*/a*", "arn:aws:ecr:*:111111111111:repository/*",
             "arn:aws:ecr:us-east-1:000000000000:repository/ops/b"]  # fmt: skip
CONDITIONS = [{}, {}, {"IpAddress": {"aws:SourceIp": "198.51.100.0/24"}}, {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}},
              {"StringEquals": {"aws:username": "alice"}}, {"StringLike": {"ecr:ImageTag": "v*"}}]  # fmt: skip
ACTIONS = ["ecr:BatchGetImage", "ecr:*", "ecr:PutImage"]
PRINCIPALS = ["*", {"AWS": "arn:aws:iam::000000000000:user/alice"}, {"AWS": "000000000000"}]


def document(chance: random.Random, *, of_repository: bool, of_registry: bool = False) -> str:
    statements = []
    for _ in range(chance.randint(1, 3)):
        said: dict[str, Any] = {"Effect": chance.choice(["Allow", "Allow", "Deny"]), "Action": chance.choice(ACTIONS)}
        if of_repository:
            said["Principal"] = chance.choice(PRINCIPALS)
        if of_registry or not of_repository:
            said["Resource"] = chance.choice(RESOURCES)
        condition = chance.choice(CONDITIONS)
        statements.append(said | ({"Condition": condition} if condition else {}))
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


async def enter(parts: Parts, *names: str) -> None:
    def work() -> Work[None]:
        for name in names:
            yield from repositories.ensure(RepositoryName(name))

    await parts.database.write(work)


@pytest.mark.parametrize("seed", range(40))
async def test_many_at_once_are_decided_as_one_by_one(parts: Parts, seed: int) -> None:
    chance = random.Random(seed)
    await enter(parts, *NAMES)
    await parts.identities.create_user(OPERATOR, "alice", PASSWORD)
    for number in range(chance.randint(0, 3)):
        await parts.policies.put(OPERATOR, f"p{number}", document(chance, of_repository=False))
        await parts.policies.set_attached(OPERATOR, "principal", "alice", f"p{number}", attached=True)
    for name in chance.sample(NAMES, chance.randint(0, 6)):
        await parts.policies.put_for_repository(OPERATOR, RepositoryName(name), document(chance, of_repository=True))
    if seed % 3 == 0:
        text = document(chance, of_repository=True, of_registry=True)
        await parts.database.write(lambda: registry_settings.put("", registry_settings.POLICY, text))
    alice = await parts.sign_in("alice")
    unknown = Principal(Kind.JOB, "ci/job", trust="nobody")
    elsewhere = Principal(Kind.USER, "alice", trust="dev", account="111111111111")
    names = [RepositoryName(name) for name in sorted(NAMES)]
    for principal in (alice, ANONYMOUS, unknown, elsewhere):
        caller = Caller(principal, None, {"aws:sourceip": (HERE,)})
        for action in ("ecr:BatchGetImage", "ecr:PutImage"):
            at_once = await parts.authority.allowed_among(caller, action, names)
            each = [(await parts.authority.decide(caller, action, parts.arn(name.text))).allowed for name in names]
            assert at_once == each, (principal, action)


async def test_nothing_is_remembered_beyond_a_change(parts: Parts, another: Parts) -> None:
    await enter(parts, "a", "b")
    await parts.identities.create_user(OPERATOR, "alice", PASSWORD)
    caller = Caller(await parts.sign_in("alice"), None, {})
    names = [RepositoryName("a"), RepositoryName("b")]

    async def allowed() -> list[bool]:
        return await parts.authority.allowed_among(caller, "ecr:BatchGetImage", names)

    public = json.dumps({"Version": "2012-10-17",
                         "Statement": [{"Effect": "Allow", "Principal": "*", "Action": "ecr:*"}]})  # fmt: skip
    assert await allowed() == [False, False]
    await another.policies.put_for_repository(OPERATOR, RepositoryName("b"), public)
    assert await allowed() == [False, True]
    await another.policies.set_attached(OPERATOR, "principal", "alice", "AdministratorAccess", attached=True)
    assert await allowed() == [True, True]
    await another.policies.put_for_repository(OPERATOR, RepositoryName("a"), public.replace("Allow", "Deny"))
    assert await allowed() == [False, True]


async def test_none_of_none(parts: Parts) -> None:
    assert await parts.authority.allowed_among(Caller(ANONYMOUS), "ecr:BatchGetImage", []) == []


async def test_many_at_once_cost_a_fraction_of_one_by_one(parts: Parts) -> None:
    names = [RepositoryName(f"team/repository-{number:04}") for number in range(1000)]
    await enter(parts, *(name.text for name in names))
    await parts.identities.create_user(OPERATOR, "alice", PASSWORD)
    await parts.policies.set_attached(OPERATOR, "principal", "alice", "AdministratorAccess", attached=True)
    caller = Caller(await parts.sign_in("alice"), None, {"aws:sourceip": (HERE,)})
    least = []
    for at_once in (True, False):
        taken = []
        for turn in range(5):
            # Decided anew each time: what was decided before for one repository is remembered.
            fresh = [parts.arn(f"turn-{turn}/{name.text}") for name in names]
            begun = time.process_time()
            if at_once:
                assert all(await parts.authority.allowed_among(caller, "ecr:BatchGetImage", names))
            else:
                for arn in fresh:
                    assert (await parts.authority.decide(caller, "ecr:BatchGetImage", arn)).allowed
            taken.append(time.process_time() - begun)
        least.append(min(taken))
    assert least[0] < least[1]
