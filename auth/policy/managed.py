"""Ready-made policies, under the names and with the ECR actions that they have in AWS."""

import json
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from auth.policy import actions
from auth.policy.document import Document
from auth.policy.parsing import VERSION, parse_identity_policy

ARN_PREFIX = "arn:aws:iam::aws:policy/"

_PULL_ONLY = (
    actions.GET_AUTHORIZATION_TOKEN,
    actions.BATCH_IMPORT_UPSTREAM_IMAGE,
    actions.GET_DOWNLOAD_URL_FOR_LAYER,
    actions.BATCH_GET_IMAGE,
)
_READ_ONLY = (
    actions.GET_AUTHORIZATION_TOKEN,
    actions.BATCH_CHECK_LAYER_AVAILABILITY,
    actions.GET_DOWNLOAD_URL_FOR_LAYER,
    "ecr:GetRepositoryPolicy",
    actions.DESCRIBE_REPOSITORIES,
    actions.LIST_IMAGES,
    "ecr:DescribeImages",
    actions.BATCH_GET_IMAGE,
    "ecr:GetLifecyclePolicy",
    "ecr:GetLifecyclePolicyPreview",
    "ecr:ListTagsForResource",
    "ecr:DescribeImageScanFindings",
)
_POWER_USER = (
    *_READ_ONLY,
    actions.INITIATE_LAYER_UPLOAD,
    actions.UPLOAD_LAYER_PART,
    actions.COMPLETE_LAYER_UPLOAD,
    actions.PUT_IMAGE,
)
_ACTIONS: Mapping[str, Sequence[str]] = {
    "AmazonEC2ContainerRegistryPullOnly": _PULL_ONLY,
    "AmazonEC2ContainerRegistryReadOnly": _READ_ONLY,
    "AmazonEC2ContainerRegistryPowerUser": _POWER_USER,
    # AWS's also looks up CloudTrail events and creates a role for replication: other services, absent here.
    "AmazonEC2ContainerRegistryFullAccess": ("ecr:*",),
    # AWS's also reaches into load balancers, scaling and roles: absent here.
    "AmazonECS_FullAccess": ("ecs:*",),
    "AdministratorAccess": ("*",),
}


def _document(name: str, allowed: Sequence[str]) -> Document:
    statement = {"Effect": "Allow", "Action": list(allowed), "Resource": "*"}
    return parse_identity_policy(json.dumps({"Version": VERSION, "Statement": [statement]}), name)


# By name; the ARN is ARN_PREFIX and the name.
MANAGED_POLICIES: Mapping[str, Document] = MappingProxyType(
    {name: _document(name, allowed) for name, allowed in _ACTIONS.items()}
)
