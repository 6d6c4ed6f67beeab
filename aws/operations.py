"""Every ECR operation on one screen: what does it, and the resource on which the action `ecr:<Operation>` counts."""

from collections.abc import Mapping
from types import MappingProxyType

from aws import (
    ecr_images,
    ecr_layers,
    ecr_lifecycle,
    ecr_policies,
    ecr_putting,
    ecr_registry,
    ecr_repositories,
    ecr_tags,
)
from aws.call import Operation
from aws.resources import anything, by_arn, image_tag, repositories, repository

ECR: Mapping[str, Operation] = MappingProxyType(
    {
        "BatchCheckLayerAvailability": Operation(ecr_layers.batch_check_layer_availability, repository),
        "BatchDeleteImage": Operation(ecr_images.batch_delete_image, repository),
        "BatchGetImage": Operation(ecr_images.batch_get_image, repository),
        "CompleteLayerUpload": Operation(ecr_layers.complete_layer_upload, repository),
        "CreateRepository": Operation(ecr_repositories.create_repository, repository),
        "DeleteLifecyclePolicy": Operation(ecr_lifecycle.delete_lifecycle_policy, repository),
        "DeleteRepository": Operation(ecr_repositories.delete_repository, repository),
        "DeleteRepositoryPolicy": Operation(ecr_policies.delete_repository_policy, repository),
        "DescribeImages": Operation(ecr_images.describe_images, repository),
        "DescribeRegistry": Operation(ecr_registry.describe_registry, anything),
        "DescribeRepositories": Operation(ecr_repositories.describe_repositories, repositories),
        "GetAuthorizationToken": Operation(ecr_registry.get_authorization_token, anything),
        "GetDownloadUrlForLayer": Operation(ecr_layers.get_download_url_for_layer, repository),
        "GetLifecyclePolicy": Operation(ecr_lifecycle.get_lifecycle_policy, repository),
        "GetLifecyclePolicyPreview": Operation(ecr_lifecycle.get_lifecycle_policy_preview, repository),
        "GetRepositoryPolicy": Operation(ecr_policies.get_repository_policy, repository),
        "InitiateLayerUpload": Operation(ecr_layers.initiate_layer_upload, repository),
        "ListImages": Operation(ecr_images.list_images, repository),
        "ListTagsForResource": Operation(ecr_tags.list_tags_for_resource, by_arn),
        "PutImage": Operation(ecr_putting.put_image, repository, image_tag),
        "PutImageScanningConfiguration": Operation(ecr_repositories.put_image_scanning_configuration, repository),
        "PutImageTagMutability": Operation(ecr_repositories.put_image_tag_mutability, repository),
        "PutLifecyclePolicy": Operation(ecr_lifecycle.put_lifecycle_policy, repository),
        "SetRepositoryPolicy": Operation(ecr_policies.set_repository_policy, repository),
        "StartLifecyclePolicyPreview": Operation(ecr_lifecycle.start_lifecycle_policy_preview, repository),
        "TagResource": Operation(ecr_tags.tag_resource, by_arn),
        "UntagResource": Operation(ecr_tags.untag_resource, by_arn),
        "UploadLayerPart": Operation(ecr_layers.upload_layer_part, repository),
    }
)
