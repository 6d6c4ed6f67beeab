"""Requests that succeed, for the operations on other registries, templates, scans and the registry as a whole."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from tests.aws.clients import Ecr, image_of, new_name, upload

Make = Callable[[Ecr, str], Mapping[str, Any]]
IMAGE_CONFIG = "application/vnd.oci.image.config.v1+json"
STATEMENT = {"Effect": "Allow", "Principal": "*", "Action": "ecr:BatchGetImage"}
POLICY = json.dumps(
    {"Version": "2012-10-17", "Statement": [{**STATEMENT, "Resource": "arn:aws:ecr:us-east-1:1:repository/none"}]}
)


def _rule(ecr: Ecr, name: str) -> Mapping[str, Any]:
    prefix = new_name("hub")
    ecr.create_pull_through_cache_rule(ecrRepositoryPrefix=prefix, upstreamRegistryUrl="127.0.0.1:1")
    return {"ecrRepositoryPrefix": prefix}


def _new_template(ecr: Ecr, name: str) -> Mapping[str, Any]:
    tags = [{"Key": "a", "Value": "b"}]
    return {
        "prefix": new_name("made"),
        "appliedFor": ["PULL_THROUGH_CACHE", "REPLICATION", "CREATE_ON_PUSH"],
        "description": "of a team",
        "imageTagMutability": "IMMUTABLE",
        "resourceTags": tags,
        "encryptionConfiguration": {"encryptionType": "AES256"},
    }


def _template(ecr: Ecr, name: str) -> Mapping[str, Any]:
    made = _new_template(ecr, name)
    ecr.create_repository_creation_template(**made)
    return {"prefix": made["prefix"]}


def _registry_policy(ecr: Ecr, name: str) -> Mapping[str, Any]:
    ecr.put_registry_policy(policyText=POLICY)
    return {}


def _image(ecr: Ecr, name: str) -> Mapping[str, Any]:
    content, tag = new_name("content").encode(), new_name("tag")
    upload(ecr, name, content)
    manifest = json.loads(image_of(content))
    manifest["config"]["mediaType"] = IMAGE_CONFIG
    ecr.put_image(repositoryName=name, imageManifest=json.dumps(manifest), imageTag=tag)
    return {"repositoryName": name, "imageId": {"imageTag": tag}}


def _scanned(ecr: Ecr, name: str) -> Mapping[str, Any]:
    asked = _image(ecr, name)
    ecr.start_image_scan(**asked)
    return asked


RULE = {"scanFrequency": "MANUAL", "repositoryFilters": [{"filter": "none", "filterType": "WILDCARD"}]}
MIRRORING_CALLS: Mapping[str, Make] = {
    "BatchGetRepositoryScanningConfiguration": lambda ecr, name: {"repositoryNames": [name, "absent"]},
    "CreatePullThroughCacheRule": lambda ecr, name: {
        "ecrRepositoryPrefix": new_name("hub"),
        "upstreamRegistryUrl": "quay.io",
    },
    "CreateRepositoryCreationTemplate": _new_template,
    "DeletePullThroughCacheRule": _rule,
    "DeleteRegistryPolicy": _registry_policy,
    "DeleteRepositoryCreationTemplate": _template,
    "DescribeImageReplicationStatus": _image,
    "DescribeImageScanFindings": _scanned,
    "DescribePullThroughCacheRules": lambda ecr, name: {
        "ecrRepositoryPrefixes": [_rule(ecr, name)["ecrRepositoryPrefix"]]
    },
    "DescribeRepositoryCreationTemplates": lambda ecr, name: {"prefixes": [_template(ecr, name)["prefix"]]},
    "GetRegistryPolicy": _registry_policy,
    "GetRegistryScanningConfiguration": lambda ecr, name: {},
    "ListImageReferrers": lambda ecr, name: {
        "repositoryName": name,
        "subjectId": {"imageDigest": f"sha256:{'0' * 64}"},
    },
    "PutRegistryPolicy": lambda ecr, name: {"policyText": POLICY},
    "PutRegistryScanningConfiguration": lambda ecr, name: {"scanType": "BASIC", "rules": [RULE]},
    "PutReplicationConfiguration": lambda ecr, name: {"replicationConfiguration": {"rules": []}},
    "StartImageScan": _image,
    "UpdatePullThroughCacheRule": _rule,
    "UpdateRepositoryCreationTemplate": lambda ecr, name: {**_template(ecr, name), "description": "another"},
    "ValidatePullThroughCacheRule": _rule,
}
