"""Placing, draining and loss on two real Docker Engines in network namespaces of their own."""

import logging
from collections import Counter
from pathlib import Path

import pytest

from tests.fixtures.engines import STAYS
from tests.fixtures.serving_tasks import web
from tests.fixtures.two_engines import Joined

logger = logging.getLogger(__name__)
UNTIL_TERM = "trap 'exit 0' TERM; while :; do sleep 0.2; done"
pytestmark = [pytest.mark.real, pytest.mark.timeout(600)]


def register(joined: Joined, **changes: object) -> str:
    """A revision of `app`, whose image both engines pull: FAMILY:REVISION."""
    given = {"command": ["sh", "-c", UNTIL_TERM], "portMappings": [], **changes}
    container = web(f"{joined.server.host}/app:1", **given)
    made = joined.server.ecs.register_task_definition(family="app", containerDefinitions=[container])
    return f"app:{made['taskDefinition']['revision']}"


def test_tasks_are_spread_or_packed_or_kept_apart_as_they_ask(joined: Joined) -> None:
    definition = register(joined)
    by_instance = [{"type": "spread", "field": "instanceId"}]
    assert joined.run(definition, 4, placementStrategy=by_instance)["failures"] == []
    joined.server.until(lambda: Counter(joined.places()) == {joined.first: 2, joined.second: 2})
    packed = joined.run(definition, 3, placementStrategy=[{"type": "binpack", "field": "memory"}], group="packed")
    assert len({task["containerInstanceArn"] for task in packed["tasks"]}) == 1
    apart = joined.run(definition, 3, placementConstraints=[{"type": "distinctInstance"}], group="apart")
    assert len({task["containerInstanceArn"] for task in apart["tasks"]}) == len(apart["tasks"]) == 2
    assert len(apart["failures"]) == 2
    joined.server.until(lambda: len(joined.places()) == 9)
    assert sum(len(engine.containers()) for engine in joined.server.pair) == 9


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("count", [20, pytest.param(100, marks=pytest.mark.long)])
def test_many_tasks_are_spread_evenly_run_once_each_and_leave_nothing(joined: Joined, count: int) -> None:
    definition = register(joined, command=["sh", "-c", STAYS], memory=8)
    ran = [joined.run(definition, 10) for _ in range(count // 10)]
    asked = {task["taskArn"] for one in ran for task in one["tasks"]}
    assert (len(asked), [one["failures"] for one in ran]) == (count, [[]] * (count // 10))
    joined.server.until(lambda: len(joined.places()) == count, patience=800)
    assert Counter(joined.places()) == {joined.first: count // 2, joined.second: count // 2}
    told = joined.server.tasks(joined.name)
    assert {task["taskArn"] for task in told} == asked
    seconds = max(task["startedAt"] for task in told) - min(task["createdAt"] for task in told)
    logger.info("%d tasks on two engines: all run %.1f s after the first was asked for", count, seconds.total_seconds())
    names = [sorted(engine.containers(dead=True)) for engine in joined.server.pair]
    ids = {arn.rpartition("/")[2] for arn in asked}
    assert [len(each) for each in names] == [count // 2, count // 2]
    assert {name.split("-")[1] for each in names for name in each} == ids
    for arn in asked:
        joined.server.ecs.stop_task(cluster=joined.name, task=arn)
    joined.server.until(lambda: not any(engine.containers(dead=True) for engine in joined.server.pair), patience=800)
    joined.server.until(lambda: joined.server.tasks(joined.name) == [])


def test_what_no_engine_has_room_for_is_refused_with_what_is_lacking(joined: Joined) -> None:
    for changes, reason in (({"memory": 100_000_000}, "RESOURCE:MEMORY"), ({"cpu": 10_000_000}, "RESOURCE:CPU")):
        ran = joined.run(register(joined, **changes), 1)
        assert (ran["tasks"], {one["reason"] for one in ran["failures"]}) == ([], {reason})
    fixed = register(joined, portMappings=[{"containerPort": 80, "hostPort": 8080}])
    ran = joined.run(fixed, 3)
    assert len({task["containerInstanceArn"] for task in ran["tasks"]}) == 2
    assert {one["reason"] for one in ran["failures"]} == {"RESOURCE:PORTS"}


def test_a_draining_instance_is_emptied_and_replacements_come_first(joined: Joined) -> None:
    joined.keep(register(joined), 2)
    assert Counter(joined.places()) == {joined.first: 1, joined.second: 1}
    joined.server.ecs.update_container_instances_state(
        cluster=joined.name, containerInstances=[joined.first], status="DRAINING"
    )
    first, second = joined.server.pair

    def is_emptied() -> bool:
        # What is new is looked at first: what ends between the two looks can only make this too few.
        there = len(second.containers())
        assert there + len(first.containers()) >= 2 or len(second.containers()) >= 2
        return not first.containers() and joined.is_steady()

    joined.server.until(is_emptied)
    assert Counter(joined.places()) == {joined.second: 2}


def test_tasks_of_a_killed_engine_are_replaced_and_what_it_still_runs_when_it_returns_is_removed(
    joined: Joined,
) -> None:
    joined.keep(register(joined), 2)
    first, second = joined.server.pair
    process = Path("/proc") / first.docker("inspect", "--format", "{{.State.Pid}}", *first.containers())
    (lost,) = [one for one in joined.server.tasks(joined.name) if joined.first in one["containerInstanceArn"]]
    first.kill()
    joined.server.until(lambda: Counter(joined.places()) == {joined.second: 2})
    assert process.exists()
    (ended,) = joined.server.ecs.describe_tasks(cluster=joined.name, tasks=[lost["taskArn"]])["tasks"]
    assert (ended["lastStatus"], ended["stopCode"]) == ("STOPPED", "InfrastructureHealth")
    assert not joined.server.instance(joined.name, joined.first)["agentConnected"]
    first.start()
    joined.server.until(lambda: joined.server.instance(joined.name, joined.first)["agentConnected"])
    joined.server.until(lambda: not first.containers(dead=True) and not process.exists())
    assert len(second.containers()) == 2


def test_an_engine_that_was_stopped_is_used_again_when_it_returns(joined: Joined) -> None:
    joined.keep(register(joined), 2)
    _, second = joined.server.pair
    second.stop()
    joined.server.until(lambda: Counter(joined.places()) == {joined.first: 2})
    second.start()
    joined.server.until(lambda: joined.server.instance(joined.name, joined.second)["agentConnected"])
    joined.server.until(lambda: not second.containers(dead=True))
    apart = joined.run(register(joined), 2, placementConstraints=[{"type": "distinctInstance"}])
    assert apart["failures"] == []
    joined.server.until(lambda: Counter(joined.places()) == {joined.first: 3, joined.second: 1})
