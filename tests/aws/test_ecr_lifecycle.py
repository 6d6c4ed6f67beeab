"""Lifecycle policies through boto3, on a real server."""

import json
from collections.abc import Iterator
from typing import Any

import boto3  # type: ignore[import-untyped]
import pytest
from botocore.exceptions import ClientError

from tests.registry.lifecycle.documents import days, policy, rule
from tests.security.secured import KEY_ID, KEY_SECRET, Content, Secured, secured

APP = "team/app"
KEEP_ONE = policy(rule(7, countType="imageCountMoreThan", countNumber=1))
UNTAGGED = policy(rule(1, "untagged", **days(7)))


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    key = {"admin_access_key_id": KEY_ID, "admin_secret_access_key": KEY_SECRET}
    with secured(tmp_path_factory.mktemp("lifecycle"), **key) as registry:
        for seed in ("one", "two", "three"):
            content = Content.of(APP, seed)
            registry.push(Content(APP, content.blob, content.manifest, seed))
        yield registry
        assert "Traceback" not in registry.registry.log.read_text()


@pytest.fixture(scope="module")
def ecr(registry: Secured) -> Any:
    return boto3.client(
        "ecr",
        region_name="us-east-1",
        endpoint_url=f"http://{registry.registry.host}",
        aws_access_key_id=KEY_ID,
        aws_secret_access_key=KEY_SECRET,
    )


def code(call: Any, **arguments: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as refused:
        call(**arguments)
    error = refused.value.response["Error"]
    return error["Code"], error["Message"]


def test_a_policy_is_set_shown_and_removed(ecr: Any) -> None:
    assert code(ecr.get_lifecycle_policy, repositoryName=APP) == (
        "LifecyclePolicyNotFoundException",
        f"Lifecycle policy does not exist for the repository with name '{APP}' in the registry with id '000000000000'",
    )
    put = ecr.put_lifecycle_policy(repositoryName=APP, lifecyclePolicyText=UNTAGGED)
    assert (put["registryId"], put["repositoryName"]) == ("000000000000", APP)
    assert put["lifecyclePolicyText"] == UNTAGGED
    found = ecr.get_lifecycle_policy(repositoryName=APP)
    assert found["lifecyclePolicyText"] == UNTAGGED
    assert "lastEvaluatedAt" not in found
    assert ecr.delete_lifecycle_policy(repositoryName=APP)["lifecyclePolicyText"] == UNTAGGED
    assert code(ecr.delete_lifecycle_policy, repositoryName=APP)[0] == "LifecyclePolicyNotFoundException"


def test_a_preview_is_waited_for_and_paged_through(ecr: Any) -> None:
    assert code(ecr.get_lifecycle_policy_preview, repositoryName=APP)[0] == "LifecyclePolicyPreviewNotFoundException"
    assert code(ecr.start_lifecycle_policy_preview, repositoryName=APP)[0] == "LifecyclePolicyNotFoundException"
    ecr.start_lifecycle_policy_preview(repositoryName=APP, lifecyclePolicyText=KEEP_ONE)
    ecr.get_waiter("lifecycle_policy_preview_complete").wait(repositoryName=APP)
    pages = ecr.get_paginator("get_lifecycle_policy_preview").paginate(
        repositoryName=APP, PaginationConfig={"PageSize": 1}
    )
    found = [result for page in pages for result in page["previewResults"]]
    assert len(found) == 2
    assert {result["appliedRulePriority"] for result in found} == {7}
    assert {result["action"]["type"] for result in found} == {"EXPIRE"}
    whole = ecr.get_lifecycle_policy_preview(repositoryName=APP)
    assert whole["summary"]["expiringImageTotalCount"] == 2
    assert whole["previewResults"] == found
    assert "nextToken" not in whole
    [tag] = found[0]["imageTags"]
    chosen = ecr.get_lifecycle_policy_preview(repositoryName=APP, imageIds=[{"imageTag": tag}])
    assert chosen["previewResults"] == found[:1]
    tagged = ecr.get_lifecycle_policy_preview(repositoryName=APP, filter={"tagStatus": "UNTAGGED"})
    assert tagged["previewResults"] == []
    assert len(ecr.describe_images(repositoryName=APP)["imageDetails"]) == 3


def test_what_is_no_policy_is_refused_in_ecrs_words(ecr: Any) -> None:
    text = policy(rule(1, "untagged"), rule(1, "any", **days(30)))
    assert code(ecr.put_lifecycle_policy, repositoryName=APP, lifecyclePolicyText=text) == (
        "InvalidParameterException",
        "Invalid parameter at 'LifecyclePolicyText' failed to satisfy constraint: "
        "'Lifecycle policy validation failure: "
        "rulePriority must be unique among the rules'",
    )
    missing = code(ecr.put_lifecycle_policy, repositoryName="no/such", lifecyclePolicyText=UNTAGGED)
    assert missing[0] == "RepositoryNotFoundException"
    assert code(ecr.get_lifecycle_policy_preview, repositoryName="no/such")[0] == "RepositoryNotFoundException"


def test_a_run_shows_in_every_api(ecr: Any, registry: Secured) -> None:
    ecr.put_lifecycle_policy(repositoryName=APP, lifecyclePolicyText=KEEP_ONE)
    expected = ecr.start_lifecycle_policy_preview(repositoryName=APP)
    assert expected["status"] == "COMPLETE"
    preview = ecr.get_lifecycle_policy_preview(repositoryName=APP)["previewResults"]
    run = json.loads(registry.done("POST", f"/lifecycle-runs/{APP}").body)
    assert {one["digest"] for one in run["expired"]} == {one["imageDigest"] for one in preview}
    assert len(ecr.describe_images(repositoryName=APP)["imageDetails"]) == 1
    assert ecr.get_lifecycle_policy(repositoryName=APP)["lastEvaluatedAt"].year >= 2024
