"""What the loop does about an engine's host: its disk, the images on it, and ports that somebody else has."""

import asyncio
from dataclasses import replace
from functools import partial

import pytest

from auth.pull_tokens import PullTokens
from auth.sealing import Seal
from estiva.digest import Digest
from orchestrator import fleet
from orchestrator.engines import Authorize, Image
from orchestrator.state import StopCode
from storage.metadata import audit
from storage.metadata.database import Database
from tests.fixtures.orchestrated import REGISTRY, Cluster, engine

PORT = {"portMappings": [{"containerPort": 80, "hostPort": 8080}]}
OURS, SPARE = f"{REGISTRY}/web@{Digest.of(b'web')}", f"{REGISTRY}/web@{Digest.of(b'old')}"
FOREIGN = f"elsewhere.example/web@{Digest.of(b'old')}"


@pytest.fixture
async def cluster(database: Database) -> Cluster:
    """A cluster with two engines."""
    made = Cluster(database, {"e1": engine("e1"), "e2": engine("e2")})
    await made.create()
    return made


async def runs_on(cluster: Cluster, *instances: str) -> bool:
    return sorted(str(task.instance_id) for task in await cluster.running()) == sorted(instances)


async def test_a_launch_whose_port_is_taken_goes_to_another_instance(cluster: Cluster) -> None:
    cluster.engines["e1"].taken_ports.add((8080, "tcp"))
    await cluster.create_service(await cluster.register(**PORT), desired=1)
    async with cluster.acting():
        await cluster.until(lambda: runs_on(cluster, "e2"))
        assert (await cluster.instance("e1")).taken_ports == {(8080, "tcp")}


async def test_where_no_other_instance_is_the_port_is_tried_again_until_it_is_free(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fleet, "PORT_TAKEN_FIRST", 0.2)
    cluster = Cluster(database, {"e1": engine("e1")})
    await cluster.create()
    cluster.engines["e1"].taken_ports.add((8080, "tcp"))
    await cluster.create_service(await cluster.register(**PORT), desired=1, circuit_breaker=False)
    async with cluster.acting():
        await cluster.until(lambda: have_failed(cluster, 2))
        failed = await cluster.stopped()
        assert {one.stop_code for one in failed} == {StopCode.TASK_FAILED_TO_START}
        reason = "CannotStartContainerError: port 8080/tcp of the host is already in use"
        assert {one.stopped_reason for one in failed} == {reason}
        cluster.engines["e1"].taken_ports.clear()
        await cluster.until(lambda: runs_on(cluster, "e1"))


async def have_failed(cluster: Cluster, number: int) -> bool:
    return len(await cluster.stopped()) >= number


async def says(cluster: Cluster, words: str) -> bool:
    return any(words in event for event in await cluster.events())


async def test_a_disk_that_is_too_full_loses_images_that_nothing_needs(cluster: Cluster) -> None:
    cluster.disk_reserve = 1000
    await cluster.create_service(await cluster.register(), desired=2)
    one = cluster.engines["e1"]
    async with cluster.acting():
        await cluster.until(lambda: runs_on(cluster, "e1", "e2"))
        one.present |= {SPARE: 600, FOREIGN: 600}
        one.about = replace(one.about, free_disk=500)
        one.restart_daemon(live_restore=True)  # ends the watch: it is asked anew at once
        await cluster.until(lambda: is_gone(cluster, SPARE))
        assert {OURS, FOREIGN} <= one.present.keys()
        await cluster.until(lambda: is_full(cluster, is_so=False))


async def test_an_instance_whose_disk_stays_full_is_not_placed_on(cluster: Cluster) -> None:
    cluster.disk_reserve = 1000
    for one in cluster.engines.values():
        one.about = replace(one.about, free_disk=500)
    await cluster.create_service(await cluster.register(), desired=1)
    async with cluster.acting():
        await cluster.until(lambda: says(cluster, "has insufficient disk space available"))
        assert (await cluster.instance("e1")).disk_full
        assert await cluster.running() == []


async def is_gone(cluster: Cluster, reference: str) -> bool:
    return reference not in cluster.engines["e1"].present


async def is_full(cluster: Cluster, *, is_so: bool) -> bool:
    return (await cluster.instance("e1")).disk_full is is_so


async def test_a_right_to_pull_is_given_and_noted_only_where_something_is_pulled(cluster: Cluster) -> None:
    cluster.tokens = PullTokens(Seal(bytes(32)))
    async with cluster.acting():
        for number, instance in enumerate(("e1", "e1", "e2"), 1):
            await cluster.run_task(await cluster.register(), instance)
            await cluster.until(partial(have_begun, cluster, number))
    first, _, third = sorted(task.task_id for task in await cluster.running())
    noted = await cluster.database.read(audit.page(1 << 62, 10))
    assert [(one.actor, one.action) for one in noted] == [(f"task/{each}", "PullImage") for each in (third, first)]


async def have_begun(cluster: Cluster, number: int) -> bool:
    return len(await cluster.running()) == number


async def test_a_rolling_deployment_waits_until_every_engine_has_its_image(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    await cluster.create_service(await cluster.register(), desired=1, minimum_healthy_percent=0, maximum_percent=100)
    held, asked, new = asyncio.Event(), asyncio.Event(), Digest.of(b"new")
    slow = cluster.engines["e2"]
    pull = slow.pull

    async def slowly(image: Image, authorize: Authorize) -> Digest | None:
        if image.digest == new:
            asked.set()
            await held.wait()
        return await pull(image, authorize)

    monkeypatch.setattr(slow, "pull", slowly)
    async with cluster.acting():
        await cluster.until(lambda: runs_on(cluster, "e1"))
        (before,) = await cluster.running()
        await cluster.deploy(await cluster.register(), 1, b"new")
        await asyncio.wait_for(asked.wait(), 90)
        await asyncio.sleep(0.5)  # several looks: nothing must happen in them
        assert [task.task_id for task in await cluster.running()] == [before.task_id]
        held.set()
        await cluster.until(lambda: has_moved(cluster, before.task_id))
    assert {f"{REGISTRY}/web@{new}"} <= cluster.engines["e1"].present.keys() & cluster.engines["e2"].present.keys()


async def has_moved(cluster: Cluster, before: str) -> bool:
    return before not in (running := [task.task_id for task in await cluster.running()]) and len(running) == 1
