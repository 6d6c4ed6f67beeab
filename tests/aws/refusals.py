"""For every operation each error that AWS's model documents: a request that gets it, or why nothing does here.

Whoever adds an operation, or a new botocore that documents another error, finds the pair missing here.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any

from botocore.model import OperationModel

from aws.models import load_service
from aws.operations import ECR
from tests.aws.calls import CALLS, LIFECYCLE, Make
from tests.aws.clients import Ecr, digest_of, image_of, index_of, new_name, new_repository, upload
from tests.aws.mirroring_calls import MIRRORING_CALLS

SERVICE = load_service("ecr")
NOWHERE = {"imageDigest": f"sha256:{'0' * 64}"}
Pair = tuple[str, str]

NEVER: Mapping[str, str] = {
    "Server": "a fault of the server's own; tests/faults makes them",
    "LimitExceeded": "nothing here is limited by count but rules and templates, which are refused as invalid",
    "Kms": "nothing is encrypted with keys of a key management service",
    "Validation": "what is not valid is InvalidParameterException, with two exceptions",
    "UnableToAccessSecret": "credentials are the server's own",
    "UnableToDecryptSecretValue": "credentials are the server's own",
    "LayerInaccessible": "a layer is there or is not",
    "LifecyclePolicyPreviewInProgress": "a preview is complete when it was asked for",
    "BlockedByOrganizationPolicy": "there are no organizations",
    "ImageArchived": "nothing is archived",
}
"""Errors that nothing gets, but where REFUSALS has a request for them all the same."""
NEVER_THERE: Mapping[Pair, str] = {
    ("BatchGetRepositoryScanningConfiguration", "RepositoryNotFound"): "told in the answer, repository by repository",
    ("DescribeRegistry", "InvalidParameter"): "it has no parameters",
    ("DeleteRegistryPolicy", "InvalidParameter"): "it has no parameters",
    ("GetRegistryPolicy", "InvalidParameter"): "it has no parameters",
    ("GetRegistryScanningConfiguration", "InvalidParameter"): "it has no parameters",
    ("UntagResource", "InvalidTagParameter"): "a key that no tag can have is one that the repository has not",
    ("UntagResource", "TooManyTags"): "it makes none",
}
UPSTREAM: frozenset[str] = frozenset(
    {"UnableToGetUpstreamImage", "UnableToGetUpstreamLayer", "UnableToListUpstreamImageReferrers"}
)
"""Errors of images that an upstream has: test_upstream.py gets them."""


def documented() -> set[Pair]:
    """Every operation that is supported, with each error that its model documents."""
    return {
        (operation, shape.name.removesuffix("Exception"))
        for operation in ECR
        for shape in SERVICE.operations[operation].error_shapes
    }


def refusals() -> dict[Pair, Make]:
    """The requests, by operation and error."""
    return {**_of_absent_repositories(), **_of_invalid_parameters(), **REFUSALS}


def unobtainable() -> set[Pair]:
    """The pairs that nothing gets here."""
    return {
        pair for pair in documented() - set(REFUSALS) if pair[1] in NEVER or pair in NEVER_THERE or pair[1] in UPSTREAM
    }


def _of_absent_repositories() -> dict[Pair, Make]:
    return {
        pair: _absent(pair[0], SERVICE.operations[pair[0]])
        for pair in documented()
        if pair[1] == "RepositoryNotFound" and pair not in NEVER_THERE
    }


def _absent(operation: str, model: OperationModel) -> Make:
    def make(ecr: Ecr, name: str) -> Mapping[str, Any]:
        given = dict(CALLS[operation](ecr, name))
        for member in ("repositoryName", "resourceArn"):
            if member in given:
                return {**given, member: f"{given[member]}-absent"}
        return {"repositoryNames": [f"{name}-absent"]}

    return make


def _of_invalid_parameters() -> dict[Pair, Make]:
    return {
        (operation, "InvalidParameter"): _wrong_account(operation)
        for operation in ECR
        if "registryId" in SERVICE.operations[operation].input_shape.members
    }


def _wrong_account(operation: str) -> Make:
    return lambda ecr, name: {**CALLS[operation](ecr, name), "registryId": "twelve"}


def _with(operation: str, **other: Any) -> Make:
    """The request that succeeds, with other members."""
    return lambda ecr, name: {**CALLS[operation](ecr, name), **other}


def _again(operation: str, call: Callable[[Ecr], Callable[..., Any]]) -> Make:
    """The request that has just succeeded."""

    def make(ecr: Ecr, name: str) -> Mapping[str, Any]:
        given = CALLS[operation](ecr, name)
        call(ecr)(**given)
        return given

    return make


def _only_name(ecr: Ecr, name: str) -> Mapping[str, Any]:
    return {"repositoryName": name}


def _tags(operation: str, tags: list[dict[str, str]]) -> Make:
    return _with(operation, tags=tags)


def _upload(ecr: Ecr, name: str, *parts: bytes) -> str:
    upload_id: str = ecr.initiate_layer_upload(repositoryName=name)["uploadId"]
    first = 0
    for part in parts:
        last = first + len(part) - 1
        ecr.upload_layer_part(
            repositoryName=name, uploadId=upload_id, partFirstByte=first, partLastByte=last, layerPartBlob=part
        )
        first = last + 1
    return upload_id


def _complete(digest_for: bytes, *parts: bytes) -> Make:
    return lambda ecr, name: {
        "repositoryName": name,
        "uploadId": _upload(ecr, name, *parts),
        "layerDigests": [digest_of(digest_for)],
    }


def _layer_again(ecr: Ecr, name: str) -> Mapping[str, Any]:
    upload(ecr, name, b"there already")
    return _complete(b"there already", b"there already")(ecr, name)


def _full(ecr: Ecr, name: str) -> Mapping[str, Any]:
    CALLS["BatchGetImage"](ecr, name)
    return {"repositoryName": name}


def _immutable(ecr: Ecr, name: str) -> Mapping[str, Any]:
    fixed = new_repository(ecr, imageTagMutability="IMMUTABLE")
    given = CALLS["PutImage"](ecr, fixed)
    ecr.put_image(**given)
    other = json.loads(given["imageManifest"]) | {"annotations": {"another": "one"}}
    return {**given, "imageManifest": json.dumps(other)}


def _index_image(ecr: Ecr, name: str) -> Mapping[str, Any]:
    blob = new_name("content").encode()
    upload(ecr, name, blob)
    ecr.put_image(repositoryName=name, imageManifest=image_of(blob))
    index = index_of(image_of(blob))
    ecr.put_image(repositoryName=name, imageManifest=index)
    return {"repositoryName": name, "imageId": {"imageDigest": digest_of(index.encode())}}


def _no_policy(ecr: Ecr, name: str) -> Mapping[str, Any]:
    ecr.put_registry_policy(**MIRRORING_CALLS["PutRegistryPolicy"](ecr, name))
    ecr.delete_registry_policy()
    return {}


TOO_MANY = [{"Key": f"k{number}", "Value": ""} for number in range(51)]
RESERVED = [{"Key": "aws:mine", "Value": ""}]
NO_ARN = {"resourceArn": "arn:aws:s3:::bucket"}
NO_TOKEN = {"nextToken": "of no list"}
SECRET = "arn:aws:secretsmanager:us-east-1:000000000000:secret:ecr-pullthroughcache/nobody"
ENHANCED = {"scanType": "ENHANCED", "rules": []}
NEW = {"prefix": "absent/prefix"}
ABSENT_RULE = {"ecrRepositoryPrefix": "absent/prefix"}
REFUSALS: Mapping[Pair, Make] = {
    ("BatchGetRepositoryScanningConfiguration", "InvalidParameter"): lambda ecr, name: {"repositoryNames": ["A b"]},
    ("CompleteLayerUpload", "UploadNotFound"): lambda ecr, name: {
        **_complete(b"x", b"x")(ecr, name),
        "uploadId": "00000000-0000-4000-8000-000000000000",
    },
    ("CompleteLayerUpload", "InvalidLayer"): _complete(b"other content", b"content"),
    ("CompleteLayerUpload", "LayerPartTooSmall"): _complete(b"short parts", b"short", b" parts"),
    ("CompleteLayerUpload", "LayerAlreadyExists"): _layer_again,
    ("CompleteLayerUpload", "EmptyUpload"): _complete(b""),
    ("CreatePullThroughCacheRule", "PullThroughCacheRuleAlreadyExists"): _again(
        "CreatePullThroughCacheRule", lambda ecr: ecr.create_pull_through_cache_rule
    ),
    ("CreatePullThroughCacheRule", "UnsupportedUpstreamRegistry"): _with(
        "CreatePullThroughCacheRule", upstreamRegistryUrl="no host"
    ),
    ("CreatePullThroughCacheRule", "SecretNotFound"): _with("CreatePullThroughCacheRule", credentialArn=SECRET),
    ("CreateRepository", "InvalidTagParameter"): _tags("CreateRepository", RESERVED),
    ("CreateRepository", "TooManyTags"): _tags("CreateRepository", TOO_MANY),
    ("CreateRepository", "RepositoryAlreadyExists"): lambda ecr, name: {"repositoryName": name},
    ("CreateRepository", "Kms"): _with("CreateRepository", encryptionConfiguration={"encryptionType": "KMS"}),
    ("CreateRepositoryCreationTemplate", "InvalidParameter"): _with("CreateRepositoryCreationTemplate", prefix="A b"),
    ("CreateRepositoryCreationTemplate", "TemplateAlreadyExists"): _again(
        "CreateRepositoryCreationTemplate", lambda ecr: ecr.create_repository_creation_template
    ),
    ("DeleteLifecyclePolicy", "LifecyclePolicyNotFound"): _only_name,
    ("DeletePullThroughCacheRule", "PullThroughCacheRuleNotFound"): lambda ecr, name: ABSENT_RULE,
    ("DeleteRegistryPolicy", "RegistryPolicyNotFound"): _no_policy,
    ("DeleteRepository", "RepositoryNotEmpty"): _full,
    ("DeleteRepositoryCreationTemplate", "InvalidParameter"): lambda ecr, name: {"prefix": "A b"},
    ("DeleteRepositoryCreationTemplate", "TemplateNotFound"): lambda ecr, name: NEW,
    ("DeleteRepositoryPolicy", "RepositoryPolicyNotFound"): _only_name,
    ("DescribeImageReplicationStatus", "ImageNotFound"): lambda ecr, name: {"repositoryName": name, "imageId": NOWHERE},
    ("DescribeImageScanFindings", "ImageNotFound"): lambda ecr, name: {"repositoryName": name, "imageId": NOWHERE},
    ("DescribeImageScanFindings", "ScanNotFound"): CALLS["StartImageScan"],
    ("DescribeImages", "ImageNotFound"): lambda ecr, name: {"repositoryName": name, "imageIds": [NOWHERE]},
    ("DescribePullThroughCacheRules", "PullThroughCacheRuleNotFound"): lambda ecr, name: {
        "ecrRepositoryPrefixes": ["absent/prefix"]
    },
    ("DescribeRepositoryCreationTemplates", "InvalidParameter"): lambda ecr, name: NO_TOKEN,
    ("GetAuthorizationToken", "InvalidParameter"): lambda ecr, name: {"registryIds": ["twelve"]},
    ("GetDownloadUrlForLayer", "LayersNotFound"): lambda ecr, name: {
        "repositoryName": name,
        "layerDigest": NOWHERE["imageDigest"],
    },
    ("GetLifecyclePolicy", "LifecyclePolicyNotFound"): _only_name,
    ("GetLifecyclePolicyPreview", "LifecyclePolicyPreviewNotFound"): _only_name,
    ("GetRegistryPolicy", "RegistryPolicyNotFound"): _no_policy,
    ("GetRepositoryPolicy", "RepositoryPolicyNotFound"): _only_name,
    ("ListTagsForResource", "InvalidParameter"): lambda ecr, name: NO_ARN,
    ("PutImage", "ImageAlreadyExists"): _again("PutImage", lambda ecr: ecr.put_image),
    ("PutImage", "LayersNotFound"): lambda ecr, name: {
        "repositoryName": name,
        "imageManifest": image_of(new_name("absent").encode()),
    },
    ("PutImage", "ReferencedImagesNotFound"): lambda ecr, name: {
        "repositoryName": name,
        "imageManifest": index_of(image_of(new_name("absent").encode())),
    },
    ("PutImage", "ImageTagAlreadyExists"): _immutable,
    ("PutImage", "ImageDigestDoesNotMatch"): _with("PutImage", **NOWHERE),
    ("PutRegistryPolicy", "InvalidParameter"): lambda ecr, name: {"policyText": "{}"},
    ("PutRegistryScanningConfiguration", "InvalidParameter"): lambda ecr, name: {"scanType": "SOMETIMES"},
    ("PutRegistryScanningConfiguration", "Validation"): lambda ecr, name: ENHANCED,
    ("PutReplicationConfiguration", "InvalidParameter"): lambda ecr, name: {
        "replicationConfiguration": {"rules": [{"destinations": [{"region": "xx", "registryId": "twelve"}]}]}
    },
    ("StartImageScan", "UnsupportedImageType"): _index_image,
    ("StartImageScan", "ImageNotFound"): lambda ecr, name: {"repositoryName": name, "imageId": NOWHERE},
    ("StartLifecyclePolicyPreview", "LifecyclePolicyNotFound"): _only_name,
    ("TagResource", "InvalidParameter"): _with("TagResource", **NO_ARN),
    ("TagResource", "InvalidTagParameter"): _tags("TagResource", RESERVED),
    ("TagResource", "TooManyTags"): _tags("TagResource", [*TOO_MANY, {"Key": "one more", "Value": ""}]),
    ("UntagResource", "InvalidParameter"): _with("UntagResource", **NO_ARN),
    ("UpdatePullThroughCacheRule", "PullThroughCacheRuleNotFound"): lambda ecr, name: ABSENT_RULE,
    ("UpdatePullThroughCacheRule", "SecretNotFound"): _with("UpdatePullThroughCacheRule", credentialArn=SECRET),
    ("UpdateRepositoryCreationTemplate", "InvalidParameter"): _with("UpdateRepositoryCreationTemplate", prefix="A b"),
    ("UpdateRepositoryCreationTemplate", "TemplateNotFound"): lambda ecr, name: NEW,
    ("UploadLayerPart", "InvalidLayerPart"): lambda ecr, name: {
        **CALLS["UploadLayerPart"](ecr, name),
        "partFirstByte": 7,
        "partLastByte": 10,
    },
    ("UploadLayerPart", "UploadNotFound"): _with("UploadLayerPart", uploadId="00000000-0000-4000-8000-000000000000"),
    ("ValidatePullThroughCacheRule", "PullThroughCacheRuleNotFound"): lambda ecr, name: ABSENT_RULE,
    ("PutLifecyclePolicy", "InvalidParameter"): _with("PutLifecyclePolicy", lifecyclePolicyText=LIFECYCLE.rjust(40000)),
}
