"""Every ECR operation on one screen: what does it, and the resource on which the action `ecr:<Operation>` counts."""

from collections.abc import Mapping
from types import MappingProxyType

from aws import ecr_registry
from aws.call import Operation
from aws.resources import anything

ECR: Mapping[str, Operation] = MappingProxyType(
    {
        "DescribeRegistry": Operation(ecr_registry.describe_registry, anything),
    }
)
