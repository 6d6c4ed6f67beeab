"""Takes a task towards running on a Docker Engine: network, volumes, creates, and the starts that are due now."""

import asyncio
from collections.abc import Callable

from orchestrator.definition import Volume
from orchestrator.engines import (
    ContainerSpec,
    ContainerStatus,
    ContainerView,
    EngineDown,
    Refused,
    TaskSpec,
    TaskView,
)
from orchestrator.engines.docker_containers import Containers, Found
from orchestrator.engines.docker_errors import (
    RESOURCE,
    TIMEOUT,
    create_refusal,
    network_refusal,
    start_refusal,
    vanished,
)
from orchestrator.engines.docker_http import JSON, ApiError, DockerHTTP
from orchestrator.engines.docker_specs import (
    Bodies,
    Plumbing,
    container_name,
    network_body,
    pause_name,
    plumbing,
    volume_body,
    volume_name,
)
from orchestrator.engines.host_access import HostAccess
from orchestrator.engines.steps import levels, startable

CREATE_WITHIN, START_WITHIN = 240.0, 180.0
NAME_TRIES = 100


class Launching:
    """`advance` of one engine."""

    def __init__(
        self, http: DockerHTTP, containers: Containers, allowed: HostAccess, publish_on: str, now: Callable[[], float]
    ) -> None:
        self._http, self._containers, self._allowed = http, containers, allowed
        self._publish_on, self._now = publish_on, now
        self._one_network_at_a_time = asyncio.Lock()
        self._networks: set[str] = set()
        """Shared networks seen on the engine: they stay."""

    async def advance(self, task: TaskSpec) -> tuple[TaskView, Found]:
        """See `Driver.advance`; also what was found, as it is afterwards."""
        found = await self._present(task)
        if len(found.containers) < len(task.containers):
            await self._create(task, found)
        views = {name: self._containers.view(one, found.pause) for name, one in found.containers.items()}
        due = startable(task.definition, views, self._now())
        if due:
            await self._have_network(task, plumbing(task))
            await self._start_all(due, views, found)
        told = tuple(
            self._containers.view(found.containers[one.definition.name], found.pause) for one in task.containers
        )
        return TaskView(task.task_id, told, found.labels()), found

    def forget_networks(self) -> None:
        """Look anew which shared networks there are."""
        self._networks.clear()

    async def _present(self, task: TaskSpec) -> Found:
        """What there is, by name: labels take the engine longer to look through."""
        names = [container_name(task.task_id, one.definition.name) for one in task.containers]
        if plumbing(task).is_paused:
            names.append(pause_name(task.task_id))
        found = Found(task.task_id)
        for inspected in await self._containers.inspect_all(names):
            found.add(inspected)
        return found

    async def _create(self, task: TaskSpec, found: Found) -> None:
        _forbid_vanished(task, found, self._containers)
        self._allowed.check(task.definition)
        wiring = plumbing(task)
        await self._have_network(task, wiring)
        for volume in task.definition.volumes:
            if volume.host_path is None:
                await self._have_volume(task, volume)
        bodies = Bodies(task, wiring, await self._http.api(), self._publish_on)
        if wiring.is_paused:
            await self._have_pause(task, bodies, found)
        steps = levels(task.definition.containers)
        for spec in sorted(task.containers, key=lambda one: steps[one.definition.name]):
            if spec.definition.name not in found.containers:
                pause = found.pause["Id"] if found.pause else None
                await self._create_one(task, spec, bodies.container(spec, steps[spec.definition.name], pause), found)

    async def _create_one(self, task: TaskSpec, spec: ContainerSpec, body: JSON, found: Found) -> None:
        try:
            found.add(await self._made(container_name(task.task_id, spec.definition.name), body))
        except ApiError as error:
            raise create_refusal(spec.definition.name, spec.image, error) from error

    async def _made(self, name: str, body: JSON) -> JSON:
        """The container of that name, created unless it is there. ApiError where the engine refuses."""
        for _ in range(NAME_TRIES):
            try:
                await self._http.ask("POST", "/containers/create", {"name": name}, body, within=CREATE_WITHIN)
            except ApiError as error:
                if not _is_there(error):
                    raise
            if (inspected := await self._containers.inspect(name)) is not None:
                return inspected
            # A call that was cut off holds the name: soon it is a container, or free again.
            await asyncio.sleep(0.1)
        raise EngineDown(f"the engine neither has {name} nor makes it")

    async def _have_network(self, task: TaskSpec, wiring: Plumbing) -> None:
        # Asked for the same name twice at once, an engine may make two, and then knows neither by it.
        async with self._one_network_at_a_time:
            if wiring.is_made and wiring.network not in self._networks:
                await self._make_network(task, wiring)

    async def _make_network(self, task: TaskSpec, wiring: Plumbing) -> None:
        try:
            await self._http.ask("GET", f"/networks/{wiring.network}")
        except ApiError as absent:
            if absent.status != 404:
                raise network_refusal(absent) from absent
            try:
                await self._http.ask("POST", "/networks/create", body=network_body(task, wiring))
            except ApiError as error:
                if not _is_there(error):
                    raise network_refusal(error) from error
        if not wiring.is_own:
            self._networks.add(wiring.network)

    async def _have_volume(self, task: TaskSpec, volume: Volume) -> None:
        name = volume_name(task.task_id, volume)
        try:
            if volume.shared_name and not volume.autoprovision:
                await self._http.ask("GET", f"/volumes/{name}")
            else:
                await self._http.ask("POST", "/volumes/create", body=volume_body(task, volume))
        except ApiError as error:
            raise Refused("CannotCreateVolumeError", f"volume {name}: {error.message}", lasting=True) from error

    async def _have_pause(self, task: TaskSpec, bodies: Bodies, found: Found) -> None:
        name = pause_name(task.task_id)
        if found.pause is None:
            try:
                found.add(await self._made(name, bodies.pause()))
            except ApiError as error:
                raise Refused(RESOURCE, f"the pause container: {error.message}") from error
        if found.pause is not None and not found.pause["State"]["Running"]:
            await self._start("pause", found.pause["Id"])
            await self._look(name, found)

    async def _start_all(self, due: list[str], views: dict[str, ContainerView], found: Found) -> None:
        """Start all that are due; then tell the first refusal, if any."""
        ended = await asyncio.gather(
            *(self._start_one(name, views[name], found) for name in due), return_exceptions=True
        )
        for end in ended:
            if isinstance(end, BaseException):
                raise end

    async def _start_one(self, name: str, view: ContainerView, found: Found) -> None:
        assert view.runtime_id is not None
        if found.pause is not None and not found.pause["State"]["Running"]:
            message = "the pause container, which holds what the containers share, has ended"
            raise Refused(RESOURCE, message, lasting=True, container=name)
        await self._start(name, view.runtime_id)
        if view.status is ContainerStatus.STOPPED:
            self._containers.restarts[view.runtime_id] = view.restarts + 1
        await self._look(view.runtime_id, found)

    async def _start(self, name: str, container_id: str) -> None:
        try:
            await self._http.ask("POST", f"/containers/{container_id}/start", within=START_WITHIN)
        except ApiError as error:
            if error.status == 404 and "no such container" in error.message.lower():
                raise Refused("ContainerVanishedError", "it was removed before it started", container=name) from error
            self.forget_networks()  # one of them may be gone
            raise start_refusal(name, error.message) from error
        except EngineDown as silence:
            if isinstance(silence.__cause__, TimeoutError):
                message = f"Could not transition to running; timed out after waiting {START_WITHIN:.0f}s"
                raise Refused(TIMEOUT, message, container=name) from silence
            raise

    async def _look(self, name: str, found: Found) -> None:
        inspected = await self._containers.inspect(name)
        if inspected is None:
            raise EngineDown(f"the engine has lost {name}, which it has just started")
        found.add(inspected)


def _forbid_vanished(task: TaskSpec, found: Found, containers: Containers) -> None:
    """All are created before any starts: where one has started, what is absent was removed by somebody."""
    started = any(containers.view(one, found.pause).started_at for one in found.containers.values())
    for spec in task.containers:
        if started and spec.definition.name not in found.containers:
            raise vanished(task.task_id, spec.definition.name)


def _is_there(error: ApiError) -> bool:
    """Whether it was not made because it is there already: then a call that was cut off had made it."""
    return error.status == 409 or "already exists" in error.message or "already in use by container" in error.message
