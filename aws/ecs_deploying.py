"""A deployment of a service comes to be: revision and digests, and the one before steps back."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from aws.call import Call
from aws.ecs_asking import require
from aws.ecs_definitions import images_of, pulled_by, usable
from aws.ecs_launches import used
from aws.ecs_parts import Found, ImageFound
from estiva.digest import Digest
from orchestrator.definition import TaskDefinition
from orchestrator.overrides import read
from orchestrator.placing import demand_of
from orchestrator.records import as_deployment, deployment_record
from orchestrator.state import Deployment, RolloutState, SchedulingStrategy, Service
from orchestrator.succeeding import new_deployment_id
from storage.metadata import deployments
from storage.metadata.clusters import ClusterKey
from storage.metadata.database import Work
from storage.metadata.deployments import DeploymentRecord


@dataclass(frozen=True, slots=True)
class Rollout:
    """What a service moves to: a revision, with what its images mean now."""

    definition: TaskDefinition
    images: Found
    digests: Mapping[str, Digest]

    @property
    def document(self) -> Mapping[str, Any]:
        """What is kept beside the deployment: images as they were named, and whether a health check decides."""
        return {
            "checked": demand_of(self.definition).checked,
            "images": {container.name: container.image for container in self.definition.containers},
        }


async def rollout(call: Call, text: str) -> Rollout:
    """A new rollout of that task definition: its tags are looked up now. AwsError."""
    record = await usable(call, text)
    definition = read(record)
    found = await pulled_by(call, definition)
    digests = {container: Digest.parse(digest) for container, digest in record.images.items()}
    digests |= {container: image.digest for container, image in found.items() if image.digest is not None}
    return Rollout(definition, found, digests)


async def rollout_again(call: Call, definition: TaskDefinition, digests: Mapping[str, Digest]) -> Rollout:
    """A rollout of just these digests, whatever the tags are now."""
    found = await images_of(call, definition)
    named = {container: ImageFound(image.name, digests.get(container)) for container, image in found.items()}
    return Rollout(definition, named, digests)


def wanted(service: Service) -> int:
    """How many tasks its deployment begins with; for a daemon some, until its instances have been counted."""
    return 1 if service.strategy is SchedulingStrategy.DAEMON else service.desired


def begin(
    key: ClusterKey, service: str, desired: int, made: Rollout, rollback_of: str | None = None
) -> Work[DeploymentRecord]:
    """Enter the deployment as PRIMARY; the one that was PRIMARY stays ACTIVE until its tasks have stopped."""
    now = time.time()
    for before in (yield from deployments.of_service(key, service)):
        if before.status == deployments.PRIMARY:
            failed = rollback_of == before.id
            rolled = RolloutState.FAILED.value if failed else before.rollout
            require((yield from deployments.update(replace(before, status=deployments.ACTIVE, rollout=rolled))))
    identifier = new_deployment_id()
    deployment = Deployment(
        identifier,
        service,
        made.definition.family,
        made.definition.revision,
        made.digests,
        desired,
        now,
        now,
        reason=f"ECS deployment {identifier} in progress.",
        rollback_of=rollback_of,
    )
    record = deployment_record(key, deployment, made.document)
    yield from deployments.create(record, (yield from used(made.images, made.digests)))
    return record


def scale(record: DeploymentRecord, desired: int) -> Work[None]:
    """Want so many tasks of a deployment."""
    changed = deployment_record(record.key, replace(as_deployment(record), desired=desired), record.document)
    require((yield from deployments.update(changed)))
