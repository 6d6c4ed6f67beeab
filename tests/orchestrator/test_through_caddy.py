"""A rolling update under load through Caddy, which the server tells of healthy targets: no request is lost."""

import asyncio
import contextlib
import json
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fixtures.docker import DockerHost
from tests.fixtures.serving_tasks import TaskServer, get, web
from tests.serving import free_port
from tests.tools import find_tool, running

pytestmark = [pytest.mark.real, pytest.mark.timeout(600)]
CLIENTS = 4
MOST_REQUESTS = 20_000
PATIENCE = 240.0


@contextlib.contextmanager
def caddy_running(folder: Path, admin: int, port: int) -> Iterator[None]:
    """Caddy with one route, whose upstreams it does not know yet; it tries none twice."""
    route = {"handle": [{"@id": "estiva-default-rolled", "handler": "reverse_proxy", "upstreams": []}]}
    server = {"listen": [f"127.0.0.1:{port}"], "routes": [route], "automatic_https": {"disable": True}}
    config = {"admin": {"listen": f"127.0.0.1:{admin}"}, "apps": {"http": {"servers": {"web": server}}}}
    (folder / "caddy.json").write_text(json.dumps(config))
    home = {"XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
    command = [find_tool("caddy"), "run", "--config", str(folder / "caddy.json")]
    with running(command, folder / "caddy.log", environment=home):
        yield


@pytest.fixture
def site(docker_host: DockerHost, tmp_path: Path) -> Iterator[tuple[TaskServer, int]]:
    """A server that tells Caddy of its targets, and Caddy's port."""
    admin, port = free_port(), free_port()
    server = TaskServer(tmp_path, docker_host, {"ESTIVA_CADDY_ADMIN": f"http://127.0.0.1:{admin}"})
    with caddy_running(tmp_path, admin, port):
        server.start()
        try:
            yield server, port
        finally:
            with contextlib.suppress(Exception):
                server.ecs.delete_service(service="rolled", force=True)
                server.until(lambda: not server.containers())
            server.stop()


async def ask(port: int) -> str:
    """One request on a connection of its own: the status and what was said."""
    try:
        async with asyncio.timeout(60):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET /more HTTP/1.1\r\nHost: web\r\nConnection: close\r\n\r\n")
            answer = (await reader.read()).decode()
            writer.close()
    except (OSError, TimeoutError) as error:
        return type(error).__name__
    head, _, body = answer.partition("\r\n\r\n")
    return f"{head.split(' ')[1]} {body}" if head else "nothing"


async def loaded(port: int, server: TaskServer, revision: str) -> Counter[str]:
    """What clients were answered until the service has moved to that revision, and some more after it."""
    said: Counter[str] = Counter()
    moved = asyncio.Event()

    async def client() -> None:
        while not moved.is_set() and said.total() < MOST_REQUESTS:
            said[await ask(port)] += 1
            await asyncio.sleep(0.005)

    clients = [asyncio.create_task(client()) for _ in range(CLIENTS)]
    server.ecs.update_service(service="rolled", taskDefinition=revision)
    deadline = time.monotonic() + PATIENCE
    while not await asyncio.to_thread(is_moved, server, revision):
        assert time.monotonic() < deadline, f"{said}\n{server.log()}"
        await asyncio.sleep(0.2)
    moved.set()
    await asyncio.gather(*clients)
    return said


def is_moved(server: TaskServer, revision: str) -> bool:
    (first, *rest) = server.service("rolled")["deployments"]
    return not rest and first["rolloutState"] == "COMPLETED" and first["taskDefinition"].endswith(revision)


def test_a_rolling_update_under_load_loses_no_request(site: tuple[TaskServer, int], tmp_path: Path) -> None:
    server, port = site
    for tag in ("one", "two"):
        server.push("rolled", tag, tag)
        container = web(f"{server.host}/rolled:{tag}")
        server.ecs.register_task_definition(family="rolled", containerDefinitions=[container])
    server.ecs.create_service(serviceName="rolled", taskDefinition="rolled:1", desiredCount=2)
    server.until(lambda: is_moved(server, "rolled:1") and get(port) == "one")

    said = asyncio.run(loaded(port, server, "rolled:2"))

    assert set(said) == {"200 one", "200 two"}, f"{said}\n{(tmp_path / 'caddy.log').read_text()[-3000:]}"
    assert get(port) == "two"
