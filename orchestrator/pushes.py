"""Deploy on push: services that ask for it deploy what a tag of theirs has moved to, in the push's transaction."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from estiva.digest import Digest
from estiva.reference import RepositoryName, Tag
from orchestrator.facts import ReadDefinition, say
from orchestrator.own import OwnRegistry
from orchestrator.records import as_deployment
from orchestrator.scheduling import new_deployment_id
from storage.metadata import deployments, services, task_definitions
from storage.metadata.database import Work
from storage.metadata.deployments import DeploymentRecord
from storage.metadata.services import ServiceRecord
from storage.metadata.task_definitions import DefinitionRecord

Moved = tuple[RepositoryName, Sequence[Tag], Digest]


class DeployOnPush:
    """Enters deployments of the same revision with what its tags are now; the latest push wins."""

    def __init__(self, own: OwnRegistry, read: ReadDefinition) -> None:
        self._own = own
        self._read = read

    def after_push(self, moved: Moved) -> Work[None]:
        """Part of the transaction that moved the tags. Services that don't ask for it are not looked at."""
        if not moved[1]:
            return
        for service in (yield from services.deployed_on_push()):
            yield from self._deploy(service, moved)

    def _deploy(self, service: ServiceRecord, moved: Moved) -> Work[None]:
        found = yield from deployments.of_service(service.key, service.name)
        primary = next((each for each in found if each.status == deployments.PRIMARY), None)
        if primary is None:
            return
        definition = yield from task_definitions.find(service.key.account, primary.family, primary.revision)
        if definition is None:
            return
        images = self._images(definition, primary, moved)
        if images == primary.state["images"]:
            return
        yield from deployments.update(replace(primary, status=deployments.ACTIVE))
        fresh = _fresh(primary, images)
        own = self._own.images(self._read(definition), as_deployment(fresh).images)
        yield from deployments.create(fresh, own)
        told = f"(deployment {fresh.id}) was entered by a push of {moved[0]}:{moved[1][0]}."
        yield from say(service.key, service.name, told)

    def _images(self, definition: DefinitionRecord, primary: DeploymentRecord, moved: Moved) -> Mapping[str, str]:
        """Container → digest, with what was pushed in the place of what its tag was."""
        name, tags, digest = moved
        images = dict(primary.state["images"])
        for container in self._read(definition).containers:
            image = self._own.parse(container.image)
            is_moved = image.name == name and image.digest is None and Tag.parse(image.tag or "latest") in tags
            if is_moved:
                images[container.name] = str(digest)
        return images


def _fresh(primary: DeploymentRecord, images: Mapping[str, str]) -> DeploymentRecord:
    state: dict[str, Any] = {**primary.state, "images": images, "reason": "", "rollback_of": None}
    state |= {"failed_tasks": 0, "consecutive_failures": 0, "next_launch_at": 0.0}
    return replace(
        primary, id=new_deployment_id(), status=deployments.PRIMARY, rollout="IN_PROGRESS", state=state, version=1
    )
