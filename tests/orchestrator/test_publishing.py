"""A Caddy is told of a service's healthy targets, whenever they change, and in spite of trouble."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from orchestrator import publishing
from orchestrator.engines import ContainerStatus, ContainerView, NetworkBinding
from orchestrator.facts import ClusterFacts, ServiceFacts
from orchestrator.publishing import CaddyUpstreams
from orchestrator.records import service_record
from orchestrator.state import (
    DeploymentSettings,
    DesiredStatus,
    Placement,
    SchedulingStrategy,
    Service,
    ServiceStatus,
    Task,
    TaskStatus,
)
from storage.metadata.clusters import ClusterKey, ClusterRecord
from tests.fixtures.orchestrated import KEY, Cluster

WEB = "PATCH /id/estiva-default-web/upstreams"


@dataclass
class Admin:
    """The admin API of a Caddy, by its answers; it may first break off some connections, or fail."""

    status: int = 200
    breaks_off: int = 0
    fails: int = 0
    failure: int = 500
    port: int = 0
    told: list[tuple[str, list[str]]] = field(default_factory=list)
    """What it was asked to do, and the addresses that came with it."""

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request on a connection of its own."""
        if self.breaks_off:
            self.breaks_off -= 1
        else:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            length = int(head.lower().partition("content-length: ")[2].partition("\r")[0])
            upstreams = json.loads(await reader.readexactly(length))
            self.told.append((head.partition(" HTTP/")[0], [one["dial"] for one in upstreams]))
            status = self.failure if self.fails else self.status
            self.fails = max(0, self.fails - 1)
            writer.write(b"HTTP/1.1 %d So\r\nContent-Length: 0\r\n\r\n" % status)
            await writer.drain()
        writer.close()

    @asynccontextmanager
    async def answering(self) -> AsyncIterator[None]:
        """It runs."""
        async with await asyncio.start_server(self.answer, "127.0.0.1", self.port) as server:
            self.port = server.sockets[0].getsockname()[1]
            yield


@pytest.fixture
async def admin() -> AsyncIterator[Admin]:
    made = Admin()
    async with made.answering():
        yield made


@pytest.fixture
def proxy(admin: Admin) -> CaddyUpstreams:
    return CaddyUpstreams(f"http://127.0.0.1:{admin.port}/", Cluster.read)


def facts(ports: Sequence[int], key: ClusterKey = KEY) -> ClusterFacts:
    """A cluster whose service `web` has a healthy task at each of these ports."""
    settings = DeploymentSettings(steady_seconds=0.0)
    service = Service(
        "web", key.cluster, ServiceStatus.ACTIVE, 2, SchedulingStrategy.REPLICA, settings, Placement(), 1.0
    )
    tasks = {
        str(port): Task(
            str(port), key.cluster, "web", 1, DesiredStatus.RUNNING, TaskStatus.RUNNING, 1.0, service="web",
            started_at=1.0, containers=(published(port),),
        )
        for port in ports
    }  # fmt: skip
    kept = ServiceFacts(service_record(key, service, {}), service, (), "")
    return ClusterFacts(ClusterRecord(key, "ACTIVE", {}, 1, 1.0), {}, {"web": kept}, tasks, {})


def published(port: int) -> ContainerView:
    return ContainerView("web", ContainerStatus.RUNNING, bindings=(NetworkBinding(80, port),))


async def publish(proxy: CaddyUpstreams, found: ClusterFacts | None) -> None:
    async def load() -> ClusterFacts | None:
        return found

    await proxy.publish(load)


async def test_is_told_of_targets_when_they_change_and_only_then(admin: Admin, proxy: CaddyUpstreams) -> None:
    await publish(proxy, facts([]))
    assert admin.told == []  # nothing was ever there to be taken away
    for ports in ([8001, 8002], [8001, 8002], [8002], []):
        await publish(proxy, facts(ports))
    first, second = "127.0.0.1:8001", "127.0.0.1:8002"
    assert admin.told == [(WEB, [first, second]), (WEB, [second]), (WEB, [])]
    await publish(proxy, None)  # the cluster is gone meanwhile
    assert len(admin.told) == 3


async def test_is_told_again_now_and_then_as_it_may_have_begun_anew(
    admin: Admin, proxy: CaddyUpstreams, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publishing, "AGAIN_AFTER", -1.0)
    await publish(proxy, facts([8001]))
    await publish(proxy, facts([8001]))
    assert admin.told == [(WEB, ["127.0.0.1:8001"])] * 2


async def test_connections_that_break_off_are_tried_again(admin: Admin, proxy: CaddyUpstreams) -> None:
    admin.breaks_off = 2
    await publish(proxy, facts([8001]))
    assert admin.told == [(WEB, ["127.0.0.1:8001"])]


async def test_what_failed_inside_it_is_tried_again(admin: Admin, proxy: CaddyUpstreams) -> None:
    admin.fails = 1
    await publish(proxy, facts([8001]))
    await publish(proxy, facts([8001]))
    assert admin.told == [(WEB, ["127.0.0.1:8001"])] * 2


async def test_a_change_that_it_could_not_carry_out_is_tried_again(
    admin: Admin, proxy: CaddyUpstreams, monkeypatch: pytest.MonkeyPatch
) -> None:
    admin.fails, admin.failure = 1, 400
    await publish(proxy, facts([8001]))
    assert admin.told == [(WEB, ["127.0.0.1:8001"])] * 2


async def test_is_told_again_where_another_process_acted_meanwhile(admin: Admin, proxy: CaddyUpstreams) -> None:
    await publish(proxy, facts([8001]))
    proxy.forget(KEY)
    await publish(proxy, facts([8001]))
    assert admin.told == [(WEB, ["127.0.0.1:8001"])] * 2


async def test_one_that_does_not_answer_is_told_when_it_is_back(caplog: pytest.LogCaptureFixture) -> None:
    admin = Admin()
    async with admin.answering():
        pass
    proxy = CaddyUpstreams(f"http://127.0.0.1:{admin.port}", Cluster.read)
    with caplog.at_level(logging.WARNING):
        await publish(proxy, facts([8001]))
    (record,) = caplog.records  # four tries, told once
    assert record.getMessage().startswith("Caddy was not told of the targets of estiva-default-web: it does not answer")
    async with admin.answering():
        await publish(proxy, facts([8001]))
    assert admin.told == [(WEB, ["127.0.0.1:8001"])]


async def test_one_that_knows_no_such_name_is_named_in_the_log_once(
    admin: Admin, proxy: CaddyUpstreams, caplog: pytest.LogCaptureFixture
) -> None:
    admin.status = 404
    with caplog.at_level(logging.WARNING):
        await publish(proxy, facts([8001]))
        await publish(proxy, facts([8002]))
    assert [record.getMessage().strip() for record in caplog.records] == [
        "Caddy was not told of the targets of estiva-default-web: 404"
    ]


async def test_clusters_of_other_accounts_have_names_of_their_own(admin: Admin, proxy: CaddyUpstreams) -> None:
    await publish(proxy, facts([8001], ClusterKey("123456789012", "default")))
    assert admin.told == [("PATCH /id/estiva-123456789012-default-web/upstreams", ["127.0.0.1:8001"])]
