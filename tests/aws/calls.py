"""For every operation a request that succeeds, as JSON has it. Whoever adds an operation adds one here."""

import base64
from collections.abc import Callable, Mapping
from typing import Any

from tests.aws.clients import OWN, Ecr, digest_of, image_of, new_name, upload
from tests.aws.mirroring_calls import MIRRORING_CALLS
from tests.registry.lifecycle.documents import policy, rule

Make = Callable[[Ecr, str], Mapping[str, Any]]
"""Given a client and the name of a repository that is there: the request's members."""


def _arn(name: str) -> str:
    return f"arn:aws:ecr:us-east-1:{OWN}:repository/{name}"


def _complete(ecr: Ecr, name: str) -> Mapping[str, Any]:
    content = new_name("content").encode()
    upload_id = ecr.initiate_layer_upload(repositoryName=name)["uploadId"]
    ecr.upload_layer_part(
        repositoryName=name, uploadId=upload_id, partFirstByte=0, partLastByte=len(content) - 1, layerPartBlob=content
    )
    return {"repositoryName": name, "uploadId": upload_id, "layerDigests": [digest_of(content)]}


def _part(ecr: Ecr, name: str) -> Mapping[str, Any]:
    upload_id = ecr.initiate_layer_upload(repositoryName=name)["uploadId"]
    blob = base64.b64encode(b"part").decode()
    return {
        "repositoryName": name,
        "uploadId": upload_id,
        "partFirstByte": 0,
        "partLastByte": 3,
        "layerPartBlob": blob,
    }


def _new_image(ecr: Ecr, name: str) -> Mapping[str, Any]:
    content = new_name("content").encode()
    upload(ecr, name, content)
    return {"repositoryName": name, "imageManifest": image_of(content), "imageTag": new_name("tag")}


def _image(ecr: Ecr, name: str) -> Mapping[str, Any]:
    made = _new_image(ecr, name)
    ecr.put_image(**made)
    return {"repositoryName": name, "imageIds": [{"imageTag": made["imageTag"]}]}


def _layer(ecr: Ecr, name: str) -> str:
    return upload(ecr, name, new_name("layer").encode())


def _policy(ecr: Ecr, name: str) -> Mapping[str, Any]:
    ecr.set_repository_policy(repositoryName=name, policyText=POLICY)
    return {"repositoryName": name}


def _lifecycle(ecr: Ecr, name: str) -> Mapping[str, Any]:
    ecr.put_lifecycle_policy(repositoryName=name, lifecyclePolicyText=LIFECYCLE)
    return {"repositoryName": name}


def _preview(ecr: Ecr, name: str) -> Mapping[str, Any]:
    for _ in range(2):
        _image(ecr, name)
    ecr.start_lifecycle_policy_preview(repositoryName=name, lifecyclePolicyText=LIFECYCLE)
    return {"repositoryName": name}


LIFECYCLE = policy(rule(1, countType="imageCountMoreThan", countNumber=1))
POLICY = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"ecr:ListImages"}]}'
CALLS: dict[str, Make] = {
    "BatchCheckLayerAvailability": lambda ecr, name: {"repositoryName": name, "layerDigests": [_layer(ecr, name)]},
    "BatchDeleteImage": _image,
    "BatchGetImage": _image,
    "CompleteLayerUpload": _complete,
    "CreateRepository": lambda ecr, name: {
        "repositoryName": new_name(),
        "tags": [{"Key": "a", "Value": "b"}],
        "imageTagMutability": "MUTABLE_WITH_EXCLUSION",
        "imageTagMutabilityExclusionFilters": [{"filterType": "WILDCARD", "filter": "v*"}],
        "imageScanningConfiguration": {"scanOnPush": False},
        "encryptionConfiguration": {"encryptionType": "AES256"},
    },
    "DeleteLifecyclePolicy": _lifecycle,
    "DeleteRepository": lambda ecr, name: {
        "repositoryName": ecr.create_repository(repositoryName=new_name())["repository"]["repositoryName"],
        "force": True,
    },
    "DeleteRepositoryPolicy": _policy,
    "DescribeImages": _image,
    "DescribeRegistry": lambda ecr, name: {},
    "DescribeRepositories": lambda ecr, name: {"maxResults": 1},
    "GetAuthorizationToken": lambda ecr, name: {"registryIds": [OWN]},
    "GetDownloadUrlForLayer": lambda ecr, name: {"repositoryName": name, "layerDigest": _layer(ecr, name)},
    "GetLifecyclePolicy": _lifecycle,
    "GetLifecyclePolicyPreview": _preview,
    "GetRepositoryPolicy": _policy,
    "InitiateLayerUpload": lambda ecr, name: {"repositoryName": name},
    "ListImages": lambda ecr, name: {
        "repositoryName": _image(ecr, name)["repositoryName"],
        "maxResults": 1,
        "filter": {"tagStatus": "TAGGED"},
    },
    "ListTagsForResource": lambda ecr, name: {"resourceArn": _arn(name)},
    "PutImage": _new_image,
    "PutImageScanningConfiguration": lambda ecr, name: {
        "repositoryName": name,
        "imageScanningConfiguration": {"scanOnPush": False},
    },
    "PutImageTagMutability": lambda ecr, name: {"repositoryName": name, "imageTagMutability": "MUTABLE"},
    "PutLifecyclePolicy": lambda ecr, name: {"repositoryName": name, "lifecyclePolicyText": LIFECYCLE},
    "SetRepositoryPolicy": lambda ecr, name: {"repositoryName": name, "policyText": POLICY},
    "StartLifecyclePolicyPreview": lambda ecr, name: {"repositoryName": name, "lifecyclePolicyText": LIFECYCLE},
    "TagResource": lambda ecr, name: {"resourceArn": _arn(name), "tags": [{"Key": "a", "Value": "b"}]},
    "UntagResource": lambda ecr, name: {"resourceArn": _arn(name), "tagKeys": ["a"]},
    "UploadLayerPart": _part,
    **MIRRORING_CALLS,
}
