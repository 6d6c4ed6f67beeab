"""One deployment after another, of the same revision with other digests."""

import secrets
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from storage.metadata import deployments
from storage.metadata.database import Work
from storage.metadata.deployments import DeploymentRecord
from storage.metadata.image_uses import Images


def succeed(primary: DeploymentRecord, images: Mapping[str, str], own: Images) -> Work[str]:
    """Enter a deployment of these images (container → digest) in the place of the primary one: its id.

    `own`: those of them that this registry stores, which stay for it.
    """
    yield from deployments.update(replace(primary, status=deployments.ACTIVE))
    identifier = new_deployment_id()
    state: dict[str, Any] = {**primary.state, "images": images, "following": {}, "reason": "", "rollback_of": None}
    state |= {"failed_tasks": 0, "consecutive_failures": 0, "next_launch_at": 0.0}
    fresh = replace(primary, id=identifier, status=deployments.PRIMARY, rollout="IN_PROGRESS", state=state, version=1)
    yield from deployments.create(fresh, own)
    return identifier


def new_deployment_id() -> str:
    """An id such as AWS gives deployments of services."""
    return f"ecs-svc/{secrets.randbelow(10**19):019d}"
