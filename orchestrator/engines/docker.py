"""The Docker Engine as a driver, over its HTTP API; podman's socket speaks it too (docs/orchestrator.md: Engines).

What exists on the engine is the state: names make creating idempotent, labels say whose things are and in which order
they stop. What is remembered here makes it faster or tells more, and may be lost: restarts, probes, pulls under way.
"""

import asyncio
import contextlib
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from weakref import WeakValueDictionary

from estiva.digest import Digest
from orchestrator.engines import (
    Authorize,
    EngineDown,
    EngineInfo,
    Exec,
    Image,
    LogLine,
    Refused,
    TaskSpec,
    TaskView,
    Usage,
)
from orchestrator.engines.docker_containers import Containers, remove
from orchestrator.engines.docker_errors import vanished
from orchestrator.engines.docker_http import JSON, ApiError, DockerHTTP
from orchestrator.engines.docker_launch import Launching
from orchestrator.engines.docker_probes import Probes
from orchestrator.engines.docker_pulls import Eviction, Pulls, free_bytes
from orchestrator.engines.docker_specs import SHARED_NETWORK, container_name, plumbing
from orchestrator.engines.docker_streams import DockerExec, frames, log_lines
from orchestrator.engines.host_access import HostAccess
from orchestrator.engines.labels import TASK
from orchestrator.engines.pause import IMAGE

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
_STOP_GRACE = 30.0
"""Seconds that an engine may take longer than the container had to stop."""
_EVENTS = ("start", "die", "oom", "destroy", "health_status")


class DockerEngine:
    """See `Driver`. `allowed`: what tasks may have of the host; `publish_on`: the address their ports are on."""

    def __init__(
        self,
        endpoint: str,
        *,
        allowed: HostAccess | None = None,
        publish_on: str = "",
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._http = DockerHTTP(endpoint, tls)
        self._containers = Containers(self._http)
        self._pulls = Pulls(self._http)
        self._eviction = Eviction(self._http, self._pulls)
        self._launching = Launching(self._http, self._containers, allowed or HostAccess(), publish_on, time.time)
        self._probes = Probes(self._http, self._containers, self._wake)
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        """Task id → one after the other: who stops it must not meet who starts it."""
        self._watchers: set[asyncio.Queue[str | EngineDown]] = set()
        self._architecture = ""

    async def info(self) -> EngineInfo:
        """See `Driver.info`."""
        told = await self._http.ask("GET", "/info")
        architecture = _ARCHITECTURES.get(told["Architecture"], told["Architecture"])
        return EngineInfo(
            engine_id=told["ID"],
            name=told["Name"],
            version=told["ServerVersion"],
            cpu=int(told["NCPU"]) * 1024,
            memory=int(told["MemTotal"]) >> 20,
            architecture=architecture,
            free_disk=await free_bytes(told["DockerRootDir"]) if self._http.is_local else None,
            live_restore=bool(told.get("LiveRestoreEnabled")),
        )

    async def pull(self, image: Image, authorize: Authorize) -> Digest | None:
        """See `Driver.pull`. Only those that fail for good are `lasting`; the others are tried again by the caller."""
        return await self._pulls.pull(image, authorize)

    async def advance(self, task: TaskSpec) -> TaskView:
        """See `Driver.advance`."""
        async with self._turn(task.task_id):
            if plumbing(task).is_paused:
                await self._pulls.has_pause(await self._platform())
            view, found = await self._launching.advance(task)
            await self._probes.look_after(task, found)
            return view

    async def stop(self, task_id: str) -> TaskView:
        """See `Driver.stop`. What does not stop in its time is killed."""
        async with self._turn(task_id):
            self._probes.leave(task_id)
            found = await self._containers.of_task(task_id)
            for level in found.levels:
                await asyncio.gather(*(self._stop(one) for one in level if one["State"]["Running"]))
            if found.pause is not None and found.pause["State"]["Running"]:
                await self._kill(found.pause["Id"])
            return self._containers.task_view(await self._containers.of_task(task_id))

    async def forget(self, task_id: str) -> None:
        """See `Driver.forget`."""
        async with self._turn(task_id):
            self._probes.leave(task_id)
            found = await self._containers.of_task(task_id)
            await self._containers.remove(one["Id"] for one in found.containers.values())
            if found.pause is not None:
                await self._containers.remove([found.pause["Id"]])
            mine = {"filters": {"label": [f"{TASK}={task_id}"]}}
            for network in await self._http.ask("GET", "/networks", mine):
                await remove(self._http, f"/networks/{network['Id']}")
            for volume in (await self._http.ask("GET", "/volumes", mine)).get("Volumes") or ():
                await remove(self._http, f"/volumes/{volume['Name']}", {"force": True})

    async def task(self, task_id: str) -> TaskView | None:
        """See `Driver.task`."""
        found = await self._containers.of_task(task_id)
        return self._containers.task_view(found) if found.containers or found.pause else None

    async def tasks(self) -> list[TaskView]:
        """See `Driver.tasks`."""
        return [self._containers.task_view(found) for found in await self._containers.of_all()]

    async def watch(self) -> AsyncIterator[str]:
        """See `Driver.watch`; EngineDown when the engine ends it."""
        queue: asyncio.Queue[str | EngineDown] = asyncio.Queue()
        listening = asyncio.ensure_future(self._listen(queue))
        self._watchers.add(queue)
        try:
            while not isinstance(told := await queue.get(), EngineDown):
                yield told
            raise told
        finally:
            self._watchers.discard(queue)
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)

    async def logs(
        self, task_id: str, container: str, *, follow: bool = False, since: float = 0, tail: int | None = None
    ) -> AsyncIterator[LogLine]:
        """See `Driver.logs`. Refused too where the container's log driver keeps nothing."""
        inspected = await self._existing(task_id, container)
        query: JSON = {"stdout": True, "stderr": True, "timestamps": True, "follow": follow, "tail": tail}
        if since > 0:  # a float is not as fine as the engine's times: a little earlier, and then looked at here
            query["since"] = f"{since - 1e-5:.9f}"
        silence = None if follow else 60.0
        try:
            async with self._http.stream(
                "GET", f"/containers/{inspected['Id']}/logs", query, silence=silence
            ) as answer:
                async for line in log_lines(frames(answer.pieces, inspected["Config"]["Tty"])):
                    if line.at >= since:
                        yield line
        except ApiError as error:
            raise Refused("CannotReadLogsError", error.message, lasting=True, container=container) from error

    @asynccontextmanager
    async def exec(
        self, task_id: str, container: str, argv: tuple[str, ...], *, terminal: bool = False
    ) -> AsyncIterator[Exec]:
        """See `Driver.exec`."""
        inspected = await self._existing(task_id, container)
        asked = {"AttachStdin": True, "AttachStdout": True, "AttachStderr": True, "Tty": terminal, "Cmd": list(argv)}
        if not inspected["State"]["Running"]:
            raise Refused("CannotExecError", f"container {container} is not running", container=container)
        try:
            made = await self._http.ask("POST", f"/containers/{inspected['Id']}/exec", body=asked)
            path, headers = f"/exec/{made['Id']}/start", {"Connection": "Upgrade", "Upgrade": "tcp"}
            start = self._http.stream(
                "POST", path, body={"Detach": False, "Tty": terminal}, headers=headers, silence=None
            )
            async with start as answer:
                assert answer.connection is not None
                yield DockerExec(self._http, made["Id"], answer.connection, terminal)
        except ApiError as error:
            if error.status == 409:
                raise Refused(
                    "CannotExecError", f"container {container} is not running", container=container
                ) from error
            raise Refused("CannotExecError", error.message, container=container) from error

    async def usage(self, task_id: str) -> list[Usage]:
        """See `Driver.usage`."""
        found = await self._containers.of_task(task_id)
        running = {name: one["Id"] for name, one in sorted(found.containers.items()) if one["State"]["Running"]}
        used = await asyncio.gather(*(self._usage(name, one) for name, one in running.items()))
        return [one for one in used if one is not None]

    async def evict(self, repositories: str, keep: frozenset[Digest], want: int) -> int:
        """See `Driver.evict`; the sizes of what was removed, as the engine tells them."""
        return await self._eviction.evict(repositories, keep, want)

    async def clear(self) -> None:
        """Remove what is kept for all tasks, when the engine is given up: the shared network and the pause image."""
        with contextlib.suppress(ApiError):
            await self._http.ask("DELETE", f"/images/{IMAGE}")
        with contextlib.suppress(ApiError):
            await self._http.ask("DELETE", f"/networks/{SHARED_NETWORK}")
        self._launching.forget_networks()

    async def close(self) -> None:
        """See `Driver.close`."""
        await self._probes.close()
        await self._pulls.close()
        await self._http.close()

    def _turn(self, task_id: str) -> asyncio.Lock:
        return self._turns.setdefault(task_id, asyncio.Lock())

    def _wake(self, task_id: str) -> None:
        for watcher in self._watchers:
            watcher.put_nowait(task_id)

    async def _listen(self, queue: "asyncio.Queue[str | EngineDown]") -> None:
        filters = {"type": ["container"], "label": [TASK], "event": list(_EVENTS)}
        try:
            async with self._http.stream("GET", "/events", {"filters": filters}, silence=None) as answer:
                async for event in answer.lines():
                    queue.put_nowait(event["Actor"]["Attributes"][TASK])
            queue.put_nowait(EngineDown("the engine ended its events"))
        except EngineDown as error:
            queue.put_nowait(error)

    async def _platform(self) -> str:
        if not self._architecture:
            self._architecture = (await self.info()).architecture
        return self._architecture

    async def _existing(self, task_id: str, container: str) -> JSON:
        inspected = await self._containers.inspect(container_name(task_id, container))
        if inspected is None:
            raise vanished(task_id, container)
        return inspected

    async def _stop(self, inspected: JSON) -> None:
        """Stop one; the engine waits as long as the container was given, then kills it."""
        patience = float(inspected["Config"].get("StopTimeout") or 10)
        try:
            await self._http.ask("POST", f"/containers/{inspected['Id']}/stop", within=patience + _STOP_GRACE)
        except ApiError as error:
            if error.status not in (304, 404):
                await self._kill(inspected["Id"])

    async def _kill(self, container_id: str) -> None:
        try:
            await self._http.ask("POST", f"/containers/{container_id}/kill")
        except ApiError as error:
            if error.status not in (404, 409):  # gone, or not running
                raise EngineDown(f"the engine does not end {container_id}: {error.message}") from error

    async def _usage(self, name: str, container_id: str) -> Usage | None:
        try:
            told = await self._http.ask("GET", f"/containers/{container_id}/stats", {"stream": False, "one-shot": True})
        except ApiError:
            return None  # it ended meanwhile
        memory = told.get("memory_stats") or {}
        more = memory.get("stats") or {}
        cache = more.get("total_inactive_file", more.get("inactive_file", 0))
        seconds = told["cpu_stats"]["cpu_usage"]["total_usage"] / 1e9
        return Usage(name, seconds, max(0, memory.get("usage", 0) - cache))
