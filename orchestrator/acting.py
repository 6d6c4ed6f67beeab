"""The orchestrator of one process: a loop for each cluster, and the default cluster with the local engine."""

import asyncio
import hashlib
import logging
from dataclasses import dataclass
from functools import partial

from estiva.errors import RegistryError
from orchestrator.loop import ClusterLoop, World
from orchestrator.records import instance_record
from orchestrator.state import Instance, InstanceStatus, Resources
from storage.metadata import clusters, container_instances, task_definitions, tasks
from storage.metadata.clusters import ClusterKey
from storage.metadata.container_instances import InstanceRecord
from storage.metadata.database import Work

logger = logging.getLogger("estiva.orchestrator")

LOOK_EVERY = 1.0
FORGET_EVERY = 60.0
DEFAULT_CLUSTER = "default"
_FIRST = ClusterKey("", "")


@dataclass(frozen=True, slots=True)
class LocalEngine:
    """The engine that a cluster gets which has none: this machine's, unless told otherwise."""

    endpoint: str


class Orchestrator:
    """Runs the loops of all clusters until it is stopped."""

    def __init__(self, world: World, local: LocalEngine | None) -> None:
        self._world = world
        self._local = local
        self._loops: dict[ClusterKey, ClusterLoop] = {}
        self._running: dict[ClusterKey, asyncio.Task[None]] = {}
        self._told: set[ClusterKey] = set()

    def wake(self, key: ClusterKey) -> None:
        """Something was asked of this cluster."""
        loop = self._loops.get(key)
        if loop is not None:
            loop.wake()

    async def run(self) -> None:
        """Until cancelled; loops that fail are begun again."""
        try:
            while True:
                try:
                    await self._meet()
                except RegistryError as error:
                    logger.warning("the clusters cannot be read: %s", error.text)
                await asyncio.sleep(LOOK_EVERY)
        finally:
            for running in self._running.values():
                running.cancel()
            await asyncio.gather(*self._running.values(), return_exceptions=True)

    async def forget(self) -> None:
        """Forget some of the tasks, with their logs, that stopped long ago, and revisions that wait to be deleted."""
        await self._world.database.write(tasks.forget_stopped, durable=False)
        for account in sorted({key.account for key in self._running}):
            await self._world.database.write(partial(task_definitions.sweep, account), durable=False)

    async def _meet(self) -> None:
        found = {record.key for record in await self._world.database.read(clusters.every(_FIRST, 1000))}
        for key in found:
            running = self._running.get(key)
            if running is not None and running.done():
                if running.exception() is not None:
                    logger.error("cluster %s: begun again", key.cluster, exc_info=running.exception())
                del self._running[key]
            if key not in self._running:
                await self._furnish(key)
                self._loops[key] = ClusterLoop(key, self._world)
                self._running[key] = asyncio.create_task(self._loops[key].run())
        for key in self._running.keys() - found:
            self._running.pop(key).cancel()
            self._loops.pop(key, None)

    async def _furnish(self, key: ClusterKey) -> None:
        """Give a cluster without container instances the local engine."""
        local = self._local
        if local is not None and await self._world.database.write(lambda: furnish(key, local)):
            logger.info("cluster %s: %s is a container instance of it", key.cluster, local.endpoint)


def is_local(record: InstanceRecord) -> bool:
    """Whether it is the local engine that a cluster was given, and nobody registered it."""
    return bool(record.state["attributes"].get("engine") == "local")


def furnish(key: ClusterKey, local: LocalEngine) -> Work[bool]:
    """Enter the local engine as an instance where the cluster has none: whether it was."""
    if (yield from container_instances.page(key, "", 1)):
        return False
    name = f"{key.account}/{key.cluster}/{local.endpoint}"
    identifier = hashlib.blake2b(name.encode(), digest_size=16).hexdigest()
    instance = Instance(
        identifier, key.cluster, local.endpoint, InstanceStatus.ACTIVE, False, Resources(), "", {"engine": "local"}
    )
    return (yield from container_instances.create(instance_record(key, instance, {})))
