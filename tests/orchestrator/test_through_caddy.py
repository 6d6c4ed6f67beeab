"""A rolling update under load through Debian's Caddy, which the server tells of healthy targets: no request is lost."""

import asyncio
import contextlib
import json
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.serving_tasks import web
from tests.fixtures.two_engines import Link, NetworkedEngine, PairServer
from tests.serving import free_port
from tests.tools import find_tool, run, running

pytestmark = [pytest.mark.real, pytest.mark.timeout(600)]
CLUSTER = "traffic"
CLIENTS = 4
MOST_REQUESTS = 20_000
PATIENCE = 240.0
# Caddy opens its ports anew with each change, and closes the old ones; who waits there to be accepted is handed on by
# the kernel where it is told to (Linux 5.14), or cut off: docs/orchestrator.md.
HAND_ON = "net.ipv4.tcp_migrate_req=1"
CONNECT_TRIES = 3
"""A connection that does not come about is tried again, as clients do: nothing was sent yet that could be lost."""


@contextlib.contextmanager
def caddy_running(link: Link, folder: Path, admin: int, port: int) -> Iterator[None]:
    """Caddy on an engine's host, with one route whose upstreams it does not know yet; it tries none twice."""
    route = {"handle": [{"@id": f"estiva-{CLUSTER}-rolled", "handler": "reverse_proxy", "upstreams": []}]}
    server = {"listen": [f"{link.there}:{port}"], "routes": [route], "automatic_https": {"disable": True}}
    config = {"admin": {"listen": f"{link.there}:{admin}"}, "apps": {"http": {"servers": {"web": server}}}}
    (folder / "caddy.json").write_text(json.dumps(config))
    run(link.inside("sysctl", "-w", HAND_ON))
    home = {"XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
    command = link.inside(find_tool("caddy"), "run", "--config", str(folder / "caddy.json"))
    with running(command, folder / "caddy.log", environment=home):
        yield


@dataclass(frozen=True)
class Site:
    """A server that tells Caddy of its targets, and where Caddy answers; what Caddy said is in `log`."""

    server: PairServer
    address: str
    port: int
    log: Path

    def service(self) -> dict[str, Any]:
        """The service behind Caddy."""
        return self.server.service("rolled", CLUSTER)

    def is_moved(self, revision: str) -> bool:
        """Whether that revision is all there is, and healthy."""
        (first, *rest) = self.service()["deployments"]
        return not rest and first["rolloutState"] == "COMPLETED" and first["taskDefinition"].endswith(revision)

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection to Caddy."""
        for _ in range(CONNECT_TRIES - 1):
            with contextlib.suppress(ConnectionResetError):
                return await asyncio.open_connection(self.address, self.port)
        return await asyncio.open_connection(self.address, self.port)

    async def ask(self) -> str:
        """One request on a connection of its own: the status and what was said."""
        try:
            async with asyncio.timeout(60):
                reader, writer = await self.connect()
                writer.write(b"GET /more HTTP/1.1\r\nHost: web\r\nConnection: close\r\n\r\n")
                answer = (await reader.read()).decode()
                writer.close()
        except (OSError, TimeoutError) as error:
            return type(error).__name__
        head, _, body = answer.partition("\r\n\r\n")
        return f"{head.split(' ')[1]} {body}" if head else "nothing"

    async def update(self, revision: str) -> Counter[str]:
        """What clients were answered until the service has moved to that revision."""
        said: Counter[str] = Counter()
        moved = asyncio.Event()

        async def client() -> None:
            while not moved.is_set() and said.total() < MOST_REQUESTS:
                said[await self.ask()] += 1
                await asyncio.sleep(0.005)

        clients = [asyncio.create_task(client()) for _ in range(CLIENTS)]
        self.server.ecs.update_service(cluster=CLUSTER, service="rolled", taskDefinition=revision)
        deadline = time.monotonic() + PATIENCE
        while not await asyncio.to_thread(self.is_moved, revision):
            assert time.monotonic() < deadline, f"{said}\n{self.server.log()}"
            await asyncio.sleep(0.2)
        moved.set()
        await asyncio.gather(*clients)
        return said


@pytest.fixture
def site(engines: tuple[NetworkedEngine, NetworkedEngine], tmp_path: Path) -> Iterator[Site]:
    """Afterwards nothing of the service runs."""
    engine, _ = engines
    admin, port = free_port(), free_port()
    patient = {"ESTIVA_TASK_DRAIN": "2", "ESTIVA_TASK_LOST_AFTER": "60"}  # as they are unset
    settings = {"ESTIVA_CADDY_ADMIN": f"http://{engine.link.there}:{admin}", **patient}
    server = PairServer(tmp_path, engines, settings)
    with caddy_running(engine.link, tmp_path, admin, port):
        server.start()
        try:
            server.ecs.create_cluster(clusterName=CLUSTER)
            instance = server.register(CLUSTER, engine)
            server.until(lambda: server.is_connected(CLUSTER, instance))
            try:
                yield Site(server, engine.link.there, port, tmp_path / "caddy.log")
            finally:
                server.leave(CLUSTER)
        finally:
            server.stop()


def test_a_rolling_update_under_load_loses_no_request(site: Site) -> None:
    server = site.server
    for tag in ("one", "two"):
        server.push("rolled", tag, tag)
        container = web(f"{server.host}/rolled:{tag}")
        server.ecs.register_task_definition(family="rolled", containerDefinitions=[container])
    server.ecs.create_service(cluster=CLUSTER, serviceName="rolled", taskDefinition="rolled:1", desiredCount=2)
    server.until(lambda: site.is_moved("rolled:1") and asyncio.run(site.ask()) == "200 one")

    said = asyncio.run(site.update("rolled:2"))

    assert set(said) == {"200 one", "200 two"}, f"{said}\n{site.log.read_text()[-3000:]}"
    assert asyncio.run(site.ask()) == "200 two"
