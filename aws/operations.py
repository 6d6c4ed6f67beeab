"""Every ECR operation on one screen: what does it, and the resource on which the action `ecr:<Operation>` counts."""

from collections.abc import Mapping
from types import MappingProxyType

from aws import (
    ecr_images,
    ecr_layers,
    ecr_lifecycle,
    ecr_mirroring,
    ecr_policies,
    ecr_putting,
    ecr_referrers,
    ecr_registry,
    ecr_registry_settings,
    ecr_repositories,
    ecr_scanning,
    ecr_tags,
)
from aws.call import Operation
from aws.resources import anything, by_arn, image_tag, registry, repositories, repository

ECR: Mapping[str, Operation] = MappingProxyType(
    {
        "BatchCheckLayerAvailability": Operation(ecr_layers.batch_check_layer_availability, repository),
        "BatchDeleteImage": Operation(ecr_images.batch_delete_image, repository),
        "BatchGetImage": Operation(ecr_images.batch_get_image, repository),
        "BatchGetRepositoryScanningConfiguration": Operation(
            ecr_scanning.batch_get_repository_scanning_configuration, repositories
        ),
        "CompleteLayerUpload": Operation(ecr_layers.complete_layer_upload, repository),
        "CreatePullThroughCacheRule": Operation(ecr_mirroring.create_pull_through_cache_rule, registry),
        "CreateRepository": Operation(ecr_repositories.create_repository, repository),
        "CreateRepositoryCreationTemplate": Operation(ecr_mirroring.create_repository_creation_template, registry),
        "DeleteLifecyclePolicy": Operation(ecr_lifecycle.delete_lifecycle_policy, repository),
        "DeletePullThroughCacheRule": Operation(ecr_mirroring.delete_pull_through_cache_rule, registry),
        "DeleteRegistryPolicy": Operation(ecr_registry_settings.delete_registry_policy, registry),
        "DeleteRepository": Operation(ecr_repositories.delete_repository, repository),
        "DeleteRepositoryCreationTemplate": Operation(ecr_mirroring.delete_repository_creation_template, registry),
        "DeleteRepositoryPolicy": Operation(ecr_policies.delete_repository_policy, repository),
        "DescribeImageReplicationStatus": Operation(
            ecr_registry_settings.describe_image_replication_status, repository
        ),
        "DescribeImageScanFindings": Operation(ecr_scanning.describe_image_scan_findings, repository),
        "DescribeImages": Operation(ecr_images.describe_images, repository),
        "DescribePullThroughCacheRules": Operation(ecr_mirroring.describe_pull_through_cache_rules, registry),
        "DescribeRegistry": Operation(ecr_registry.describe_registry, anything),
        "DescribeRepositories": Operation(ecr_repositories.describe_repositories, repositories),
        "DescribeRepositoryCreationTemplates": Operation(
            ecr_mirroring.describe_repository_creation_templates, registry
        ),
        "GetAuthorizationToken": Operation(ecr_registry.get_authorization_token, anything),
        "GetDownloadUrlForLayer": Operation(ecr_layers.get_download_url_for_layer, repository),
        "GetLifecyclePolicy": Operation(ecr_lifecycle.get_lifecycle_policy, repository),
        "GetLifecyclePolicyPreview": Operation(ecr_lifecycle.get_lifecycle_policy_preview, repository),
        "GetRegistryPolicy": Operation(ecr_registry_settings.get_registry_policy, registry),
        "GetRegistryScanningConfiguration": Operation(ecr_scanning.get_registry_scanning_configuration, registry),
        "GetRepositoryPolicy": Operation(ecr_policies.get_repository_policy, repository),
        "InitiateLayerUpload": Operation(ecr_layers.initiate_layer_upload, repository),
        "ListImageReferrers": Operation(ecr_referrers.list_image_referrers, repository),
        "ListImages": Operation(ecr_images.list_images, repository),
        "ListTagsForResource": Operation(ecr_tags.list_tags_for_resource, by_arn),
        "PutImage": Operation(ecr_putting.put_image, repository, image_tag),
        "PutImageScanningConfiguration": Operation(ecr_repositories.put_image_scanning_configuration, repository),
        "PutImageTagMutability": Operation(ecr_repositories.put_image_tag_mutability, repository),
        "PutLifecyclePolicy": Operation(ecr_lifecycle.put_lifecycle_policy, repository),
        "PutRegistryPolicy": Operation(ecr_registry_settings.put_registry_policy, registry),
        "PutRegistryScanningConfiguration": Operation(ecr_scanning.put_registry_scanning_configuration, registry),
        "PutReplicationConfiguration": Operation(ecr_registry_settings.put_replication_configuration, registry),
        "SetRepositoryPolicy": Operation(ecr_policies.set_repository_policy, repository),
        "StartImageScan": Operation(ecr_scanning.start_image_scan, repository),
        "StartLifecyclePolicyPreview": Operation(ecr_lifecycle.start_lifecycle_policy_preview, repository),
        "TagResource": Operation(ecr_tags.tag_resource, by_arn),
        "UntagResource": Operation(ecr_tags.untag_resource, by_arn),
        "UpdatePullThroughCacheRule": Operation(ecr_mirroring.update_pull_through_cache_rule, registry),
        "UpdateRepositoryCreationTemplate": Operation(ecr_mirroring.update_repository_creation_template, registry),
        "UploadLayerPart": Operation(ecr_layers.upload_layer_part, repository),
        "ValidatePullThroughCacheRule": Operation(ecr_mirroring.validate_pull_through_cache_rule, registry),
    }
)
