"""The order in which containers start and stop, told by `dependsOn` alone."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.definition import (
    Condition,
    ContainerDefinition,
    Dependency,
    RestartPolicy,
    TaskDefinition,
    VolumesFrom,
)
from orchestrator.engines import ContainerStatus, ContainerView, HealthStatus, Refused
from orchestrator.engines.steps import is_restarted, levels, startable

CREATED, RUNNING, STOPPED = ContainerStatus.CREATED, ContainerStatus.RUNNING, ContainerStatus.STOPPED


def waits(name: str, *others: str, condition: Condition = Condition.START, **members: Any) -> ContainerDefinition:
    """A container that depends on these."""
    return ContainerDefinition(name, "i", depends_on=tuple(Dependency(one, condition) for one in others), **members)


def ended(code: int, ran: float = 10) -> ContainerView:
    """One that ran so long and exited."""
    return ContainerView("x", STOPPED, exit_code=code, started_at=100.0, finished_at=100.0 + ran)


@given(st.lists(st.sets(st.integers(0, 9)), min_size=1, max_size=10))
def test_everything_comes_after_what_it_needs(needs: list[set[int]]) -> None:
    containers = [waits(str(n), *(str(one) for one in sorted(needed) if one < n)) for n, needed in enumerate(needs)]

    found = levels(containers[::-1])

    for container in containers:
        others = [found[one.container] for one in container.depends_on]
        assert found[container.name] == (max(others) + 1 if others else 0)


def test_volumes_and_links_are_needed_too() -> None:
    a, b = ContainerDefinition("a", "i"), ContainerDefinition("b", "i", links=("a:db",))
    c = ContainerDefinition("c", "i", volumes_from=(VolumesFrom("b"),))

    assert levels((c, b, a)) == {"a": 0, "b": 1, "c": 2}


def test_a_circle_has_no_order() -> None:
    with pytest.raises(ValueError, match="depend on each other: a, b"):
        levels((waits("a", "b"), waits("b", "a"), waits("c")))


READY = {
    Condition.START: ContainerView("db", RUNNING, started_at=100.0),
    Condition.COMPLETE: ended(3),
    Condition.SUCCESS: ended(0),
    Condition.HEALTHY: ContainerView("db", RUNNING, started_at=100.0, health=HealthStatus.HEALTHY),
}


@pytest.mark.parametrize("condition", Condition)
def test_starts_when_the_condition_holds_and_not_before(condition: Condition) -> None:
    definition = TaskDefinition("f", 1, (waits("app", "db", condition=condition), ContainerDefinition("db", "i")))
    app = ContainerView("app", CREATED)

    assert startable(definition, {"app": app, "db": ContainerView("db", CREATED)}, 0) == ["db"]
    assert startable(definition, {"app": app, "db": READY[condition]}, 1000) == ["app"]


@pytest.mark.parametrize(
    ("condition", "view"),
    [
        (Condition.SUCCESS, ended(3)),
        (Condition.HEALTHY, ended(0)),
        (Condition.COMPLETE, ContainerView("db", STOPPED, exit_code=127)),
        (Condition.START, ContainerView("db", STOPPED, exit_code=127)),
    ],
)
def test_tells_what_can_no_longer_come_true(condition: Condition, view: ContainerView) -> None:
    definition = TaskDefinition("f", 1, (waits("app", "db", condition=condition), ContainerDefinition("db", "i")))

    with pytest.raises(Refused, match=r"^TaskDependencyError: container app waits for db to be "):
        startable(definition, {"app": ContainerView("app", CREATED), "db": view}, 0)


def test_waits_for_what_is_started_again() -> None:
    db = ContainerDefinition("db", "i", restart_policy=RestartPolicy(attempt_period=5))
    definition = TaskDefinition("f", 1, (waits("app", "db", condition=Condition.SUCCESS), db))

    assert startable(definition, {"app": ContainerView("app", CREATED), "db": ended(3)}, 0) == ["db"]


def test_what_started_stays_whatever_becomes_of_what_it_needed() -> None:
    definition = TaskDefinition("f", 1, (waits("app", "db"), ContainerDefinition("db", "i")))

    assert startable(definition, {"app": ContainerView("app", RUNNING, started_at=1.0), "db": ended(3)}, 0) == []


@pytest.mark.parametrize(
    ("view", "again"),
    [
        (ended(3), True),
        (ended(3, ran=4), False),
        (ended(7), False),
        (ContainerView("x", STOPPED, exit_code=127), False),
        (ContainerView("x", RUNNING, started_at=1.0), False),
    ],
)
def test_a_policy_says_what_is_started_again(view: ContainerView, again: bool) -> None:
    container = ContainerDefinition("x", "i", restart_policy=RestartPolicy(frozenset({7}), 5))

    assert is_restarted(container, view) is again
    assert not is_restarted(ContainerDefinition("x", "i"), view)
