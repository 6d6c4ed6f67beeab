"""The table of operations, scopes and ready-made policies."""

import itertools
import json
from collections.abc import Callable

import pytest
from botocore.loaders import Loader

from auth.policy import PolicyRequest, evaluate, parse_identity_policy
from auth.policy.actions import (
    REQUIRED,
    SCOPE_ACTIONS,
    Operation,
    grant,
    permits,
    registry_arn,
    repository_arn,
)
from auth.policy.managed import ARN_PREFIX, MANAGED_POLICIES
from estiva.reference import RepositoryName
from tests.auth.policy.generated import ANN, HOME

WEB = repository_arn("us-east-1", HOME, RepositoryName("team/web"))
PULLING = {
    Operation.GET_MANIFEST,
    Operation.HEAD_MANIFEST,
    Operation.GET_BLOB,
    Operation.HEAD_BLOB,
    Operation.LIST_REFERRERS,
}
PUSHING = {
    Operation.HEAD_BLOB,
    Operation.START_UPLOAD,
    Operation.UPLOAD_AT_ONCE,
    Operation.CONTINUE_UPLOAD,
    Operation.FINISH_UPLOAD,
    Operation.PUT_MANIFEST,
}
READING = PULLING | {Operation.GET_TOKEN, Operation.MOUNT_FROM, Operation.LIST_TAGS, Operation.LIST_REPOSITORIES}


def of(name: str) -> Callable[[str], bool]:
    """What a user with one ready-made policy may do."""
    return lambda action: evaluate(PolicyRequest(ANN, action, WEB), [MANAGED_POLICIES[name]], None).allowed


def allowed(may: Callable[[str], bool]) -> set[Operation]:
    return {operation for operation in Operation if permits(operation, may)}


def test_every_operation_and_scope_asks_for_actions_that_ecr_has() -> None:
    known = set(Loader().load_service_model("ecr", "service-2")["operations"])
    # In IAM only: no calls of their own, a pull through the cache or replication does them.
    known |= {"BatchImportUpstreamImage", "ReplicateImage"}
    asked = set(itertools.chain.from_iterable(itertools.chain.from_iterable(REQUIRED.values())))
    asked |= set(itertools.chain.from_iterable(SCOPE_ACTIONS.values()))
    assert {action.removeprefix("ecr:") for action in asked} <= known


def test_every_operation_asks_for_something() -> None:
    assert set(REQUIRED) == set(Operation)
    assert all(alternatives and all(alternatives) for alternatives in REQUIRED.values())
    assert allowed(lambda _: False) == set()
    assert allowed(lambda _: True) == set(Operation)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "AmazonEC2ContainerRegistryPullOnly",
            READING - {Operation.LIST_TAGS, Operation.LIST_REPOSITORIES} | {Operation.IMPORT_UPSTREAM},
        ),
        ("AmazonEC2ContainerRegistryReadOnly", READING),
        ("AmazonEC2ContainerRegistryPowerUser", READING | PUSHING),
        ("AmazonEC2ContainerRegistryFullAccess", set(Operation)),
        ("AdministratorAccess", set(Operation)),
    ],
)
def test_what_each_ready_made_policy_allows(name: str, expected: set[Operation]) -> None:
    assert allowed(of(name)) == expected


def test_the_ready_made_policies_are_policies_like_any_other() -> None:
    assert set(MANAGED_POLICIES) == {
        "AmazonEC2ContainerRegistryPullOnly",
        "AmazonEC2ContainerRegistryReadOnly",
        "AmazonEC2ContainerRegistryPowerUser",
        "AmazonEC2ContainerRegistryFullAccess",
        "AmazonECS_FullAccess",
        "AdministratorAccess",
    }
    assert ARN_PREFIX == "arn:aws:iam::aws:policy/"
    for name, document in MANAGED_POLICIES.items():
        assert document == parse_identity_policy(document.text, name)


def test_administrators_may_do_more_than_use_the_registry() -> None:
    assert of("AdministratorAccess")("ecs:RunTask")
    assert not of("AmazonEC2ContainerRegistryFullAccess")("ecs:RunTask")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("AmazonEC2ContainerRegistryPullOnly", ("pull",)),
        ("AmazonEC2ContainerRegistryPowerUser", ("pull", "push")),
        ("AmazonEC2ContainerRegistryFullAccess", ("pull", "push", "delete")),
    ],
)
@pytest.mark.parametrize("asked", [["delete", "pull", "push", "*"], ["*"], ["push", "delete", "pull", "pull"]])
def test_a_token_gets_what_was_asked_for_and_is_allowed(name: str, expected: tuple[str, ...], asked: list[str]) -> None:
    assert grant(asked, of(name)) == expected


def test_a_token_gets_nothing_that_was_not_asked_for_or_is_unknown() -> None:
    assert grant(["pull"], lambda _: True) == ("pull",)
    assert grant([], lambda _: True) == ()
    assert grant(["", "Pull", "admin", "pull "], lambda _: True) == ()


@pytest.mark.parametrize("scope", list(SCOPE_ACTIONS))
def test_a_scope_is_granted_only_where_each_of_its_actions_is_allowed(scope: str) -> None:
    for missing in SCOPE_ACTIONS[scope]:
        text = json.dumps(
            {
                "Version": "2012-10-17",
                "Statement": [
                    {"Effect": "Allow", "Action": "ecr:*", "Resource": "*"},
                    {"Effect": "Deny", "Action": missing, "Resource": WEB},
                ],
            }
        )
        document = parse_identity_policy(text)
        granted = grant(["*"], lambda a, d=document: evaluate(PolicyRequest(ANN, a, WEB), [d], None).allowed)  # type: ignore[misc]
        assert granted == tuple(name for name in SCOPE_ACTIONS if name != scope)


def test_the_arns_of_repositories() -> None:
    assert WEB == "arn:aws:ecr:us-east-1:000000000000:repository/team/web"
    assert registry_arn("eu-west-1", "111111111111") == "arn:aws:ecr:eu-west-1:111111111111:repository/*"
