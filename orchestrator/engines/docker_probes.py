"""Health during startup on old engines, where Docker runs a check for the first time one interval after the start.

Until then the container's own check is run here every second; what it says counts until the engine's word is there.
From API 1.44 on the engine does that itself.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from orchestrator.definition import HealthCheck
from orchestrator.engines import EngineDown, TaskSpec
from orchestrator.engines.docker_containers import Containers, Found
from orchestrator.engines.docker_http import JSON, DockerHTTP
from orchestrator.engines.docker_specs import START_INTERVAL
from orchestrator.engines.docker_views import is_waiting_for_health, seconds

PAUSE = 1.0
"""Seconds between two probes."""


class Probes:
    """Those of one engine. `tell` is called with the id of a task whose container was found healthy."""

    def __init__(self, http: DockerHTTP, containers: Containers, tell: Callable[[str], None]) -> None:
        self._http, self._containers, self._tell = http, containers, tell
        self._under_way: dict[tuple[str, str], asyncio.Task[None]] = {}
        """(task id, container id) → what probes it."""

    async def look_after(self, task: TaskSpec, found: Found) -> None:
        """Probe the containers of the task that have just started."""
        if await self._http.api() >= START_INTERVAL:
            return
        for spec in task.containers:
            inspected, check = found.containers[spec.definition.name], spec.definition.health_check
            key = (task.task_id, inspected["Id"])
            if check is not None and key not in self._under_way and self._is_open(inspected):
                probe = asyncio.ensure_future(self._probe(key, check, spec.definition.user))
                self._under_way[key] = probe
                probe.add_done_callback(partial(self._ended, key))

    def leave(self, task_id: str) -> None:
        """Probe nothing of this task any more."""
        for key in [one for one in self._under_way if one[0] == task_id]:
            self._under_way.pop(key).cancel()

    async def close(self) -> None:
        """End all probes."""
        probes = list(self._under_way.values())
        for probe in probes:
            probe.cancel()
        await asyncio.gather(*probes, return_exceptions=True)

    def _is_open(self, inspected: JSON) -> bool:
        """Whether it runs, and neither the engine nor we know yet how it is."""
        known = self._containers.seen_well.get(inspected["Id"])
        return is_waiting_for_health(inspected) and known != seconds(inspected["State"]["StartedAt"])

    def _ended(self, key: tuple[str, str], probe: "asyncio.Task[None]") -> None:
        if self._under_way.get(key) is probe:
            del self._under_way[key]
        if not probe.cancelled() and (error := probe.exception()) is not None:
            asyncio.get_running_loop().call_exception_handler({"message": "a probe failed", "exception": error})

    async def _probe(self, key: tuple[str, str], check: HealthCheck, user: str | None) -> None:
        task_id, container_id = key
        # An engine that is away, or a container that just ended, is for others to tell.
        with suppress(EngineDown):
            while (inspected := await self._containers.inspect(container_id)) and self._is_open(inspected):
                if await self._is_well(container_id, check, user):
                    self._containers.seen_well[container_id] = seconds(inspected["State"]["StartedAt"])
                    self._tell(task_id)
                    return
                await asyncio.sleep(PAUSE)

    async def _is_well(self, container_id: str, check: HealthCheck, user: str | None) -> bool:
        words = list(check.command[1:]) if check.command[0] == "CMD" else ["/bin/sh", "-c", *check.command[1:]]
        asked = {"AttachStdout": True, "AttachStderr": True, "Cmd": words, **({"User": user} if user else {})}
        made = await self._http.ask("POST", f"/containers/{container_id}/exec", body=asked)
        path, body = f"/exec/{made['Id']}/start", {"Detach": False, "Tty": False}
        try:
            async with asyncio.timeout(check.timeout):
                async with self._http.stream("POST", path, body=body, silence=check.timeout) as answer:
                    async for _ in answer.pieces:
                        pass
                told = await self._http.ask("GET", f"/exec/{made['Id']}/json")
        except TimeoutError:
            return False
        return told["Running"] is False and told["ExitCode"] == 0
