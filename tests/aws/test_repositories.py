"""Repositories through boto3: made, described, changed, tagged, deleted."""

from typing import Any

import pytest

from tests.aws.clients import OWN, Ecr, Front, new_name, new_repository, put, refused


def test_a_repository_is_described_as_it_was_made(front: Front, ecr: Ecr) -> None:
    name = new_name("team/app")
    made = ecr.create_repository(
        repositoryName=name,
        imageTagMutability="IMMUTABLE_WITH_EXCLUSION",
        imageTagMutabilityExclusionFilters=[{"filterType": "WILDCARD", "filter": "dev-*"}],
        imageScanningConfiguration={"scanOnPush": True},
        tags=[{"Key": "team", "Value": "one"}],
    )["repository"]
    assert made["repositoryArn"] == f"arn:aws:ecr:us-east-1:{OWN}:repository/{name}"
    assert (made["registryId"], made["repositoryUri"]) == (OWN, f"{front.host}/{name}")
    assert made["imageScanningConfiguration"] == {"scanOnPush": True}
    assert made["imageTagMutabilityExclusionFilters"] == [{"filterType": "WILDCARD", "filter": "dev-*"}]
    assert ecr.describe_repositories(repositoryNames=[name])["repositories"] == [made]
    assert ecr.list_tags_for_resource(resourceArn=made["repositoryArn"])["tags"] == [{"Key": "team", "Value": "one"}]


def test_a_repository_that_docker_pushed_to_is_there(front: Front, ecr: Ecr) -> None:
    name = new_name()
    front.served.begin_upload(name, front.served.user(f"u-{name}", "AdministratorAccess"))
    assert ecr.describe_repositories(repositoryNames=[name])["repositories"][0]["repositoryName"] == name


def test_a_name_is_taken_once(ecr: Ecr) -> None:
    name = new_repository(ecr)
    assert refused(ecr.create_repository, repositoryName=name) == (
        "RepositoryAlreadyExistsException",
        f"The repository with name '{name}' already exists in the registry with id '{OWN}'",
    )


def test_all_repositories_come_page_by_page_each_once(front: Front) -> None:
    ecr = front.account("100000000001")
    names = [ecr.create_repository(repositoryName=f"r{n}")["repository"]["repositoryName"] for n in range(7)]
    pages = [
        [one["repositoryName"] for one in page["repositories"]]
        for page in ecr.get_paginator("describe_repositories").paginate(PaginationConfig={"PageSize": 3})
    ]
    assert [len(page) for page in pages] == [3, 3, 1]
    assert [name for page in pages for name in page] == names


def test_a_token_of_a_page_is_good_for_that_list_only(front: Front) -> None:
    ecr = front.account("100000000002")
    for name in ("aa", "bb"):
        ecr.create_repository(repositoryName=name)
    token = ecr.describe_repositories(maxResults=1)["nextToken"]
    assert "aa" not in token
    for other in (token[:-2] + ("AA" if token[-2:] != "AA" else "BB"), "bm90IG91cnM=", "ü", "x" * 5000):
        assert refused(ecr.describe_repositories, nextToken=other)[0] == "InvalidParameterException"
    elsewhere = front.account("100000000003")
    assert refused(elsewhere.describe_repositories, nextToken=token)[0] == "InvalidParameterException"
    assert refused(ecr.list_images, repositoryName="aa", nextToken=token)[0] == "InvalidParameterException"


def test_describing_by_name_stops_at_the_first_that_is_missing(ecr: Ecr) -> None:
    name = new_repository(ecr)
    assert refused(ecr.describe_repositories, repositoryNames=[name, "not/there"]) == (
        "RepositoryNotFoundException",
        f"The repository with name 'not/there' does not exist in the registry with id '{OWN}'",
    )


def test_only_force_deletes_a_repository_with_images(ecr: Ecr) -> None:
    name = new_repository(ecr)
    put(ecr, name, "v1")
    assert refused(ecr.delete_repository, repositoryName=name)[0] == "RepositoryNotEmptyException"
    assert ecr.delete_repository(repositoryName=name, force=True)["repository"]["repositoryName"] == name
    assert refused(ecr.delete_repository, repositoryName=name)[0] == "RepositoryNotFoundException"


@pytest.mark.parametrize(
    ("settings", "code"),
    [
        ({"imageTagMutability": "SOMETIMES"}, "InvalidParameterException"),
        ({"imageTagMutability": "IMMUTABLE_WITH_EXCLUSION"}, "InvalidParameterException"),
        (
            {"imageTagMutabilityExclusionFilters": [{"filterType": "WILDCARD", "filter": "a"}]},
            "InvalidParameterException",
        ),
        (
            {
                "imageTagMutability": "MUTABLE_WITH_EXCLUSION",
                "imageTagMutabilityExclusionFilters": [{"filterType": "WILDCARD", "filter": "*a*b*"}],
            },
            "InvalidParameterException",
        ),
        ({"encryptionConfiguration": {"encryptionType": "KMS"}}, "KmsException"),
        ({"tags": [{"Key": "aws:mine", "Value": ""}]}, "InvalidTagParameterException"),
        ({"tags": [{"Key": "a", "Value": ""}, {"Key": "a", "Value": ""}]}, "InvalidTagParameterException"),
        ({"tags": [{"Key": f"k{n}", "Value": ""} for n in range(51)]}, "TooManyTagsException"),
    ],
    ids=["mode", "no-filter", "filter", "wildcards", "kms", "reserved", "twice", "many"],
)
def test_what_no_repository_can_be_like_is_refused_and_makes_none(
    ecr: Ecr, settings: dict[str, Any], code: str
) -> None:
    name = new_name()
    assert refused(ecr.create_repository, repositoryName=name, **settings)[0] == code
    assert refused(ecr.describe_repositories, repositoryNames=[name])[0] == "RepositoryNotFoundException"


def test_tags_of_repositories_are_set_replaced_and_removed(ecr: Ecr) -> None:
    name = new_repository(ecr, tags=[{"Key": "a", "Value": "1"}])
    arn = f"arn:aws:ecr:us-east-1:{OWN}:repository/{name}"
    ecr.tag_resource(resourceArn=arn, tags=[{"Key": "a", "Value": "2"}, {"Key": "b", "Value": "3"}])
    ecr.untag_resource(resourceArn=arn, tagKeys=["b", "never"])
    assert ecr.list_tags_for_resource(resourceArn=arn)["tags"] == [{"Key": "a", "Value": "2"}]
    assert refused(ecr.list_tags_for_resource, resourceArn=arn + "x")[0] == "RepositoryNotFoundException"
    assert refused(ecr.list_tags_for_resource, resourceArn="arn:aws:s3:::bucket")[0] == "InvalidParameterException"


def test_settings_change(ecr: Ecr) -> None:
    name = new_repository(ecr)
    ecr.put_image_scanning_configuration(repositoryName=name, imageScanningConfiguration={"scanOnPush": True})
    answer = ecr.put_image_tag_mutability(repositoryName=name, imageTagMutability="IMMUTABLE")
    assert (answer["registryId"], answer["imageTagMutability"]) == (OWN, "IMMUTABLE")
    found = ecr.describe_repositories(repositoryNames=[name])["repositories"][0]
    assert found["imageScanningConfiguration"] == {"scanOnPush": True}
    assert found["imageTagMutability"] == "IMMUTABLE"


def test_policies_of_repositories_are_the_ones_that_decide(front: Front, ecr: Ecr) -> None:
    name = new_repository(ecr)
    other = front.user("policy-reader")
    assert refused(ecr.get_repository_policy, repositoryName=name)[0] == "RepositoryPolicyNotFoundException"
    assert refused(other.list_images, repositoryName=name)[0] == "AccessDeniedException"
    who = f"arn:aws:iam::{OWN}:user/policy-reader"
    text = (
        '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"%s"},"Action":"ecr:ListImages"}]}'
    )
    ecr.set_repository_policy(repositoryName=name, policyText=text % who)
    assert ecr.get_repository_policy(repositoryName=name)["policyText"] == text % who
    assert other.list_images(repositoryName=name)["imageIds"] == []
    assert ecr.delete_repository_policy(repositoryName=name)["policyText"] == text % who
    assert refused(other.list_images, repositoryName=name)[0] == "AccessDeniedException"
    assert refused(ecr.set_repository_policy, repositoryName=name, policyText="{}")[0] == "InvalidParameterException"
