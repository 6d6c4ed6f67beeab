"""What every driver promises (`orchestrator.engines.Driver`), told to the fake engine and to Docker."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from estiva.digest import Digest
from orchestrator.definition import Condition, Dependency, PortMapping, RestartPolicy
from orchestrator.engines import ContainerStatus, HealthStatus, PullAuth, Refused, TaskView
from tests.fixtures.engines import (
    FakeWorld,
    World,
    container,
    given,
    go_on,
    names,
    pulled,
    ready,
    running,
    task,
    until,
    view_of,
)


@pytest.fixture
async def fake() -> AsyncIterator[FakeWorld]:
    world = FakeWorld()
    yield world
    await world.driver.close()


@pytest.fixture(params=["fake", pytest.param("docker", marks=pytest.mark.real)])
def world(request: pytest.FixtureRequest) -> World:
    world: World = request.getfixturevalue(request.param)
    return world


def stopped(view: TaskView | None) -> bool:
    return view is not None and all(one.status is ContainerStatus.STOPPED for one in view.containers)


async def test_tells_what_it_has(world: World) -> None:
    info = await world.driver.info()

    assert info.engine_id
    assert info.cpu >= 1024
    assert info.memory > 0
    assert info.architecture in ("amd64", "arm64")


async def test_runs_a_task_and_tells_whose_it_is(world: World) -> None:
    spec = task(container(world, "stays", "app"))

    assert await world.driver.task(spec.task_id) is None
    view = await running(world, spec)

    app = view_of(view, "app")
    assert app.status is ContainerStatus.RUNNING
    assert app.started_at is not None
    assert app.exit_code is None
    assert app.restarts == 0
    assert app.runtime_id
    assert view.labels == {
        "task": spec.task_id,
        "cluster": "default",
        "definition": f"tests:{spec.definition.revision}",
        "service": "web",
        "deployment": "ecs-svc/1",
    }
    assert await world.driver.task(spec.task_id) == view
    assert view in await world.driver.tasks()


async def test_advances_again_without_doing_anything_twice(world: World) -> None:
    spec = task(container(world, "stays", "app"))

    first = await running(world, spec)

    assert await world.driver.advance(spec) == first


async def test_tells_an_exit_code(world: World) -> None:
    spec = task(container(world, "fails", "app"))
    await running(world, spec)

    view = await until(world, lambda: world.driver.task(spec.task_id), stopped)

    app = view_of(view, "app")
    assert (app.exit_code, app.reason) == (3, None)
    assert app.finished_at is not None
    assert app.started_at is not None
    assert app.finished_at >= app.started_at
    # It is not started again: nothing says so.
    assert view_of(await world.driver.advance(spec), "app").status is ContainerStatus.STOPPED


async def test_tells_that_a_container_was_killed_for_its_memory(world: World) -> None:
    spec = task(container(world, "needs too much memory", "app"))
    await running(world, spec)

    # The engine hears of the kill on another way than of the end, which may be later.
    view = await until(
        world, lambda: world.driver.task(spec.task_id), lambda view: stopped(view) and bool(view_of(view, "app").reason)
    )

    assert view_of(view, "app").exit_code == 137
    assert view_of(view, "app").reason == "OutOfMemoryError: Container killed due to memory usage"


async def test_says_why_a_container_cannot_start(world: World) -> None:
    spec = await pulled(world, task(container(world, "cannot start", "app")))

    with pytest.raises(Refused, match=r"^CannotStartContainerError: .*/no/such/program") as refused:
        await world.driver.advance(spec)

    assert refused.value.lasting
    assert refused.value.container == "app"
    app = view_of(await world.driver.advance(spec), "app")
    assert (app.status, app.exit_code, app.started_at) == (ContainerStatus.STOPPED, 127, None)
    assert app.reason is not None
    assert app.reason.startswith("CannotStartContainerError: ")


async def test_says_that_an_image_is_not_there(world: World) -> None:
    with pytest.raises(Refused, match=r"^CannotPull") as refused:
        await world.driver.pull(world.absent(), given(world.auth))

    assert refused.value.lasting


async def test_asks_for_the_right_to_pull_only_where_there_is_something_to_pull(world: World) -> None:
    asked: list[str] = []

    async def authorize() -> PullAuth | None:
        asked.append("asked")
        return world.auth

    image = container(world, "stays", "app").image
    digest = await world.driver.pull(image, given(world.auth)) or Digest.of(b"the one in memory")
    known = replace(image, digest=digest, tag=None)
    await world.driver.pull(known, given(world.auth))
    assert await world.driver.pull(known, authorize) == digest
    assert asked == []
    with pytest.raises(Refused):
        await world.driver.pull(world.absent(), authorize)
    assert asked == ["asked"]


async def test_creates_nothing_from_an_image_that_was_not_pulled(world: World) -> None:
    spec = task(container(world, "stays", "app"))
    one = spec.containers[0]
    absent = type(one)(one.definition, world.absent())
    spec = type(spec)(spec.task_id, spec.arn, spec.cluster, spec.definition, (absent,))

    with pytest.raises(Refused, match=r"^CannotCreateContainerError: .*No such image") as refused:
        await world.driver.advance(spec)

    assert refused.value.container == "app"


async def test_stops_with_the_exit_code_that_the_container_chose(world: World) -> None:
    spec = task(container(world, "stays", "app", stop_timeout=60))
    await running(world, spec)
    await ready(world, spec, "app")

    view = await world.driver.stop(spec.task_id)

    assert stopped(view)
    assert view_of(view, "app").exit_code == 143


async def test_kills_what_does_not_stop_in_time(world: World) -> None:
    spec = task(container(world, "stubborn", "app", stop_timeout=1))
    await running(world, spec)

    assert view_of(await world.driver.stop(spec.task_id), "app").exit_code == 137


async def test_stops_and_forgets_what_is_not_there(world: World) -> None:
    assert (await world.driver.stop("0" * 32)).containers == ()
    await world.driver.forget("0" * 32)


async def test_stops_twice(world: World) -> None:
    spec = task(container(world, "stays", "app"))
    await running(world, spec)

    assert await world.driver.stop(spec.task_id) == await world.driver.stop(spec.task_id)


async def test_forgets_a_task(world: World) -> None:
    spec = task(container(world, "stays", "app"))
    await running(world, spec)
    await world.driver.stop(spec.task_id)

    await world.driver.forget(spec.task_id)

    assert await world.driver.task(spec.task_id) is None
    assert spec.task_id not in [view.task_id for view in await world.driver.tasks()]


async def test_starts_what_depends_on_a_start_at_once(world: World) -> None:
    app = container(world, "stays", "app", depends_on=(Dependency("first", Condition.START),))
    spec = task(app, container(world, "stays", "first"))

    view = await running(world, spec)

    assert names(view.containers) == ["app", "first"]
    started = {one.name: one.started_at or 0 for one in view.containers}
    assert started["first"] <= started["app"]


@pytest.mark.parametrize(
    ("kind", "condition"), [("fails", Condition.COMPLETE), ("succeeds", Condition.SUCCESS)], ids=["complete", "success"]
)
async def test_starts_what_depends_on_an_end_after_it(world: World, kind: str, condition: Condition) -> None:
    app = container(world, "stays", "app", depends_on=(Dependency("init", condition),))
    view = await running(world, task(container(world, kind, "init", essential=False), app))

    init, app_view = view_of(view, "init"), view_of(view, "app")
    assert app_view.status is ContainerStatus.RUNNING
    assert (init.finished_at or 0) <= (app_view.started_at or 0)


async def test_starts_what_depends_on_health_when_it_is_there(world: World) -> None:
    app = container(world, "stays", "app", depends_on=(Dependency("db", Condition.HEALTHY),))
    view = await running(world, task(container(world, "is well", "db"), app))

    assert view_of(view, "app").status is ContainerStatus.RUNNING
    assert view_of(view, "db").health is HealthStatus.HEALTHY
    assert view_of(view, "app").health is HealthStatus.UNKNOWN


async def test_refuses_to_go_on_when_a_dependency_failed(world: World) -> None:
    app = container(world, "stays", "app", depends_on=(Dependency("init", Condition.SUCCESS),))
    spec = task(container(world, "fails", "init", essential=False), app)

    with pytest.raises(Refused, match=r"^TaskDependencyError: .* init .* exited with 3$") as refused:
        await running(world, spec)

    assert (refused.value.lasting, refused.value.container) == (True, "app")


async def test_refuses_to_go_on_when_a_dependency_takes_too_long(world: World) -> None:
    app = container(world, "stays", "app", depends_on=(Dependency("db", Condition.HEALTHY),))
    spec = task(container(world, "is ill", "db", start_timeout=2), app)

    with pytest.raises(Refused, match=r"^TaskDependencyError: .* 2 seconds after its start$"):
        await running(world, spec)


async def test_tells_when_a_container_is_ill(world: World) -> None:
    spec = task(container(world, "is ill", "app"))
    await running(world, spec)

    await until(
        world,
        lambda: world.driver.task(spec.task_id),
        lambda view: view_of(view, "app").health is HealthStatus.UNHEALTHY,
    )


async def test_starts_again_what_its_policy_says(world: World) -> None:
    spec = task(container(world, "lasts a while", "app", restart_policy=RestartPolicy(attempt_period=1)))
    first = await running(world, spec)

    def restarted(view: TaskView) -> bool:
        app = view_of(view, "app")
        return app.restarts >= 1 and app.status is ContainerStatus.RUNNING

    view = await until(world, lambda: world.driver.advance(spec), restarted)

    assert view_of(view, "app").runtime_id == view_of(first, "app").runtime_id


@pytest.mark.parametrize(
    "policy",
    [RestartPolicy(frozenset({3}), 1), RestartPolicy(attempt_period=60)],
    ids=["ignored exit code", "ran too short"],
)
async def test_does_not_start_again_what_its_policy_leaves_out(world: World, policy: RestartPolicy) -> None:
    spec = task(container(world, "lasts a while", "app", restart_policy=policy))
    await running(world, spec)

    await until(world, lambda: world.driver.task(spec.task_id), stopped)

    assert stopped(await world.driver.advance(spec))
    assert view_of(await world.driver.task(spec.task_id), "app").restarts == 0


async def test_chooses_ports_and_tells_them(world: World) -> None:
    ports = (PortMapping(80), PortMapping(53, 0, "udp"))
    view = await running(world, task(container(world, "stays", "app", port_mappings=ports)))

    bindings = sorted(view_of(view, "app").bindings, key=lambda one: one.container_port)
    assert [(one.container_port, one.protocol) for one in bindings] == [(53, "udp"), (80, "tcp")]
    assert all(one.host_port > 1023 for one in bindings)


async def test_refuses_a_port_that_is_taken(world: World) -> None:
    first = await running(world, task(container(world, "stays", "app", port_mappings=(PortMapping(80),))))
    port = view_of(first, "app").bindings[0].host_port
    spec = await pulled(world, task(container(world, "stays", "app", port_mappings=(PortMapping(80, port),))))

    with pytest.raises(Refused, match=rf"^CannotStartContainerError: .*{port}") as refused:
        await world.driver.advance(spec)

    assert (refused.value.port_taken, refused.value.lasting) == (True, False)
    # It starts when the port is free: nothing of the first try is in the way.
    await world.driver.stop(first.task_id)
    await world.driver.forget(first.task_id)
    assert view_of(await running(world, spec), "app").bindings[0].host_port == port


async def test_tells_who_is_worth_a_look(world: World) -> None:
    watching = aiter(world.driver.watch())
    woken = asyncio.ensure_future(anext(watching))
    started = set()
    # It may lose some, above all before it listens.
    for _ in range(40):
        spec = task(container(world, "stays", "app"))
        started.add(spec.task_id)
        await running(world, spec)
        await asyncio.wait([woken], timeout=0.5)
        if woken.done():
            break

    assert await asyncio.wait_for(woken, 60) in started
    await watching.aclose()  # type: ignore[attr-defined]


async def test_gives_logs_with_their_streams(world: World) -> None:
    spec = task(container(world, "talks", "app", stop_timeout=1))
    await running(world, spec)

    async def lines(**members: float) -> list[tuple[str, str]]:
        read = world.driver.logs(spec.task_id, "app", **members)  # type: ignore[arg-type]
        return sorted([(line.stream, line.text) async for line in read])

    await go_on(world, spec, "app")
    await until(world, lines, lambda seen: len(seen) == 3)

    assert await lines() == [("stderr", "two"), ("stdout", "one"), ("stdout", "three")]
    assert await lines(tail=1) == [("stdout", "three")]
    last = max([line async for line in world.driver.logs(spec.task_id, "app")], key=lambda line: line.at)
    assert await lines(since=last.at) == [("stdout", "three")]
    await world.driver.stop(spec.task_id)
    assert len(await lines()) == 3


async def test_follows_a_log_to_its_end(world: World) -> None:
    spec = task(container(world, "talks", "app", stop_timeout=1))
    await running(world, spec)
    lines: list[str] = []

    async def follow() -> None:
        async for line in world.driver.logs(spec.task_id, "app", follow=True):
            lines.append(line.text)  # noqa: PERF401 - they are looked at while they come

    async def seen() -> list[str]:
        await asyncio.sleep(0)
        return lines

    following = asyncio.ensure_future(follow())
    await go_on(world, spec, "app")
    await until(world, seen, lambda seen: len(seen) == 3)
    assert not following.done()
    await world.driver.stop(spec.task_id)

    await asyncio.wait_for(following, 60)
    assert sorted(lines) == ["one", "three", "two"]


async def test_has_no_logs_of_what_is_not_there(world: World) -> None:
    with pytest.raises(Refused):
        [line async for line in world.driver.logs("0" * 32, "app")]


async def test_runs_a_command_with_its_input(world: World) -> None:
    spec = task(container(world, "stays", "app"))
    await running(world, spec)

    async with world.driver.exec(spec.task_id, "app", ("cat",)) as command:
        await command.write(b"hello ")
        await command.write(b"you")
        await command.write_eof()
        assert b"".join([data async for _, data in command.output()]) == b"hello you"
        assert await command.exit_code() == 0


async def test_runs_no_command_where_nothing_runs(world: World) -> None:
    spec = task(container(world, "stays", "app"))
    await running(world, spec)
    await world.driver.stop(spec.task_id)

    with pytest.raises(Refused, match="not running"):
        async with world.driver.exec(spec.task_id, "app", ("cat",)):
            pass
    with pytest.raises(Refused, match="no container"):
        async with world.driver.exec(spec.task_id, "other", ("cat",)):
            pass


async def test_tells_what_is_used(world: World) -> None:
    spec = task(container(world, "stays", "app"))
    await running(world, spec)

    used = await until(world, lambda: world.driver.usage(spec.task_id), lambda used: bool(used) and used[0].memory > 0)

    assert [one.container for one in used] == ["app"]
    assert used[0].cpu_seconds >= 0
    await world.driver.stop(spec.task_id)
    assert await world.driver.usage(spec.task_id) == []
