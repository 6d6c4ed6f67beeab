"""Images through boto3: put, described, listed, fetched, deleted, and tags that may not move."""

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from botocore.exceptions import ClientError

from estiva import mediatypes
from tests.aws.clients import (
    OWN,
    Ecr,
    Front,
    digest_of,
    image_of,
    index_of,
    new_repository,
    put,
    refused,
    upload,
)
from tests.hostile.conversation import ask
from tests.security.secured import KEY_ID, KEY_SECRET, basic

ADMIN = ("Authorization", basic(KEY_ID, KEY_SECRET))


def test_an_image_is_described_with_size_time_and_tags(ecr: Ecr) -> None:
    name = new_repository(ecr)
    digest = put(ecr, name, "v1")
    put(ecr, name, "v2", "second")
    text = image_of(b"the blob of every image")
    ecr.put_image(repositoryName=name, imageManifest=text, imageTag="latest")
    [details] = ecr.describe_images(repositoryName=name, imageIds=[{"imageTag": "v1"}])["imageDetails"]
    assert (details["imageDigest"], sorted(details["imageTags"])) == (digest, ["latest", "v1"])
    assert details["imageSizeInBytes"] == len(b"the blob of every image")
    assert datetime.now(UTC) - details["imagePushedAt"] < timedelta(minutes=5)
    assert details["imageManifestMediaType"] == mediatypes.OCI_MANIFEST
    assert details["artifactMediaType"] == "application/vnd.oci.image.config.v1+json"
    assert "lastRecordedPullTime" not in details


def test_an_index_is_as_large_as_its_largest_image(ecr: Ecr) -> None:
    name = new_repository(ecr)
    small, large = b"small", b"large" * 1000
    texts = []
    for blob in (small, large):
        upload(ecr, name, blob)
        texts.append(image_of(blob))
        ecr.put_image(repositoryName=name, imageManifest=texts[-1])
    answer = ecr.put_image(repositoryName=name, imageManifest=index_of(*texts), imageTag="all")
    digest = answer["image"]["imageId"]["imageDigest"]
    [details] = ecr.describe_images(repositoryName=name, imageIds=[{"imageDigest": digest}])["imageDetails"]
    assert details["imageSizeInBytes"] == len(large)


def test_a_pull_is_recorded(front: Front, ecr: Ecr) -> None:
    name = new_repository(ecr)
    put(ecr, name, "v1")
    before = datetime.now(UTC) - timedelta(seconds=1)
    assert ask(front.served.port, "GET", f"/v2/{name}/manifests/v1", ADMIN).status == 200
    deadline = datetime.now(UTC) + timedelta(seconds=40)
    while datetime.now(UTC) < deadline:
        [details] = ecr.describe_images(repositoryName=name)["imageDetails"]
        if "lastRecordedPullTime" in details:
            break
    assert before < details["lastRecordedPullTime"] < deadline


def test_images_and_tags_come_page_by_page_and_by_tag_status(ecr: Ecr) -> None:
    name = new_repository(ecr)
    tagged = [put(ecr, name, f"t{number}", str(number)) for number in range(3)]
    ecr.put_image(repositoryName=name, imageManifest=image_of(b"the blob of every image", "0"), imageTag="more")
    untagged = [put(ecr, name, None, f"u{number}") for number in range(2)]
    for status, digests in (("ANY", tagged + untagged), ("TAGGED", tagged), ("UNTAGGED", untagged)):
        chosen = {"repositoryName": name, "filter": {"tagStatus": status}, "PaginationConfig": {"PageSize": 2}}
        pages = [page["imageDetails"] for page in ecr.get_paginator("describe_images").paginate(**chosen)]
        assert all(len(page) <= 2 for page in pages)
        assert sorted(one["imageDigest"] for page in pages for one in page) == sorted(digests)
        listed = [one for page in ecr.get_paginator("list_images").paginate(**chosen) for one in page["imageIds"]]
        expected = {("TAGGED"): 4, "UNTAGGED": 2, "ANY": 6}[status]
        assert len({(one["imageDigest"], one.get("imageTag")) for one in listed}) == len(listed) == expected
        assert all(("imageTag" in one) == (one["imageDigest"] in tagged) for one in listed)


def test_a_manifest_comes_back_byte_for_byte(front: Front, ecr: Ecr) -> None:
    name = new_repository(ecr)
    upload(ecr, name, b"blob")
    text = " " + image_of(b"blob", "ünïcode \t") + "\n\n"
    digest = ecr.put_image(repositoryName=name, imageManifest=text, imageTag="v1")["image"]["imageId"]["imageDigest"]
    assert digest == digest_of(text.encode())
    answer = ecr.batch_get_image(
        repositoryName=name,
        imageIds=[
            {"imageDigest": digest},
            {"imageTag": "none"},
            {"imageTag": "v1", "imageDigest": "sha256:" + "0" * 64},
            {"imageDigest": "nonsense"},
            {},
        ],
    )
    assert [image["imageManifest"] for image in answer["images"]] == [text]
    assert [failure["failureCode"] for failure in answer["failures"]] == [
        "ImageNotFound",
        "ImageTagDoesNotMatchDigest",
        "InvalidImageDigest",
        "MissingDigestAndTag",
    ]
    assert ask(front.served.port, "GET", f"/v2/{name}/manifests/v1", ADMIN).body == text.encode()


def test_what_is_no_image_is_refused(ecr: Ecr) -> None:
    name = new_repository(ecr)
    good = image_of(b"blob")
    assert refused(ecr.put_image, repositoryName="not/there", imageManifest=good)[0] == "RepositoryNotFoundException"
    assert refused(ecr.put_image, repositoryName=name, imageManifest=good)[0] == "LayersNotFoundException"
    lists = index_of(good)
    assert refused(ecr.put_image, repositoryName=name, imageManifest=lists)[0] == "ReferencedImagesNotFoundException"
    assert refused(ecr.put_image, repositoryName=name, imageManifest="{")[0] == "InvalidParameterException"
    wrong = {"imageManifest": good, "imageDigest": "sha256:" + "0" * 64}
    assert refused(ecr.put_image, repositoryName=name, **wrong)[0] == "ImageDigestDoesNotMatchException"
    upload(ecr, name, b"blob")
    ecr.put_image(repositoryName=name, imageManifest=good, imageTag="v1")
    again = {"imageManifest": good, "imageTag": "v1"}
    assert refused(ecr.put_image, repositoryName=name, **again)[0] == "ImageAlreadyExistsException"


def test_describing_an_image_that_is_not_there_says_which(ecr: Ecr) -> None:
    name = new_repository(ecr)
    code, text = refused(ecr.describe_images, repositoryName=name, imageIds=[{"imageTag": "none"}])
    assert code == "ImageNotFoundException"
    assert text == (
        f"The image with imageId {{imageDigest:'null', imageTag:'none'}} does not exist within the repository with "
        f"name '{name}' in the registry with id '{OWN}'"
    )


def test_deleting_by_tag_takes_the_image_with_its_last_tag_and_by_digest_with_all(ecr: Ecr) -> None:
    name = new_repository(ecr)
    digest = put(ecr, name, "a")
    text = image_of(b"the blob of every image")
    for tag in ("b", "c"):
        ecr.put_image(repositoryName=name, imageManifest=text, imageTag=tag)
    gone = ecr.batch_delete_image(repositoryName=name, imageIds=[{"imageTag": "a"}])
    assert gone["imageIds"] == [{"imageDigest": digest, "imageTag": "a"}]
    gone = ecr.batch_delete_image(repositoryName=name, imageIds=[{"imageDigest": digest}, {"imageTag": "none"}])
    assert gone["imageIds"] == [{"imageDigest": digest, "imageTag": tag} for tag in ("b", "c")]
    assert [failure["failureCode"] for failure in gone["failures"]] == ["ImageNotFound"]
    put(ecr, name, "last")
    ecr.batch_delete_image(repositoryName=name, imageIds=[{"imageTag": "last"}])
    assert ecr.list_images(repositoryName=name)["imageIds"] == []


def test_an_image_that_an_index_lists_stays(ecr: Ecr) -> None:
    name = new_repository(ecr)
    digest = put(ecr, name, "child")
    ecr.put_image(repositoryName=name, imageManifest=index_of(image_of(b"the blob of every image")), imageTag="all")
    for image_id in ({"imageDigest": digest}, {"imageTag": "child"}):
        [failure] = ecr.batch_delete_image(repositoryName=name, imageIds=[image_id])["failures"]
        assert failure["failureCode"] == "ImageReferencedByManifestList"
    assert ecr.describe_images(repositoryName=name, imageIds=[{"imageTag": "child"}])["imageDetails"]


@pytest.mark.parametrize(
    ("mode", "filters", "fixed", "free"),
    [
        ("IMMUTABLE", [], ["v1", "latest"], []),
        ("IMMUTABLE_WITH_EXCLUSION", ["latest", "dev-*"], ["v1", "dev", "latest2"], ["latest", "dev-1"]),
        ("MUTABLE_WITH_EXCLUSION", ["v*"], ["v1", "v"], ["latest"]),
        ("MUTABLE", [], [], ["v1"]),
    ],
    ids=["immutable", "immutable-but", "mutable-but", "mutable"],
)
def test_tags_move_as_far_as_the_mode_lets_them_through_either_door(
    front: Front, ecr: Ecr, mode: str, filters: list[str], fixed: list[str], free: list[str]
) -> None:
    excluded = [{"filterType": "WILDCARD", "filter": text} for text in filters]
    settings = {"imageTagMutabilityExclusionFilters": excluded} if excluded else {}
    name = new_repository(ecr, imageTagMutability=mode, **settings)
    for tag in (*fixed, *free):
        put(ecr, name, tag, "first")
    other = image_of(b"the blob of every image", "second")
    kind = ("Content-Type", mediatypes.OCI_MANIFEST)
    for tag in fixed:
        code, text = refused(ecr.put_image, repositoryName=name, imageManifest=other, imageTag=tag)
        assert (code, f"'{tag}' already exists" in text) == ("ImageTagAlreadyExistsException", True)
        path = f"/v2/{name}/manifests/{tag}"
        answer = ask(front.served.port, "PUT", path, ADMIN, kind, body=other.encode())
        assert (answer.status, json.loads(answer.body)["errors"][0]["code"]) == (400, "DENIED")
        same = image_of(b"the blob of every image", "first").encode()
        assert ask(front.served.port, "PUT", path, ADMIN, kind, body=same).status == 201
    for tag in free:
        ecr.put_image(repositoryName=name, imageManifest=other, imageTag=tag)


def test_of_many_who_push_one_immutable_tag_exactly_one_wins(front: Front, ecr: Ecr) -> None:
    name = new_repository(ecr, imageTagMutability="IMMUTABLE")
    put(ecr, name)

    def push(number: int) -> int:
        text = image_of(b"the blob of every image", f"of {number}").encode()
        kind = ("Content-Type", mediatypes.OCI_MANIFEST)
        return ask(front.served.port, "PUT", f"/v2/{name}/manifests/v1", ADMIN, kind, body=text).status

    with ThreadPoolExecutor(8) as pushers:
        assert sorted(pushers.map(push, range(8))) == [201] + [400] * 7


def test_a_media_type_that_is_not_accepted_is_not_found(ecr: Ecr) -> None:
    name = new_repository(ecr)
    put(ecr, name, "v1")
    asked = {"repositoryName": name, "imageIds": [{"imageTag": "v1"}]}
    assert ecr.batch_get_image(acceptedMediaTypes=[mediatypes.DOCKER_MANIFEST], **asked)["images"] == []
    assert len(ecr.batch_get_image(acceptedMediaTypes=[mediatypes.OCI_MANIFEST], **asked)["images"]) == 1


def test_paging_and_ids_exclude_each_other(ecr: Ecr) -> None:
    name = new_repository(ecr)
    ids = {"repositoryName": name, "imageIds": [{"imageTag": "v1"}]}
    assert refused(ecr.describe_images, maxResults=5, **ids)[0] == "InvalidParameterException"
    with pytest.raises(ClientError):
        ecr.describe_images(repositoryName=name, maxResults=1001)
