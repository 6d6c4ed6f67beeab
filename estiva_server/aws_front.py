"""Puts the AWS front together, for one process."""

from concurrent.futures import Executor

from aws.ecs_operations import ECS
from aws.ecs_parts import EcsParts
from aws.front import Front
from aws.links import Links
from aws.models import load_service
from aws.operations import ECR
from aws.paging import Pages
from aws.parts import Parts
from estiva_server.config import Settings
from estiva_server.security import Security
from registry import Registry


def build_aws_front(
    settings: Settings, security: Security, registry: Registry, links: Links, threads: Executor, ecs: EcsParts
) -> Front:
    """What answers `POST /`."""
    parts = Parts(
        account=settings.account,
        region=settings.region,
        registry=registry,
        access=security.admission.access,
        policies=security.policies,
        signing=security.signing,
        origin=security.admission.origin,
        seal=security.seal,
        pages=Pages(security.seal),
        links=links,
        passes=security.passes,
        threads=threads,
        ecs=ecs,
        limits=security.admission.limits,
    )
    return Front(parts, [(load_service("ecr"), ECR), (load_service("ecs"), ECS)])
