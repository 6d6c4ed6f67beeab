"""The right of a task to pull one repository for ten minutes."""

import time

import pytest

from auth.access import Caller
from auth.pull_tokens import LIFE, USERNAME, PullTokens
from auth.sealing import Seal
from estiva.errors import Unauthorized
from estiva.reference import RepositoryName
from tests.auth.parts import Parts

WEB = RepositoryName.parse("web")
TOKENS = PullTokens(Seal(bytes(32)))


async def test_a_password_says_which_task_it_is_for_until_its_time_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    password = TOKENS.issue("t1", WEB)
    principal = await TOKENS.principal(password)
    assert principal is not None
    assert principal.name == "task/t1"
    later = time.time() + LIFE + 1
    monkeypatch.setattr(time, "time", lambda: later)
    assert await TOKENS.principal(password) is None


@pytest.mark.parametrize("password", ["", "x", "a" * 5000, "=" * 8, "é"])
async def test_what_is_no_password_of_ours_is_refused(password: str) -> None:
    assert await TOKENS.principal(password) is None


async def test_another_server_cannot_read_it() -> None:
    assert await PullTokens(Seal(bytes([1]) * 32)).principal(TOKENS.issue("t1", WEB)) is None


async def test_behaviour_11_a_task_may_pull_its_repository_and_do_nothing_else(parts: Parts) -> None:
    principal = await TOKENS.principal(TOKENS.issue("t1", WEB))
    assert principal is not None
    caller, arn = Caller(principal), parts.authority.repository_arn
    for action in ("ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer", "ecr:BatchCheckLayerAvailability"):
        assert (await parts.authority.decide(caller, action, arn(WEB))).allowed
        assert not (await parts.authority.decide(caller, action, arn(RepositoryName.parse("web2")))).allowed
        assert not (await parts.authority.decide(caller, action, arn(WEB.within("123456789012")))).allowed
    for action in ("ecr:PutImage", "ecr:BatchDeleteImage", "ecr:DescribeImages", "estiva:ListUsers"):
        assert not (await parts.authority.decide(caller, action, arn(WEB))).allowed
    assert await parts.authority.allowed_among(caller, "ecr:BatchGetImage", [WEB]) == [False]


async def test_nobody_else_comes_in_by_that_name(parts: Parts) -> None:
    with pytest.raises(Unauthorized):
        await parts.sign_in(USERNAME, "guessed")
