"""Layers through boto3: uploaded in parts, into the same uploads that docker uses, and fetched by link."""

import urllib.error
import urllib.request

import pytest

from tests.aws.clients import Ecr, Front, digest_of, new_repository, refused, upload
from tests.fixtures.documents import image
from tests.hostile.conversation import ask
from tests.security.secured import KEY_ID, KEY_SECRET, basic

MIB = 1024 * 1024
ADMIN = ("Authorization", basic(KEY_ID, KEY_SECRET))


def part(ecr: Ecr, name: str, upload_id: str, first: int, content: bytes) -> int:
    """Upload one part: the last byte that the server has."""
    last: int = ecr.upload_layer_part(
        repositoryName=name,
        uploadId=upload_id,
        partFirstByte=first,
        partLastByte=first + len(content) - 1,
        layerPartBlob=content,
    )["lastByteReceived"]
    return last


def test_a_layer_comes_in_parts_and_is_there_for_docker(front: Front, ecr: Ecr) -> None:
    name = new_repository(ecr)
    begun = ecr.initiate_layer_upload(repositoryName=name)
    assert begun["partSize"] >= 5 * MIB
    content = bytes(range(256)) * (24 * 1024)
    cut = 5 * MIB
    assert part(ecr, name, begun["uploadId"], 0, content[:cut]) == cut - 1
    assert part(ecr, name, begun["uploadId"], cut, content[cut:]) == len(content) - 1
    done = ecr.complete_layer_upload(repositoryName=name, uploadId=begun["uploadId"], layerDigests=[digest_of(content)])
    assert done["layerDigest"] == digest_of(content)
    assert ask(front.served.port, "GET", f"/v2/{name}/blobs/{digest_of(content)}", ADMIN).body == content


def test_a_layer_that_would_exceed_a_quota_is_refused(front: Front, ecr: Ecr) -> None:
    name = new_repository(ecr)
    set_quota = b'{"limit_bytes":4}'
    assert ask(front.served.port, "PUT", f"/api/v1/quotas/{name}", ADMIN, body=set_quota).status == 200
    upload_id = ecr.initiate_layer_upload(repositoryName=name)["uploadId"]
    with pytest.raises(ecr.exceptions.LimitExceededException, match="would exceed the quota of repository"):
        part(ecr, name, upload_id, 0, b"12345")
    upload(ecr, name, b"1234")
    assert refused(ecr.initiate_layer_upload, repositoryName=name)[0] == "LimitExceededException"
    with pytest.raises(ecr.exceptions.LimitExceededException):
        ecr.put_image(repositoryName=name, imageManifest=image(b"1234").decode(), imageTag="1")


def test_an_upload_that_one_door_began_the_other_goes_on_with(front: Front, ecr: Ecr) -> None:
    name = new_repository(ecr)
    upload_id = ecr.initiate_layer_upload(repositoryName=name)["uploadId"]
    part(ecr, name, upload_id, 0, b"first ")
    path = f"/v2/{name}/blobs/uploads/{upload_id}"
    assert ask(front.served.port, "PATCH", path, ADMIN, body=b"second").status == 202
    done = ask(front.served.port, "PUT", f"{path}?digest={digest_of(b'first second')}", ADMIN)
    assert done.status == 201


def test_a_part_begins_where_the_one_before_it_ended(ecr: Ecr) -> None:
    name = new_repository(ecr)
    upload_id = ecr.initiate_layer_upload(repositoryName=name)["uploadId"]
    part(ecr, name, upload_id, 0, b"12345")
    with pytest.raises(ecr.exceptions.InvalidLayerPartException) as caught:
        part(ecr, name, upload_id, 7, b"8")
    assert caught.value.response["lastValidByteReceived"] == 4
    assert caught.value.response["uploadId"] == upload_id
    wrong = {"uploadId": upload_id, "partFirstByte": 5, "partLastByte": 9, "layerPartBlob": b"6"}
    assert refused(ecr.upload_layer_part, repositoryName=name, **wrong)[0] == "InvalidParameterException"


def test_what_is_no_layer_is_refused(ecr: Ecr) -> None:
    name = new_repository(ecr)
    never = {"uploadId": "00000000-0000-4000-8000-000000000000", "layerDigests": [digest_of(b"")]}
    assert refused(ecr.complete_layer_upload, repositoryName=name, **never)[0] == "UploadNotFoundException"
    begun = {"uploadId": ecr.initiate_layer_upload(repositoryName=name)["uploadId"]}
    empty = {**begun, "layerDigests": [digest_of(b"")]}
    assert refused(ecr.complete_layer_upload, repositoryName=name, **empty)[0] == "EmptyUploadException"
    part(ecr, name, begun["uploadId"], 0, b"short")
    part(ecr, name, begun["uploadId"], 5, b" parts")
    short = {**begun, "layerDigests": [digest_of(b"short parts")]}
    assert refused(ecr.complete_layer_upload, repositoryName=name, **short)[0] == "LayerPartTooSmallException"
    other = {"uploadId": ecr.initiate_layer_upload(repositoryName=name)["uploadId"]}
    part(ecr, name, other["uploadId"], 0, b"content")
    wrong = {**other, "layerDigests": [digest_of(b"other content")]}
    assert refused(ecr.complete_layer_upload, repositoryName=name, **wrong)[0] == "InvalidLayerException"


def test_a_layer_is_uploaded_once(ecr: Ecr) -> None:
    name = new_repository(ecr)
    digest = upload(ecr, name, b"content")
    again = ecr.initiate_layer_upload(repositoryName=name)["uploadId"]
    part(ecr, name, again, 0, b"content")
    done = {"uploadId": again, "layerDigests": [digest]}
    assert refused(ecr.complete_layer_upload, repositoryName=name, **done)[0] == "LayerAlreadyExistsException"


def test_the_upload_of_another_is_none(front: Front, ecr: Ecr) -> None:
    name = new_repository(ecr)
    upload_id = ecr.initiate_layer_upload(repositoryName=name)["uploadId"]
    other = front.user("layer-pusher", "AmazonEC2ContainerRegistryPowerUser")
    theirs = {"uploadId": upload_id, "partFirstByte": 0, "partLastByte": 0, "layerPartBlob": b"x"}
    assert refused(other.upload_layer_part, repositoryName=name, **theirs)[0] == "UploadNotFoundException"


def test_availability_is_told_for_each_layer(ecr: Ecr) -> None:
    name = new_repository(ecr)
    digest, absent = upload(ecr, name, b"content"), digest_of(b"absent")
    wrong = "sha999:00"
    answer = ecr.batch_check_layer_availability(repositoryName=name, layerDigests=[digest, absent, wrong])
    assert answer["layers"] == [
        {"layerDigest": digest, "layerAvailability": "AVAILABLE", "layerSize": 7},
        {"layerDigest": absent, "layerAvailability": "UNAVAILABLE"},
    ]
    assert [failure["failureCode"] for failure in answer["failures"]] == ["InvalidLayerDigest"]


def test_a_link_to_a_layer_needs_no_credentials_and_is_for_that_layer_only(ecr: Ecr) -> None:
    name = new_repository(ecr)
    digest = upload(ecr, name, b"the content of a layer")
    link = ecr.get_download_url_for_layer(repositoryName=name, layerDigest=digest)["downloadUrl"]
    with urllib.request.urlopen(link, timeout=10) as answer:
        assert answer.read() == b"the content of a layer"
    ranged = urllib.request.Request(link, headers={"Range": "bytes=4-10"})
    with urllib.request.urlopen(ranged, timeout=10) as answer:
        assert (answer.status, answer.read()) == (206, b"content")
    for broken in (link[:-8] + "AAAAAAA=", link.rpartition("/")[0] + "/x", link + "A"):
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(broken, timeout=10)
        with caught.value:
            assert caught.value.code == 404
    absent = {"layerDigest": digest_of(b"absent")}
    assert refused(ecr.get_download_url_for_layer, repositoryName=name, **absent)[0] == "LayersNotFoundException"
