"""Deploy on push: services that ask for it deploy what a tag of theirs has moved to, in the push's transaction."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from estiva.digest import Digest
from estiva.reference import RepositoryName, Tag
from orchestrator.facts import ReadDefinition, say
from orchestrator.own import OwnRegistry
from orchestrator.records import as_deployment
from orchestrator.state import RolloutState
from orchestrator.succeeding import succeed
from storage.metadata import deployments, services, task_definitions, tasks
from storage.metadata.database import Work
from storage.metadata.deployments import DeploymentRecord
from storage.metadata.services import ServiceRecord
from storage.metadata.task_definitions import DefinitionRecord

Moved = tuple[RepositoryName, Sequence[Tag], Digest]


class DeployOnPush:
    """Enters deployments of the same revision with what its tags are now.

    While one is at work, what is pushed waits for its end, and the latest push wins: so that many pushes in a row do
    not stop again and again what has only just begun.
    """

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
        running, wanted = primary.state["images"], primary.state.get("following") or primary.state["images"]
        images = self._images(definition, wanted, moved)
        if images == wanted:
            return
        own = self._own.images(self._read(definition), _digests(images))
        if images == running or (yield from _is_at_work(primary)):
            following = {} if images == running else images
            yield from deployments.keep(replace(primary, state={**primary.state, "following": following}), own)
            return
        fresh = yield from succeed(primary, images, own)
        told = f"(deployment {fresh}) was entered by a push of {moved[0]}:{moved[1][0]}."
        yield from say(service.key, service.name, told)

    def _images(self, definition: DefinitionRecord, before: Mapping[str, str], moved: Moved) -> Mapping[str, str]:
        """Container → digest, with what was pushed in the place of what its tag was."""
        name, tags, digest = moved
        images = dict(before)
        for container in self._read(definition).containers:
            image = self._own.parse(container.image)
            is_moved = image.name == name and image.digest is None and Tag.parse(image.tag or "latest") in tags
            if is_moved:
                images[container.name] = str(digest)
        return images


def _is_at_work(primary: DeploymentRecord) -> Work[bool]:
    """Whether tasks of the deployment have begun, none has failed, and it has not come to its end: it is let be."""
    deployment = as_deployment(primary)
    if deployment.rollout is not RolloutState.IN_PROGRESS or deployment.consecutive_failures:
        return False
    return any(task.deployment == primary.id for task in (yield from tasks.live(primary.key)))


def _digests(images: Mapping[str, str]) -> Mapping[str, Digest]:
    return {container: Digest.parse(digest) for container, digest in images.items()}
