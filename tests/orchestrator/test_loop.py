"""The loop: what is stored becomes what runs, whatever happens to engines and to the process that acts."""

import time
from dataclasses import replace

import pytest

from orchestrator import fleet
from orchestrator.engines import Refused
from orchestrator.engines.fake_container import Behaviour
from orchestrator.facts import load
from orchestrator.records import as_task
from orchestrator.state import DesiredStatus, StopCode, Task, TaskStatus
from orchestrator.targets import caddy, targets, traefik
from storage.metadata import container_instances, tasks
from storage.metadata.database import Database, Work
from tests.fixtures.orchestrated import KEY, PACE, REGISTRY, Cluster, engine


@pytest.fixture
async def cluster(database: Database) -> Cluster:
    """A cluster with two engines."""
    made = Cluster(database, {"e1": engine("e1"), "e2": engine("e2")})
    await made.create()
    return made


def runs(cluster: Cluster) -> int:
    """How many containers run, on all engines."""
    return sum(
        container.runs(one.clock()) for one in cluster.engines.values() for task in one._tasks.values()
        for container in task.containers.values()
    )  # fmt: skip


async def has_running(cluster: Cluster, number: int) -> bool:
    return len(await cluster.running()) == number


async def test_a_task_runs_and_is_stopped_when_that_is_asked_for(cluster: Cluster) -> None:
    async with cluster.acting():
        task_id = await cluster.run_task(await cluster.register(), "e1")
        await cluster.until(lambda: has_running(cluster, 1))
        task = await cluster.task(task_id)
        assert task.started_at is not None
        assert task.pull_started_at is not None
        await cluster.stop(task_id)
        await cluster.until(lambda: _has_stopped(cluster, task_id))
        task = await cluster.task(task_id)
        assert task.stop_code is StopCode.USER_INITIATED
        assert [one.exit_code for one in task.containers] == [143]
    assert cluster.engines["e1"]._tasks == {}


async def _has_stopped(cluster: Cluster, task_id: str) -> bool:
    return (await cluster.task(task_id)).status is TaskStatus.STOPPED


async def test_what_a_task_wrote_and_how_it_ended_is_known_when_it_is_gone(cluster: Cluster) -> None:
    lines = ((0.0, "stdout", "hello"), (0.0, "stderr", "boom"))
    cluster.engines["e1"].images[f"{REGISTRY}/web"] = Behaviour(exits_after=0.0, exit_code=3, output=lines)
    async with cluster.acting():
        task_id = await cluster.run_task(await cluster.register(), "e1")
        await cluster.until(lambda: _has_stopped(cluster, task_id))
    task = await cluster.task(task_id)
    assert (task.stop_code, task.containers[0].exit_code) == (StopCode.ESSENTIAL_CONTAINER_EXITED, 3)
    assert await cluster.logs(task_id) == ["hello", "boom"]


async def test_an_image_that_is_not_there_fails_the_task_with_one_true_sentence(cluster: Cluster) -> None:
    refusal = Refused("CannotPullContainerError", "manifest unknown", lasting=True)
    cluster.engines["e1"].images[f"{REGISTRY}/web"] = Behaviour(refuses_pull=refusal)
    async with cluster.acting():
        task_id = await cluster.run_task(await cluster.register(), "e1")
        await cluster.until(lambda: _has_stopped(cluster, task_id))
    task = await cluster.task(task_id)
    assert task.stop_code is StopCode.TASK_FAILED_TO_START
    told = f"CannotPullContainerError: {REGISTRY}/web:1: there is no repository web in this registry"
    assert task.stopped_reason == told


async def test_a_service_keeps_its_tasks_spread_and_replaces_one_that_was_killed(cluster: Cluster) -> None:
    await cluster.create_service(await cluster.register())
    async with cluster.acting():
        await cluster.until(lambda: _is_steady(cluster))
        there = await cluster.running()
        assert sorted(str(task.instance_id) for task in there) == ["e1", "e2"]
        victim = there[0]
        one = cluster.engines[str(victim.instance_id)]
        one.stale_list = True
        one.kill(victim.task_id, "web")
        await cluster.until(lambda: _has_stopped(cluster, victim.task_id))
        await cluster.until(lambda: has_running(cluster, 2))
        assert victim.task_id not in {task.task_id for task in await cluster.running()}


async def _is_steady(cluster: Cluster) -> bool:
    events = await cluster.events()
    return bool(events) and events[0] == "(service web) has reached a steady state."


async def test_healthy_tasks_of_a_service_are_targets_where_their_engines_are(cluster: Cluster) -> None:
    revision = await cluster.register(portMappings=[{"containerPort": 80}, {"containerPort": 80, "protocol": "udp"}])
    await cluster.create_service(revision)
    async with cluster.acting():
        await cluster.until(lambda: _is_steady(cluster))
        facts = await cluster.database.read(load(KEY))
        assert facts is not None
        ports = {task.instance_id: task.containers[0].bindings[0].host_port for task in await cluster.running()}
        where = {f"10.0.0.1:{ports['e1']}", f"127.0.0.1:{ports['e2']}"}
        found = targets(facts, Cluster.read, {"e1": "10.0.0.1"}, time.time())
        assert found.keys() == {("web", "web", 80)}
        assert set(found["web", "web", 80]) == where
        assert {one["dial"] for one in caddy(found, "web")} == where
        assert caddy(found, "other") == []
        servers = traefik(found)["http"]["services"]["web-web-80"]["loadBalancer"]["servers"]
        assert {one["url"] for one in servers} == {f"http://{one}" for one in where}
        assert targets(facts, Cluster.read, {}, 0.0) == {}  # nobody has run for long enough yet
    assert traefik({}) == {}


async def test_a_rolling_update_ends_with_the_new_revision_alone(cluster: Cluster) -> None:
    await cluster.create_service(await cluster.register())
    async with cluster.acting():
        await cluster.until(lambda: _is_steady(cluster))
        second = await cluster.register(command=["new"])
        await cluster.deploy(second)
        await cluster.until(lambda: _are(cluster, second, 2))
        await cluster.until(lambda: _rolled(cluster, [("PRIMARY", "COMPLETED"), ("INACTIVE", "COMPLETED")]))
    assert runs(cluster) == 2


async def _are(cluster: Cluster, revision: int, number: int) -> bool:
    return [task.revision for task in await cluster.running()] == [revision] * number


async def _rolled(cluster: Cluster, expected: list[tuple[str, str]]) -> bool:
    return await cluster.rollouts() == expected


async def test_a_broken_deployment_is_rolled_back_and_says_why(cluster: Cluster) -> None:
    await cluster.create_service(await cluster.register(), threshold=2)
    async with cluster.acting():
        await cluster.until(lambda: _is_steady(cluster))
        before = {task.task_id for task in await cluster.running()}
        broken = Behaviour(exits_after=0.0, exit_code=1, output=((0.0, "stderr", "no such table"),))
        for one in cluster.engines.values():
            one.images[f"{REGISTRY}/broken"] = broken
        await cluster.deploy(await cluster.register(image=f"{REGISTRY}/broken:1"))
        await cluster.until(
            lambda: _rolled(cluster, [("PRIMARY", "COMPLETED"), ("INACTIVE", "FAILED"), ("INACTIVE", "COMPLETED")])
        )
        await cluster.until(lambda: has_running(cluster, 2))
    said = " ".join(await cluster.events())
    assert "web exited with 1" in said
    assert "'no such table'" in said
    assert before, "the old tasks ran until the way back had replaced them"


async def test_a_deleted_service_ends_with_nothing_running(cluster: Cluster) -> None:
    await cluster.create_service(await cluster.register())
    async with cluster.acting():
        await cluster.until(lambda: _is_steady(cluster))
        await cluster.change_service(status="DRAINING")
        await cluster.until(lambda: _is_inactive(cluster))
    assert runs(cluster) == 0


async def _is_inactive(cluster: Cluster) -> bool:
    return await cluster.service_status() == "INACTIVE"


async def test_of_two_processes_one_acts_and_the_other_takes_over(cluster: Cluster) -> None:
    await cluster.create_service(await cluster.register(), desired=4)
    async with cluster.acting("two"):
        async with cluster.acting("one"):
            await cluster.until(lambda: has_running(cluster, 4))
            assert runs(cluster) == 4
        victim = (await cluster.running())[0]
        cluster.engines[str(victim.instance_id)].kill(victim.task_id, "web")
        await cluster.until(lambda: _has_stopped(cluster, victim.task_id))
        await cluster.until(lambda: has_running(cluster, 4))
    assert runs(cluster) == 4


async def test_a_process_that_begins_adopts_what_runs(cluster: Cluster) -> None:
    await cluster.create_service(await cluster.register())
    async with cluster.acting():
        await cluster.until(lambda: _is_steady(cluster))
    before = {task.task_id for task in await cluster.running()}
    async with cluster.acting("another"):
        await cluster.deploy(1)
        await cluster.until(lambda: _rolled(cluster, [("PRIMARY", "COMPLETED"), ("INACTIVE", "COMPLETED")]))
    assert runs(cluster) == 2
    assert before.isdisjoint({task.task_id for task in await cluster.running()})


async def test_a_task_whose_draining_was_cut_off_is_given_its_time_by_whoever_takes_over(cluster: Cluster) -> None:
    await cluster.create_service(await cluster.register(portMappings=[{"containerPort": 80}]))
    async with cluster.acting(pace=replace(PACE, drain=600.0)):
        await cluster.until(lambda: _is_steady(cluster))
        await cluster.change_service(desired=1)
        await cluster.until(lambda: has_running(cluster, 1))
        [leaving] = [one for one in await _live(cluster) if one.desired is DesiredStatus.STOPPED]
        await cluster.until(lambda: _is(cluster, leaving.task_id, TaskStatus.DEACTIVATING))
    assert runs(cluster) == 2
    began = time.monotonic()
    async with cluster.acting("another", replace(PACE, drain=2.0)):
        await cluster.until(lambda: _has_stopped(cluster, leaving.task_id))
    assert time.monotonic() - began >= 2.0
    assert runs(cluster) == 1


async def _live(cluster: Cluster) -> list[Task]:
    return [as_task(record) for record in await cluster.database.read(tasks.live(KEY))]


async def _is(cluster: Cluster, task_id: str, status: TaskStatus) -> bool:
    return (await cluster.task(task_id)).status is status


async def test_an_engine_that_hangs_is_not_placed_on_and_is_lost_no_sooner_than_one_that_is_gone(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fleet, "ANSWERS_WITHIN", 0.3)
    monkeypatch.setattr(fleet, "UNREACHABLE_AFTER", 0.3)
    monkeypatch.setattr(fleet, "RESYNC_EVERY", 0.1)
    await cluster.create_service(await cluster.register())
    async with cluster.acting(pace=replace(PACE, lost_after=600.0)):
        await cluster.until(lambda: _is_steady(cluster))
        cluster.engines["e1"].speaks.clear()
        await cluster.until(lambda: _is_said_to_be_connected(cluster, "e1", is_so=False))
        assert await has_running(cluster, 2)
        cluster.engines["e1"].speaks.set()
        await cluster.until(lambda: _is_said_to_be_connected(cluster, "e1", is_so=True))
    assert runs(cluster) == 2


async def _is_said_to_be_connected(cluster: Cluster, name: str, *, is_so: bool) -> bool:
    return (await cluster.instance(name)).connected is is_so


async def test_tasks_of_a_lost_engine_are_replaced_and_stopped_when_it_returns(cluster: Cluster) -> None:
    await cluster.create_service(await cluster.register())
    async with cluster.acting():
        await cluster.until(lambda: _is_steady(cluster))
        cluster.engines["e1"].down = True
        cluster.engines["e1"].restart_daemon(live_restore=True)
        await cluster.until(lambda: _all_on(cluster, "e2"))
        cluster.engines["e1"].down = False
        await cluster.until(lambda: _is_empty(cluster, "e1"))
    assert runs(cluster) == 2


async def test_a_task_with_a_volume_of_its_host_is_not_replaced_elsewhere_until_it_is_stopped(cluster: Cluster) -> None:
    volume = {"name": "data", "host": {"sourcePath": "/srv/data"}}
    await cluster.create_service(await cluster.register(volumes=[volume]))
    async with cluster.acting():
        await cluster.until(lambda: _is_steady(cluster))
        [bound] = [task for task in await cluster.running() if task.instance_id == "e1"]
        cluster.engines["e1"].down = True

        async def is_said() -> bool:
            return any(f"(task {bound.task_id}) is not replaced" in told for told in await cluster.events())

        await cluster.until(is_said)
        assert bound.task_id in {task.task_id for task in await cluster.running()}
        await cluster.stop(bound.task_id)
        await cluster.until(lambda: _has_stopped(cluster, bound.task_id))


async def _all_on(cluster: Cluster, instance: str) -> bool:
    return [task.instance_id for task in await cluster.running()] == [instance] * 2


async def _is_empty(cluster: Cluster, name: str) -> bool:
    return not cluster.engines[name]._tasks


async def test_a_draining_instance_is_emptied(cluster: Cluster) -> None:
    await cluster.create_service(await cluster.register())
    async with cluster.acting():
        await cluster.until(lambda: _is_steady(cluster))

        def drain() -> Work[None]:
            record = yield from container_instances.find(KEY, "e1")
            assert record is not None
            yield from container_instances.update(replace(record, status="DRAINING"))

        await cluster.database.write(drain)
        await cluster.until(lambda: _all_on(cluster, "e2"))
        await cluster.until(lambda: _is_empty(cluster, "e1"))


async def test_services_and_tasks_are_counted(cluster: Cluster) -> None:
    await cluster.create_service(await cluster.register())
    async with cluster.acting():
        await cluster.until(lambda: _is_steady(cluster))
        figures = cluster.figures
        wanted = {("web", "desired"): 2, ("web", "running"): 2, ("web", "pending"): 0, ("web", "healthy"): 2}
        await cluster.until(lambda: _counts(figures.services["default"], wanted))
        victim = (await cluster.running())[0]
        cluster.engines[str(victim.instance_id)].kill(victim.task_id, "web")
        await cluster.until(lambda: _counts(figures.failures, {("default", "web", "EssentialContainerExited", ""): 1}))
        await cluster.until(lambda: _counts(figures.launches, {("default", "web"): 3}))
    assert figures.services == {}, "another process may act for the cluster now"


async def _counts(found: object, wanted: object) -> bool:
    return found == wanted
