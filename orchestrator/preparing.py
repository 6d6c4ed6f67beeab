"""A cluster that is first used gets the local engine; whoever wants to place a task waits until that answers."""

import asyncio

from orchestrator.acting import DEFAULT_CLUSTER, LocalEngine, furnish
from orchestrator.records import as_instance
from orchestrator.state import InstanceStatus
from storage.metadata import clusters, container_instances
from storage.metadata.clusters import ClusterKey
from storage.metadata.database import Database, Work

PATIENCE = 5.0
LOOK_EVERY = 0.05


class Preparing:
    """Prepares clusters."""

    def __init__(self, database: Database, local: LocalEngine | None) -> None:
        self._database = database
        self._local = local

    async def prepare(self, key: ClusterKey) -> None:
        """The cluster `default` is there, and an active one has an instance that answers, where it can have one.

        Returns after PATIENCE seconds whether or not it does: then placing says what is wrong.
        """
        if self._local is None or await self._database.read(_answers(key)):
            return
        local = self._local
        if not await self._database.write(lambda: _begin(key, local)):
            return
        for _ in range(round(PATIENCE / LOOK_EVERY)):
            if await self._database.read(_answers(key)):
                return
            await asyncio.sleep(LOOK_EVERY)


def _begin(key: ClusterKey, local: LocalEngine) -> Work[bool]:
    """Make the default cluster, furnish it; whether there is a cluster to wait for."""
    record = yield from clusters.find(key)
    if record is None and key.cluster == DEFAULT_CLUSTER:
        record = yield from clusters.create(key, {"tags": []})
    if record is None or record.status != clusters.ACTIVE:
        return False
    yield from furnish(key, local)
    return True


def _answers(key: ClusterKey) -> Work[bool]:
    """Whether any instance can be placed on."""
    found = yield from container_instances.page(key, "", 100)
    instances = [as_instance(record) for record in found]
    return any(one.connected and one.status is InstanceStatus.ACTIVE and one.architecture for one in instances)
