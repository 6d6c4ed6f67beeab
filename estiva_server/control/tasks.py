"""What runs: /api/v1/clusters, services, tasks with their logs and commands, and targets for reverse proxies."""

import base64
import json
import math
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, contextmanager
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from auth.access import refuse
from aws.ecs_resources import CLUSTER
from estiva.errors import NotFound, RequestInvalid, TooManyRequests, Unavailable
from estiva_server.control.interactive import PROTOCOL, Malformed, TypingAlong, size_of
from estiva_server.control.operating import Operating, actor_of, body_of
from estiva_server.control.routing import route
from orchestrator.engines import EngineDown, LogLine, Refused
from orchestrator.facts import ClusterFacts
from orchestrator.looking import Looking
from orchestrator.overrides import read
from orchestrator.state import Task
from orchestrator.targets import addresses, caddy, targets, traefik
from storage.metadata import audit
from storage.metadata.audit import Actor
from storage.metadata.clusters import ClusterKey
from storage.metadata.database import Database

LINES = "application/x-ndjson"
LONGEST_TAIL = 100_000
MOST_TYPED_AT = 64
"""Commands of one process that are typed at while they run: each holds two connections."""


class TasksAPI:
    """Looks at what runs. `region` is that of ARNs in policies; `database` has the audit trail."""

    def __init__(self, operating: Operating, looking: Looking, region: str, database: Database) -> None:
        self._operating = operating
        self._looking = looking
        self._region = region
        self._database = database
        self._typed_at = 0

    def routes(self) -> list[Route]:
        """Every path of this API."""
        return [
            route("/api/v1/clusters", GET=self.clusters),
            route("/api/v1/clusters/{cluster}/services", GET=self.services),
            route("/api/v1/clusters/{cluster}/tasks", GET=self.tasks),
            route("/api/v1/clusters/{cluster}/tasks/{task}/logs", GET=self.logs),
            route("/api/v1/clusters/{cluster}/tasks/{task}/exec", POST=self.exec),
            route("/api/v1/clusters/{cluster}/targets/traefik", GET=self.traefik),
            route("/api/v1/clusters/{cluster}/targets/caddy/{service}", GET=self.caddy),
        ]

    async def clusters(self, request: Request) -> Response:
        """All clusters of this server's account."""
        await self._admit(request, "ecs:ListClusters", "cluster/*")
        found = await self._looking.clusters()
        names = [{"name": record.key.cluster} for record in found if not record.key.account]
        return JSONResponse({"clusters": names})

    async def services(self, request: Request) -> Response:
        """The services of a cluster, with how far they are."""
        facts = await self._facts(request, "ecs:DescribeServices", "service")
        shown = []
        for name, service in sorted(facts.services.items()):
            of_service = [task for task in facts.tasks.values() if task.service == name]
            primary = next((each for each in service.current if each.primary), None)
            shown.append(
                {
                    "name": name,
                    "status": service.service.status.value,
                    "desired": service.service.desired,
                    "running": sum(task.status.name == "RUNNING" for task in of_service),
                    "definition": f"{primary.family}:{primary.revision}" if primary else None,
                    "rollout": primary.rollout.value if primary else None,
                    "event": service.last_event or None,
                }
            )
        return JSONResponse({"services": shown})

    async def tasks(self, request: Request) -> Response:
        """The tasks of a cluster that have not stopped."""
        facts = await self._facts(request, "ecs:ListTasks", "task")
        return JSONResponse({"tasks": [_shown(task) for _, task in sorted(facts.tasks.items())]})

    async def traefik(self, request: Request) -> Response:
        """Healthy targets, for Traefik's HTTP provider."""
        facts = await self._facts(request, "ecs:DescribeServices", "service")
        return JSONResponse(traefik(targets(facts, read, addresses(facts), time.time())))

    async def caddy(self, request: Request) -> Response:
        """Healthy targets of a service, as the `upstreams` of Caddy's reverse proxy."""
        facts = await self._facts(request, "ecs:DescribeServices", "service")
        found = targets(facts, read, addresses(facts), time.time())
        return JSONResponse(caddy(found, request.path_params["service"]))

    async def logs(self, request: Request) -> Response:
        """What a container wrote: a JSON object per line, with `at`, `stream` and `text`."""
        key, task, _ = await self._task(request, "logs:GetLogEvents")
        container = _container(task, request.query_params.get("container"))
        lines = self._looking.logs(key, task, container, _log_options(request))
        first = await _first(lines)
        return StreamingResponse(_lines(first, lines), media_type=LINES)

    async def exec(self, request: Request) -> Response:
        """Run a command: a JSON object per line with `stream` and `data` (base64), the last one with `exit_code`.

        Where the request wants an upgrade, it is typed at while it runs (`interactive.py`).
        """
        key, task, actor = await self._task(request, "ecs:ExecuteCommand")
        body = await body_of(request, container=str, command=list, stdin=str, terminal=bool, size=list)
        command = body.get("command") or []
        if not command or not all(isinstance(word, str) and "\0" not in word for word in command):
            raise RequestInvalid("command is a list of words")
        container = _container(task, body.get("container"))
        upgrade = request.headers.get("upgrade", "").lower() == PROTOCOL
        if not upgrade and body.keys() & {"terminal", "size"}:
            raise RequestInvalid(f"terminal and size want Upgrade: {PROTOCOL}")
        target = f"task/{key.cluster}/{task.task_id}"  # what follows the program may be secret
        facts = {"container": container, "program": command[0]}
        await self._database.write(lambda: audit.record(actor, "ExecuteCommand", target, **facts))
        if upgrade:
            return await self._interactive(key, task, container, tuple(command), body)
        output = self._output(key, task, container, tuple(command), body.get("stdin", ""))
        first = await _first(output)
        return StreamingResponse(_after(first, output), media_type=LINES)

    async def _interactive(
        self, key: ClusterKey, task: Task, container: str, command: tuple[str, ...], body: Mapping[str, Any]
    ) -> Response:
        """Begin the command, and let its client type at it."""
        if "stdin" in body:
            raise RequestInvalid("stdin is sent when the connection was upgraded")
        try:
            size = size_of(body.get("size"))
        except Malformed as error:
            raise RequestInvalid(str(error)) from None
        if self._typed_at >= MOST_TYPED_AT:
            raise TooManyRequests(f"{MOST_TYPED_AT} commands are being typed at already", headers={"Retry-After": "10"})
        async with AsyncExitStack() as opened:
            self._typed_at += 1
            opened.callback(self._typed)
            with _told():
                found = self._looking.exec(key, task, container, command, terminal=body.get("terminal", False))
                running = await opened.enter_async_context(await found)
                if size is not None:
                    await running.resize(*size)
            return TypingAlong(running, opened.pop_all())

    def _typed(self) -> None:
        self._typed_at -= 1

    async def _output(
        self, key: ClusterKey, task: Task, container: str, command: tuple[str, ...], stdin: str
    ) -> AsyncIterator[bytes]:
        async with await self._looking.exec(key, task, container, command) as running:
            if stdin:
                await running.write(stdin.encode())
            await running.write_eof()
            async for stream, data in running.output():
                yield _line({"stream": stream, "data": base64.b64encode(data).decode()})
            yield _line({"exit_code": await running.exit_code()})

    async def _facts(self, request: Request, action: str, kind: str) -> ClusterFacts:
        cluster = request.path_params["cluster"]
        await self._admit(request, action, f"{kind}/{cluster}/*", cluster)
        facts = await self._looking.facts(ClusterKey("", cluster))
        if facts is None:
            raise NotFound(f"there is no cluster {cluster[:255]}")
        return facts

    async def _task(self, request: Request, action: str) -> tuple[ClusterKey, Task, Actor]:
        key, task_id = ClusterKey("", request.path_params["cluster"]), request.path_params["task"]
        actor = await self._admit(request, action, f"task/{key.cluster}/{task_id}", key.cluster)
        task = await self._looking.task(key, task_id)
        if task is None:
            raise NotFound(f"there is no task {task_id[:64]} in cluster {key.cluster[:255]}")
        return key, task, actor

    async def _admit(self, request: Request, action: str, resource: str, cluster: str | None = None) -> Actor:
        """Who asks, where policies allow it. The cluster that it is about is a condition key. Unauthorized, Denied."""
        caller = await self._operating.caller(request)
        own = f"arn:aws:ecs:{self._region}:{self._operating.account}:"
        about = {} if cluster is None else {CLUSTER: f"{own}cluster/{cluster}"}
        refuse(caller, await self._operating.admission.access.decide(caller, action, f"{own}{resource}", **about))
        return actor_of(caller)


def _shown(task: Task) -> Mapping[str, Any]:
    return {
        "task": task.task_id,
        "service": task.service,
        "definition": f"{task.family}:{task.revision}",
        "status": task.status.name,
        "desired": task.desired.value,
        "health": task.health.value,
        "instance": task.instance_id,
        "started_at": task.started_at,
        "ports": _ports(task),
    }


def _ports(task: Task) -> list[str]:
    """What is published, HOST->CONTAINER; once, although an engine binds it for IPv4 and for IPv6."""
    bindings = [one for each in task.containers for one in each.bindings]
    return list(dict.fromkeys(f"{one.host_port}->{one.container_port}/{one.protocol}" for one in bindings))


def _container(task: Task, named: str | None) -> str:
    """The container of that name, or the only one."""
    names = [one.name for one in task.containers]
    if named is None and len(names) == 1:
        return names[0]
    if named not in names:
        raise RequestInvalid(f"container is one of {', '.join(names) or 'none: nothing of the task was created'}")
    return str(named)


def _log_options(request: Request) -> Mapping[str, Any]:
    query = request.query_params
    options: dict[str, Any] = {"follow": query.get("follow") in ("1", "true")}
    try:
        options["since"] = float(query.get("since", "0"))
        tail = query.get("tail")
        options["tail"] = None if tail is None else int(tail)
    except ValueError:
        raise RequestInvalid("since is a number of seconds, tail a number of lines") from None
    if not math.isfinite(options["since"]) or not 0 <= (options["tail"] or 0) <= LONGEST_TAIL:
        raise RequestInvalid("since is a number of seconds, tail a number of lines")
    return options


async def _first(items: AsyncIterator[Any]) -> Any:
    """The first one, so that what cannot be had is refused before an answer begins; None where there is none."""
    with _told():
        return await anext(items, None)


@contextmanager
def _told() -> Iterator[None]:
    """What an engine cannot do, as an answer says it."""
    try:
        yield
    except EngineDown as error:
        raise Unavailable(f"the engine does not answer: {error}") from None
    except Refused as error:
        raise RequestInvalid(str(error)) from None


async def _lines(first: LogLine | None, rest: AsyncIterator[LogLine]) -> AsyncIterator[bytes]:
    if first is not None:
        yield _line({"at": first.at, "stream": first.stream, "text": first.text})
        async for line in rest:
            yield _line({"at": line.at, "stream": line.stream, "text": line.text})


async def _after(first: bytes | None, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    if first is not None:
        yield first
        async for line in rest:
            yield line


def _line(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value).encode() + b"\n"
