"""Gates: what tags ask for is understood or refused, and a deployment that is held back holds nothing else back."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from estiva.digest import Digest
from orchestrator.gates import SEVERITIES, GateInvalid, Gates, parse, worst
from orchestrator.holding import plan_held
from orchestrator.planning import Event, Launch
from orchestrator.state import RolloutState, ServiceStatus, StopCode
from orchestrator.waiting import Follow, Hold, Waiting
from tests.orchestrator.scenes import World


def tags(**given: str) -> Sequence[Mapping[str, str]]:
    return [{"key": name.replace("_", "-"), "value": value} for name, value in given.items()]


def test_tags_ask_for_gates_and_other_tags_for_nothing() -> None:
    assert parse(tags(team="web", deploy_on_push="true")) == Gates()
    assert not parse(tags(gate_immutable_tag="false")).any
    asked = parse(tags(gate_scan="HIGH", gate_signature="release", gate_immutable_tag="true"))
    assert asked == Gates("HIGH", "release", immutable=True)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (tags(gate_signatures="release"), "gate-signatures is no gate: there are gate-scan"),
        (tags(gate_scan="high"), "gate-scan is one of CRITICAL, HIGH, MEDIUM, LOW, not 'high'."),
        (tags(gate_signature=""), "gate-signature is the name of a key."),
        (tags(gate_immutable_tag="yes"), "gate-immutable-tag is true or false, not 'yes'."),
    ],
    ids=["no gate", "severity", "key", "boolean"],
)
def test_a_gate_that_nobody_understands_is_refused(given: Sequence[Mapping[str, str]], said: str) -> None:
    with pytest.raises(GateInvalid, match=f"^{said}"):
        parse(given)


@given(st.dictionaries(st.sampled_from([*SEVERITIES, "INFORMATIONAL"]), st.integers(0, 3)), st.sampled_from(SEVERITIES))
def test_findings_as_bad_as_asked_or_worse_close_a_gate(counts: dict[str, int], severity: str) -> None:
    closing = SEVERITIES[: SEVERITIES.index(severity) + 1]
    told = worst(counts, severity)
    assert (told is None) is (sum(counts.get(one, 0) for one in closing) == 0)
    assert told is None or all(f"{counts[one]} {one}" in told for one in closing if counts.get(one))


class Held(World):
    """The world of the planner, in which every deployment that `closed` has is held back."""

    closed: frozenset[str] = frozenset()

    def look(self) -> list[object]:
        """Plan once and do it; what was planned."""
        made = plan_held(self.scene(), Waiting(held=dict.fromkeys(self.closed, "it is not signed.")), self.now)
        for action in made.actions:
            if isinstance(action, Hold):
                changed = replace(self.deployments[action.deployment_id], reason=action.reason)
                self.deployments[action.deployment_id] = changed
            self.act(action)
        return list(made.actions)

    def happens(self, step: str) -> None:
        """One thing that somebody does, or that befalls a task."""
        primary = self.primary
        begun = primary.rollout is not RolloutState.IN_PROGRESS or primary.deployment_id in {
            task.deployment for task in self.tasks.values()
        }
        match step:
            case "deploy":
                self.closed |= {self.deploy()}
            case "closed" if not begun:
                self.closed |= {primary.deployment_id}
            case "open":
                self.closed -= {primary.deployment_id}
            case "die" if self.tasks:
                self.die(min(self.tasks), StopCode.USER_INITIATED)
            case "more" | "fewer":
                self.desired = max(1, self.desired + (1 if step == "more" else -1))

    def go_on(self, rounds: int) -> None:
        """Let everything go well for a while."""
        for _ in range(rounds):
            self.look()
            for task_id in list(self.tasks):
                self.progress(task_id)
            self.now += 1


def test_the_version_before_goes_on_while_a_deployment_is_held_back_and_goes_when_it_is_not() -> None:
    world = Held()
    world.settle(20)
    old = world.primary.deployment_id
    new = world.deploy()
    world.closed = frozenset([new])
    world.go_on(20)
    assert len(world.running(old)) == 3
    assert world.events[-1] == f"(deployment {new}) is held back: it is not signed."
    assert world.primary.reason == f"ECS deployment {new} is held back: it is not signed."
    world.die(next(iter(world.tasks)))
    world.desired = 4
    world.go_on(20)
    assert len(world.running(old)) == 4
    assert world.running(new) == []
    world.closed = frozenset()
    world.go_on(1)
    assert world.primary.reason == f"ECS deployment {new} in progress."
    assert f"(deployment {new}) has passed its gates." in world.events
    world.go_on(60)
    assert len(world.running(new)) == 4
    assert world.running(old) == []
    assert world.primary.rollout is RolloutState.COMPLETED


def test_a_first_deployment_that_is_held_back_launches_nothing_and_never_completes() -> None:
    for desired in (2, 0):
        world = Held(desired=desired)
        world.closed = frozenset([world.primary.deployment_id])
        world.go_on(20)
        assert world.launched == 0
        assert world.primary.rollout is RolloutState.IN_PROGRESS


def test_a_service_that_is_deleted_is_not_held_back() -> None:
    world = Held()
    world.settle(20)
    world.closed = frozenset([world.deploy()])
    world.go_on(5)
    world.status = ServiceStatus.DRAINING
    world.go_on(10)
    assert world.tasks == {}
    assert world.status.value == "INACTIVE"


def test_a_deployment_that_nobody_has_judged_yet_waits_and_nothing_is_said_of_it() -> None:
    world = Held()
    world.settle(20)
    seen = frozenset(world.deployments)
    world.deploy()
    made = plan_held(world.scene(), Waiting(seen=seen), world.now)
    assert made.actions == []
    assert any(isinstance(one, Launch) for one in plan_held(world.scene(), Waiting(), world.now).actions)


steps = st.sampled_from(["deploy", "closed", "open", "die", "more", "fewer", "wait"])


@settings(max_examples=50)
@given(st.lists(steps, max_size=25))
def test_whatever_happens_nothing_of_a_closed_deployment_is_launched_and_the_one_before_stays(
    history: list[str],
) -> None:
    world = Held()
    world.settle(20)
    for step in history:
        world.happens(step)
        before = world.launched
        closed = set(world.closed)
        made = world.look()
        assert not any(isinstance(one, Launch) and one.deployment_id in closed for one in made)
        assert world.launched - before <= world.desired * 2
        assert sum(each.primary for each in world.deployments.values()) == 1
        for task_id in list(world.tasks):
            world.progress(task_id)
        world.now += 1
    world.go_on(80)
    assert len(world.running()) == world.desired
    assert not any(task.deployment in world.closed for task in world.tasks.values())
    assert sum(isinstance(one, Event) for one in world.look()) == 0


def test_what_was_pushed_during_a_deployment_is_deployed_at_its_end_or_when_it_begins_to_fail() -> None:
    world = World()
    identifier = world.primary.deployment_id
    world.deployments[identifier] = replace(world.primary, following={"web": Digest.of(b"next")})
    follows = [Follow(identifier)]
    assert follows != plan_held(world.scene(), Waiting(), world.now).actions
    world.deployments[identifier] = replace(world.primary, consecutive_failures=1)
    assert follows == plan_held(world.scene(), Waiting(), world.now).actions
    for state in (RolloutState.COMPLETED, RolloutState.FAILED):
        world.deployments[identifier] = replace(world.primary, consecutive_failures=0, rollout=state)
        assert follows == plan_held(world.scene(), Waiting(), world.now).actions
