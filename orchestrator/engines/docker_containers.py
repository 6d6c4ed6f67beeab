"""Containers of tasks on a Docker Engine, always inspected: after a container died, lists still say that it runs."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from orchestrator.engines import ContainerView, EngineDown, TaskView
from orchestrator.engines.docker_http import JSON, ApiError, DockerHTTP
from orchestrator.engines.docker_views import container_view
from orchestrator.engines.labels import CONTAINER, LEVEL, PAUSE, TASK, own_labels

AT_ONCE = 16
REMOVAL = 300.0


@dataclass(slots=True)
class Found:
    """What an engine has of one task."""

    task_id: str
    pause: JSON | None = None
    containers: dict[str, JSON] = field(default_factory=dict)

    def add(self, inspected: JSON) -> None:
        """One more container."""
        labels = labels_of(inspected)
        if PAUSE in labels:
            self.pause = inspected
        elif CONTAINER in labels:
            self.containers[labels[CONTAINER]] = inspected

    @property
    def levels(self) -> list[list[JSON]]:
        """The containers in the order in which they stop: those that depend on others first."""
        by_level: dict[int, list[JSON]] = {}
        for one in self.containers.values():
            by_level.setdefault(int(labels_of(one).get(LEVEL, "0")), []).append(one)
        return [by_level[level] for level in sorted(by_level, reverse=True)]

    def labels(self) -> dict[str, str]:
        """What a `TaskView` tells."""
        all_of_them = [*self.containers.values(), *([self.pause] if self.pause else [])]
        return own_labels(labels_of(all_of_them[0])) if all_of_them else {}


def labels_of(inspected: JSON) -> dict[str, str]:
    """The labels of a container."""
    labels: dict[str, str] = inspected["Config"].get("Labels") or {}
    return labels


class Containers:
    """Finds, inspects and removes."""

    def __init__(self, http: DockerHTTP) -> None:
        self._http = http
        self.restarts: dict[str, int] = {}
        """Container id → how often it was started again from here: engines count only what they do themselves."""
        self.seen_well: dict[str, float | None] = {}
        """Container id → the start after which a probe of ours found it healthy before its own check ran."""

    async def inspect(self, name: str) -> JSON | None:
        """The container of that name or id, if there is one."""
        try:
            inspected: JSON = await self._http.ask("GET", f"/containers/{name}/json")
        except ApiError as error:
            if error.status == 404:
                return None
            raise EngineDown(f"the engine cannot tell of {name}: {error.message}") from error
        return inspected

    async def of_task(self, task_id: str) -> Found:
        """What there is of one task."""
        found = Found(task_id)
        for inspected in await self._labelled(f"{TASK}={task_id}"):
            found.add(inspected)
        return found

    async def of_all(self) -> list[Found]:
        """What there is of every task."""
        found: dict[str, Found] = {}
        for inspected in await self._labelled(TASK):
            task_id = labels_of(inspected)[TASK]
            found.setdefault(task_id, Found(task_id)).add(inspected)
        return list(found.values())

    async def _labelled(self, label: str) -> list[JSON]:
        listed = await self._http.ask("GET", "/containers/json", {"all": True, "filters": {"label": [label]}})
        return await self.inspect_all([one["Id"] for one in listed])

    async def inspect_all(self, names: Sequence[str]) -> list[JSON]:
        """Those of these that there are, in this order."""
        turns = asyncio.Semaphore(AT_ONCE)

        async def look(name: str) -> JSON | None:
            async with turns:
                return await self.inspect(name)

        return [one for one in await asyncio.gather(*map(look, names)) if one is not None]

    def view(self, inspected: JSON, pause: JSON | None) -> ContainerView:
        """The container as the orchestrator sees it."""
        container_id = inspected["Id"]
        return container_view(inspected, pause, self.restarts.get(container_id, 0), self.seen_well.get(container_id))

    def task_view(self, found: Found) -> TaskView:
        """The task as the orchestrator sees it; containers in the order of their names."""
        views = (self.view(found.containers[name], found.pause) for name in sorted(found.containers))
        return TaskView(found.task_id, tuple(views), found.labels())

    async def remove(self, names: Iterable[str]) -> None:
        """Remove these with their nameless volumes, whatever they do."""
        await asyncio.gather(*(self._remove(name) for name in names))

    async def _remove(self, name: str) -> None:
        self.restarts.pop(name, None)
        self.seen_well.pop(name, None)
        await remove(self._http, f"/containers/{name}", {"force": True, "v": True})


async def remove(http: DockerHTTP, path: str, query: dict[str, bool] | None = None) -> None:
    """Remove an object of the engine's; nothing to do where it is gone or going."""
    try:
        await http.ask("DELETE", path, query, within=REMOVAL)
    except ApiError as error:
        if error.status != 404 and "already in progress" not in error.message:
            raise EngineDown(f"the engine does not remove {path}: {error.message}") from error
