"""What an engine needs to run a task: its definition with overrides, pinned images, secrets, and a right to pull."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from auth.pull_tokens import USERNAME, PullTokens
from estiva.digest import Digest
from estiva.errors import RegistryError
from orchestrator.definition import ContainerDefinition, TaskDefinition
from orchestrator.engines import Authorize, ContainerSpec, Image, PullAuth, Refused, TaskSpec
from orchestrator.facts import ReadDefinition
from orchestrator.own import OwnRegistry
from orchestrator.records import as_task
from orchestrator.state import Deployment, Task
from orchestrator.truth import Truth
from storage.metadata import audit, task_definitions, tasks
from storage.metadata.audit import Actor
from storage.metadata.clusters import ClusterKey
from storage.metadata.database import Database, Work
from storage.metadata.task_definitions import DefinitionRecord
from storage.metadata.tasks import TaskRecord

PULL_FAILED = "CannotPullContainerError"


@dataclass(frozen=True, slots=True)
class Meanings:
    """What stored documents mean, and names that come of them; all of it belongs to those who speak ECS."""

    read: ReadDefinition
    overridden: Callable[[TaskDefinition, Mapping[str, Any]], TaskDefinition]
    """The definition with the overrides that are in a task's document."""
    arn: Callable[[ClusterKey, str], str]
    """A task's ARN."""
    secret: Callable[[str, str], Awaitable[str | None]]
    """A secret of an account, by what `valueFrom` says; None where there is none."""


class Launching:
    """Prepares launches."""

    def __init__(
        self, database: Database, own: OwnRegistry, meanings: Meanings, tokens: PullTokens | None, truth: Truth
    ) -> None:
        self._database = database
        self._own = own
        self._meanings = meanings
        self._tokens = tokens
        self._truth = truth

    async def definition(self, key: ClusterKey, record: TaskRecord) -> TaskDefinition:
        """What the task runs. Refused where its task definition is gone."""
        found: DefinitionRecord | None = await self._database.read(
            task_definitions.find(key.account, record.family, record.revision)
        )
        if found is None:
            raise Refused("TaskDefinitionError", f"{record.family}:{record.revision} is gone", lasting=True)
        return self._meanings.overridden(self._meanings.read(found), record.document)

    async def spec(self, key: ClusterKey, record: TaskRecord, definition: TaskDefinition) -> TaskSpec:
        """All of it, secrets in the clear. Digests that were not pinned before are from here on. Refused."""
        task = as_task(record)
        digests = dict(task.images)
        for container in definition.containers:
            if container.name not in digests or container.resolves_at_launch:
                found = await self._resolve(container)
                if found is not None:
                    digests[container.name] = found
        if digests != dict(task.images):
            own = self._own.images(definition, digests)
            await self._database.write(lambda: tasks.use(record, own))
        specs = [await self._container(key, container, digests) for container in definition.containers]
        arn = self._meanings.arn(key, task.task_id)
        return TaskSpec(task.task_id, arn, key.cluster, definition, tuple(specs), task.service, task.deployment)

    async def auth(self, task: Task, named: str) -> PullAuth | None:
        """The right to pull one image for ten minutes, noted in the audit trail; None where none is needed."""
        service = f" of service {task.service}" if task.service else ""
        return await self._auth(task.task_id, f"task {task.task_id}{service}", named)

    def ahead(self, deployment: Deployment, record: DefinitionRecord) -> Sequence[tuple[Image, Authorize]]:
        """What a deployment's tasks will have to pull, as far as it is pinned, each with the right to do it."""
        definition = self._meanings.read(record)
        found = []
        identifier = deployment.deployment_id.rpartition("/")[2]
        puller = f"deployment {deployment.deployment_id} of service {deployment.service}"
        for container in definition.containers:
            digest = deployment.images.get(container.name)
            if digest is not None and not container.resolves_at_launch:
                authorize = partial(self._auth, identifier, puller, container.image)
                found.append((self._own.image(container.image, digest), authorize))
        return found

    @property
    def registry(self) -> str:
        """How names of this registry's images begin on engines."""
        return self._own.address

    async def _auth(self, identifier: str, puller: str, named: str) -> PullAuth | None:
        name = self._own.parse(named).name
        if name is None or self._tokens is None:
            return None

        def work() -> Work[None]:
            yield from audit.record(Actor(f"task/{identifier}"), "PullImage", f"repository/{name}", by=puller)

        await self._database.write(work, durable=False)
        return PullAuth(USERNAME, self._tokens.issue(identifier, name))

    async def true_refusal(self, named: str, digest: Digest | None, why: Refused) -> Refused:
        """The refusal of a pull as our own records explain it; as the engine put it where they don't."""
        told = await self._truth.explain(self._own.parse(named), digest)
        if told is None:
            return why
        return Refused(PULL_FAILED, f"{named}: {told}", lasting=True, container=why.container)

    async def _resolve(self, container: ContainerDefinition) -> Digest | None:
        image = self._own.parse(container.image)
        if image.digest is not None or image.name is None:
            return image.digest
        try:
            found = await self._truth.digest(image)
        except RegistryError:
            found = None
        if found is None:
            told = await self._truth.explain(image, None) or "its tag is no tag"
            raise Refused(PULL_FAILED, f"{container.image}: {told}", lasting=True, container=container.name)
        return found

    async def _container(
        self, key: ClusterKey, container: ContainerDefinition, digests: Mapping[str, Digest]
    ) -> ContainerSpec:
        secrets = {}
        for variable, named in container.secrets.items():
            value = await self._meanings.secret(key.account, named)
            if value is None:
                message = f"there is no secret {named}, which {container.name} wants as {variable}"
                raise Refused("ResourceInitializationError", message, lasting=True, container=container.name)
            secrets[variable] = value
        image = self._own.image(container.image, digests.get(container.name))
        return ContainerSpec(container, image, secrets)
