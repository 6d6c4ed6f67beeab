"""What people look at in tasks: their state, what they write, and commands that are run in them."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any

from orchestrator.engines import Driver, Exec, LogLine, Refused
from orchestrator.facts import ClusterFacts, load
from orchestrator.loop import Connect
from orchestrator.records import as_task
from orchestrator.state import Task, TaskStatus
from storage.metadata import clusters, container_instances, task_logs, tasks
from storage.metadata.clusters import ClusterKey, ClusterRecord
from storage.metadata.database import Database

_FIRST = ClusterKey("", "")


class Looking:
    """Reads the store and asks engines; it changes nothing."""

    def __init__(self, database: Database, connect: Connect) -> None:
        self._database = database
        self._connect = connect
        self._drivers: dict[str, Driver] = {}

    async def clusters(self) -> list[ClusterRecord]:
        """Every active cluster."""
        return await self._database.read(clusters.every(_FIRST, 1000))

    async def facts(self, key: ClusterKey) -> ClusterFacts | None:
        """All of a cluster; None where there is none of that name."""
        return await self._database.read(load(key))

    async def task(self, key: ClusterKey, task_id: str) -> Task | None:
        """One task, whether or not it has stopped."""
        record = await self._database.read(tasks.find(key, task_id))
        return None if record is None else as_task(record)

    async def logs(
        self, key: ClusterKey, task: Task, container: str, options: Mapping[str, Any]
    ) -> AsyncIterator[LogLine]:
        """What a container wrote, oldest first; of a task that has stopped what was kept.

        `options`: follow, since (Unix seconds), tail. EngineDown, Refused.
        """
        if task.status is TaskStatus.STOPPED:
            kept = await self._database.read(task_logs.find(key, task.task_id, container))
            lines = [LogLine(*line) for line in kept if line.at >= options.get("since", 0)]
            tail = options.get("tail")
            for line in lines if tail is None else lines[max(0, len(lines) - tail) :]:
                yield line
            return
        driver = await self._driver(key, task)
        async for line in driver.logs(task.task_id, container, **options):
            yield line

    async def exec(
        self, key: ClusterKey, task: Task, container: str, argv: tuple[str, ...], *, terminal: bool = False
    ) -> AbstractAsyncContextManager[Exec]:
        """Run a command in a container. EngineDown, Refused."""
        return (await self._driver(key, task)).exec(task.task_id, container, argv, terminal=terminal)

    async def close(self) -> None:
        """Hang up on all engines."""
        for driver in self._drivers.values():
            await driver.close()

    async def _driver(self, key: ClusterKey, task: Task) -> Driver:
        record = await self._database.read(container_instances.find(key, task.instance_id or ""))
        if record is None:
            raise Refused("ContainerVanishedError", f"task {task.task_id} has no container instance")
        if record.endpoint not in self._drivers:
            self._drivers[record.endpoint] = self._connect(record.endpoint)
        return self._drivers[record.endpoint]
