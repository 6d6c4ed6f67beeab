"""Repositories that nobody creates by name: which template says what they are like, and which pushes create them."""

import json
from typing import Any

import pytest

from estiva.errors import NameUnknown
from estiva.reference import RepositoryName
from registry.creating import (
    AppliedFor,
    CreateOnPush,
    Creating,
    Template,
    TemplateExists,
    TemplateInvalid,
    TemplateUnknown,
)
from registry.repositories import Repositories, apply_template
from storage.metadata import lifecycle, policies, repositories
from storage.metadata.audit import Actor
from storage.metadata.database import Database
from tests.registry.lifecycle.documents import policy, rule

ACTOR = Actor("user/test")
PUSH, PULL, COPY = AppliedFor.CREATE_ON_PUSH, AppliedFor.PULL_THROUGH_CACHE, AppliedFor.REPLICATION
LIFECYCLE = policy(rule(1, countType="imageCountMoreThan", countNumber=1))
POLICY = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"ecr:ListImages"}]}'


def creating(database: Database, on_push: CreateOnPush = CreateOnPush.ALWAYS) -> Creating:
    return Creating(database, on_push, (apply_template,))


async def put(database: Database, prefix: str, *reasons: AppliedFor, account: str = "", **document: Any) -> None:
    applied = [reason.value for reason in reasons or AppliedFor]
    template = Template(prefix, {"appliedFor": applied, **document})
    await creating(database).put(ACTOR, account, template, new=True)


async def made_by(database: Database, name: str, reason: AppliedFor, account: str = "") -> str | None:
    """The template that a new repository was made by: each of these tests gives its name as a tag."""
    wanted = RepositoryName(name, account)
    await database.write(lambda: creating(database).create(wanted, reason))
    return (await Repositories(database).tags(wanted)).get("by")


async def named(database: Database, prefix: str, *reasons: AppliedFor, account: str = "") -> None:
    tags = [{"Key": "by", "Value": prefix}]
    await put(database, prefix, *reasons, account=account, resourceTags=tags)


@pytest.mark.parametrize("reason", AppliedFor)
async def test_a_template_says_all_of_what_a_new_repository_is_like(database: Database, reason: AppliedFor) -> None:
    await put(
        database,
        "team",
        reason,
        imageTagMutability="IMMUTABLE_WITH_EXCLUSION",
        imageTagMutabilityExclusionFilters=[{"filterType": "WILDCARD", "filter": "dev-*"}],
        resourceTags=[{"Key": "team", "Value": "one"}],
        repositoryPolicy=POLICY,
        lifecyclePolicy=LIFECYCLE,
    )
    name = RepositoryName("team/app")
    await database.write(lambda: creating(database).create(name, reason))
    found = await Repositories(database).find(name)
    assert (found.mutability.mode.value, found.mutability.exclusions) == ("IMMUTABLE_WITH_EXCLUSION", ("dev-*",))
    assert await Repositories(database).tags(name) == {"team": "one"}
    assert await database.read(policies.of_repository(name)) == POLICY
    expiring = await database.read(lifecycle.find(name))
    assert expiring is not None
    assert json.loads(expiring.document) == json.loads(LIFECYCLE)


async def test_the_longest_prefix_counts_and_root_is_the_shortest(database: Database) -> None:
    for prefix in ("ROOT", "a", "a/b", "longer-than-root"):
        await named(database, prefix)
    for name, prefix in {
        "a/b/c": "a/b",
        "a/b/c/d": "a/b",
        "a/bc": "a",
        "a/b": "a",
        "ab/c": "ROOT",
        "a": "ROOT",
        "root/x": "ROOT",
        "longer-than-root/x": "longer-than-root",
    }.items():
        assert await made_by(database, name, PUSH) == prefix, name


async def test_a_template_is_for_what_it_is_applied_for(database: Database) -> None:
    await named(database, "a", PULL)
    await named(database, "a/b", COPY, PUSH)
    assert await made_by(database, "a/b/pulled", PULL) == "a"
    assert await made_by(database, "a/b/copied", COPY) == "a/b"
    assert await made_by(database, "a/b/pushed", PUSH) == "a/b"
    assert await made_by(database, "a/pushed", PUSH) is None


async def test_a_template_of_one_account_says_nothing_to_another(database: Database) -> None:
    await named(database, "ROOT", account="111111111111")
    assert await made_by(database, "app", PUSH) is None
    assert await made_by(database, "app", PUSH, "111111111111") == "ROOT"


async def test_a_repository_that_is_there_stays_as_it_is(database: Database) -> None:
    name = RepositoryName("a/app")
    await database.write(lambda: repositories.ensure(name))
    await named(database, "a")
    assert await made_by(database, name.text, PUSH) is None


async def test_changing_or_deleting_a_template_changes_no_repository(database: Database) -> None:
    await named(database, "a")
    assert await made_by(database, "a/one", PUSH) == "a"
    keeper = creating(database)
    other = Template("a", {"appliedFor": ["CREATE_ON_PUSH"], "resourceTags": [{"Key": "by", "Value": "another"}]})
    await keeper.put(ACTOR, "", other, new=False)
    assert await made_by(database, "a/two", PUSH) == "another"
    await keeper.delete(ACTOR, "", "a")
    assert await made_by(database, "a/one", PUSH) == "a"
    assert await made_by(database, "a/three", PUSH) is None


@pytest.mark.parametrize(
    ("on_push", "inside", "outside"),
    [
        (CreateOnPush.ALWAYS, True, True),
        (CreateOnPush.TEMPLATES, True, False),
        (CreateOnPush.NEVER, False, False),
    ],
)
async def test_which_pushes_create_repositories_is_a_setting(
    database: Database, on_push: CreateOnPush, inside: bool, outside: bool
) -> None:
    await named(database, "a", PUSH)
    await named(database, "pulled", PULL)
    for text, created in (("a/app", inside), ("b/app", outside), ("pulled/app", outside)):
        name = RepositoryName(text)
        try:
            await creating(database, on_push).on_push(name)
        except NameUnknown:
            assert not created, text
        assert (await database.read(repositories.find(name)) is not None) is created, text
    # Replication and the cache have said so by their own settings.
    copied = RepositoryName("b/copied")
    await creating(database, on_push).on_push(copied, COPY)
    assert await database.read(repositories.find(copied)) is not None


@pytest.mark.parametrize(
    ("prefix", "document"),
    [
        ("a", {}),
        ("A", {"appliedFor": ["REPLICATION"]}),
        ("", {"appliedFor": ["REPLICATION"]}),
        ("a", {"appliedFor": ["REPLICATION"], "repositoryPolicy": "{}"}),
        ("a", {"appliedFor": ["REPLICATION"], "lifecyclePolicy": "{}"}),
    ],
    ids=["for-nothing", "prefix", "empty", "policy", "lifecycle"],
)
async def test_what_no_repository_can_be_like_is_refused(
    database: Database, prefix: str, document: dict[str, Any]
) -> None:
    with pytest.raises(TemplateInvalid):
        await creating(database).put(ACTOR, "", Template(prefix, document), new=True)


async def test_there_is_one_template_for_each_prefix(database: Database) -> None:
    await named(database, "a")
    with pytest.raises(TemplateExists):
        await named(database, "a/")
    with pytest.raises(TemplateUnknown):
        await creating(database).put(ACTOR, "", Template("b", {"appliedFor": ["REPLICATION"]}), new=False)
