"""boto3's own way through every operation, error, page and waiter that botocore knows of ECR."""

import base64
import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from botocore import xform_name
from botocore.exceptions import ClientError, WaiterError

from aws.models import load_service
from aws.operations import ECR
from tests.aws.calls import CALLS, LIFECYCLE
from tests.aws.clients import Ecr, Front, new_repository, put, refused
from tests.aws.refusals import NEVER, NEVER_THERE, documented, refusals, unobtainable

SERVICE = load_service("ecr")
UNSUPPORTED = sorted(set(SERVICE.operations) - set(ECR))
REFUSED = refusals()


def as_arguments(members: Mapping[str, Any]) -> dict[str, Any]:
    """The members as boto3 takes them: it writes blobs in base64 itself."""
    blobs = {name: base64.b64decode(members[name]) for name in ("layerPartBlob",) if name in members}
    blobs = {name: members[name] if isinstance(members[name], bytes) else blob for name, blob in blobs.items()}
    return {**members, **blobs}


def test_no_operation_error_page_or_waiter_is_missing_here(ecr: Ecr) -> None:
    assert set(CALLS) == set(ECR)
    assert set(REFUSED) | unobtainable() == documented()
    assert not set(REFUSED) & unobtainable()
    assert set(NEVER_THERE) <= documented()
    assert set(NEVER) <= {error for _, error in documented()}
    assert set(PAGED) == {name for name in ECR if ecr.can_paginate(xform_name(name))}
    assert set(WAITERS) == set(ecr.waiter_names)


@pytest.mark.parametrize("operation", sorted(ECR))
def test_every_operation_succeeds(ecr: Ecr, operation: str) -> None:
    given = as_arguments(CALLS[operation](ecr, new_repository(ecr)))
    answer = getattr(ecr, xform_name(operation))(**given)
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 200
    assert answer["ResponseMetadata"]["RequestId"]


@pytest.mark.parametrize(("operation", "error"), sorted(REFUSED))
def test_every_error_that_is_documented_is_raised(ecr: Ecr, operation: str, error: str) -> None:
    given = as_arguments(REFUSED[operation, error](ecr, new_repository(ecr)))
    with pytest.raises(getattr(ecr.exceptions, f"{error}Exception")) as caught:
        getattr(ecr, xform_name(operation))(**given)
    assert caught.value.response["Error"]["Message"]
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400


@pytest.mark.parametrize("operation", UNSUPPORTED)
def test_what_is_not_supported_says_so_by_name(front: Front, operation: str) -> None:
    with pytest.raises(ClientError) as caught:
        getattr(front.unchecked(), xform_name(operation))()
    assert caught.value.response["Error"]["Code"] == "NotImplementedException"
    assert f"ecr {operation} is not implemented" in caught.value.response["Error"]["Message"]
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 501


def _three_images(ecr: Ecr) -> dict[str, Any]:
    name = new_repository(ecr)
    for number in range(3):
        put(ecr, name, f"t{number}", str(number))
    return {"repositoryName": name}


def _previewed(ecr: Ecr) -> dict[str, Any]:
    given = _three_images(ecr)
    put(ecr, given["repositoryName"], "newest", "newest")
    ecr.start_lifecycle_policy_preview(lifecyclePolicyText=LIFECYCLE, **given)
    return given


def _three_rules(ecr: Ecr) -> dict[str, Any]:
    for _ in range(3):
        ecr.create_pull_through_cache_rule(**CALLS["CreatePullThroughCacheRule"](ecr, ""))
    return {}


def _three_templates(ecr: Ecr) -> dict[str, Any]:
    for _ in range(3):
        ecr.create_repository_creation_template(**CALLS["CreateRepositoryCreationTemplate"](ecr, ""))
    return {}


def _three_repositories(ecr: Ecr) -> dict[str, Any]:
    for _ in range(3):
        new_repository(ecr)
    return {}


PAGED: dict[str, tuple[str, str, Callable[[Ecr], dict[str, Any]]]] = {
    "DescribeImages": ("imageDetails", "imageDigest", _three_images),
    "DescribePullThroughCacheRules": ("pullThroughCacheRules", "ecrRepositoryPrefix", _three_rules),
    "DescribeRepositories": ("repositories", "repositoryName", _three_repositories),
    "DescribeRepositoryCreationTemplates": ("repositoryCreationTemplates", "prefix", _three_templates),
    "GetLifecyclePolicyPreview": ("previewResults", "imageDigest", _previewed),
    "ListImages": ("imageIds", "imageTag", _three_images),
    # Its findings need a scanner: test_mirroring.py has them page by page.
    "DescribeImageScanFindings": ("", "", lambda ecr: {}),
}


@pytest.mark.parametrize("operation", sorted(name for name, (key, _, _) in PAGED.items() if key))
def test_every_paginator_shows_everything_once(front: Front, operation: str) -> None:
    ecr = front.account(f"1000000001{sorted(PAGED).index(operation):02}")  # where nothing else is
    key, by, make = PAGED[operation]
    given = make(ecr)
    whole = getattr(ecr, xform_name(operation))(**given)
    assert len(whole[key]) == 3
    paginator = ecr.get_paginator(xform_name(operation))
    for size in (1, 2, 3, 100):
        pages = [page[key] for page in paginator.paginate(**given, PaginationConfig={"PageSize": size})]
        assert max(map(len, pages)) <= size
        assert len(pages) == -(-3 // size)
        assert [entry[by] for page in pages for entry in page] == [entry[by] for entry in whole[key]]


WAITERS: dict[str, tuple[Callable[[Ecr], Mapping[str, Any]], str]] = {
    # That a scan which succeeds ends it is in test_mirroring.py, where a scanner is.
    "image_scan_complete": (lambda ecr: CALLS["StartImageScan"](ecr, new_repository(ecr)), "ScanNotFound"),
    "lifecycle_policy_preview_complete": (
        lambda ecr: {"repositoryName": new_repository(ecr)},
        "LifecyclePolicyPreviewNotFound",
    ),
}


@pytest.mark.parametrize("waiter", sorted(WAITERS))
def test_nobody_waits_for_what_was_not_begun(ecr: Ecr, waiter: str) -> None:
    make, error = WAITERS[waiter]
    with pytest.raises(WaiterError, match=error):
        ecr.get_waiter(waiter).wait(**make(ecr), WaiterConfig={"Delay": 1, "MaxAttempts": 1})


def test_a_preview_is_waited_for(ecr: Ecr) -> None:
    waiter = ecr.get_waiter("lifecycle_policy_preview_complete")
    waiter.wait(**_previewed(ecr), WaiterConfig={"Delay": 1, "MaxAttempts": 5})


def test_an_operation_is_allowed_by_its_own_action_and_no_other(front: Front, ecr: Ecr) -> None:
    name = new_repository(ecr)
    others = [f"ecr:{operation}" for operation in ECR if operation != "ListImages"]
    statement = {"Effect": "Allow", "Action": others, "Resource": "*"}
    user = front.user("all-but-one", json.dumps({"Version": "2012-10-17", "Statement": [statement]}))
    assert user.describe_images(repositoryName=name)["imageDetails"] == []
    assert refused(user.list_images, repositoryName=name)[0] == "AccessDeniedException"
