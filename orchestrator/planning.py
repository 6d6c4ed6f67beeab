"""What to do next for a service: from what is there to what is wanted. Pure; the clock is an argument.

Level-triggered: a plan looks at what is, never at what was announced, so a plan that was carried out in part, or twice,
is healed by the next one. Two bounds hold at every moment, whatever engines do: tasks that have not stopped are at most
`maximum_percent` of the desired count, and nothing healthy is stopped below `minimum_healthy_percent`.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from orchestrator.engines import HealthStatus
from orchestrator.placing import Chooser, Demand, NoRoom, Room, satisfies, unable_to_place
from orchestrator.rollout import INCONSISTENT, THROTTLED_AFTER, breaker_open, completed
from orchestrator.state import (
    Deployment,
    DesiredStatus,
    Instance,
    InstanceStatus,
    Placement,
    RolloutState,
    SchedulingStrategy,
    Service,
    ServiceStatus,
    Task,
    TaskStatus,
)
from orchestrator.waiting import Follow, Hold

UNHEALTHY = "Task failed container health checks"
SCALING = "Scaling activity initiated by (deployment {deployment})"
DRAINED = "Container instance is in DRAINING state"


@dataclass(frozen=True, slots=True)
class Launch:
    """Enter a task of this deployment, on this instance."""

    deployment_id: str
    instance_id: str


@dataclass(frozen=True, slots=True)
class Stop:
    """Want this task stopped; `failed`: it counts as a launch that failed."""

    task_id: str
    reason: str
    failed: bool = False


@dataclass(frozen=True, slots=True)
class Event:
    """Tell the service's readers; the message is in AWS's words, behind `(service NAME) `."""

    message: str


@dataclass(frozen=True, slots=True)
class Recovered:
    """A task that was launched after the last failure is healthy: failures count from zero."""

    deployment_id: str


@dataclass(frozen=True, slots=True)
class Complete:
    """The rollout has ended well: the deployment is all there is, and as many as wanted are healthy."""

    deployment_id: str


@dataclass(frozen=True, slots=True)
class Retire:
    """A deployment that is no longer the primary one has no task left."""

    deployment_id: str


@dataclass(frozen=True, slots=True)
class Fail:
    """The circuit breaker opened; with `rollback_to`, that deployment's revision and digests are deployed again."""

    deployment_id: str
    reason: str
    rollback_to: str | None = None


@dataclass(frozen=True, slots=True)
class Scale:
    """So many instances are a daemon's now: that is how many tasks its deployment wants."""

    deployment_id: str
    desired: int


@dataclass(frozen=True, slots=True)
class Remove:
    """The service was deleted and its last task has stopped: it is INACTIVE now."""


Action = Launch | Stop | Event | Recovered | Complete | Retire | Fail | Hold | Follow | Scale | Remove


@dataclass(frozen=True, slots=True)
class Scene:
    """All that a plan for one service looks at. `tasks` are its own that have not stopped; `room` counts all tasks."""

    service: Service
    deployments: Sequence[Deployment]
    """The primary one and those that still have tasks."""
    tasks: Sequence[Task]
    instances: Mapping[str, Instance]
    room: Room
    demands: Mapping[str, Demand]
    """By deployment id."""
    previous: Deployment | None = None
    """The last one that was completed: what a rollback goes back to."""
    last_event: str = ""
    last_failure: str = ""
    """Why the last task that failed did: its exit code, and what it wrote last."""
    prepared: bool = True
    """Whether the primary deployment's images are where they will be needed; before, nothing moves to it."""


@dataclass(slots=True)
class Plan:
    """What to do now, and when to look again although nothing happened (None: time alone changes nothing)."""

    actions: list[Action] = field(default_factory=list)
    wake_at: float | None = None

    def wake(self, at: float) -> None:
        """Look again no later than then."""
        self.wake_at = at if self.wake_at is None else min(at, self.wake_at)


def is_healthy(task: Task, settings_steady: float, checked: bool, now: float) -> bool:
    """Whether a task counts as healthy: it runs, and its health check says so or, without one, it has run steadily."""
    if task.status is not TaskStatus.RUNNING or task.desired is not DesiredStatus.RUNNING or not task.connected:
        return False
    if checked:
        return task.health is HealthStatus.HEALTHY
    return task.started_at is not None and now >= task.started_at + settings_steady


def bounds(service: Service, desired: int) -> tuple[int, int]:
    """At least so many healthy tasks are kept, and at most so many tasks are there."""
    settings = service.settings
    return -(-settings.minimum_healthy_percent * desired // 100), settings.maximum_percent * desired // 100


def plan(scene: Scene, now: float) -> Plan:
    """What to do for this service now."""
    made = Plan()
    if scene.service.status is ServiceStatus.INACTIVE:
        return made
    if scene.service.status is ServiceStatus.DRAINING:
        _wind_up(scene, made)
        return made
    primary = next((each for each in scene.deployments if each.primary), None)
    if primary is None:
        return made
    step = _Step(scene, primary, made, now)
    if step.daemon:
        step.count()
        step.plan_daemon()
    else:
        step.plan_replicas()
    step.judge()
    return made


def _wind_up(scene: Scene, made: Plan) -> None:
    made.actions += [
        Stop(task.task_id, f"Service {scene.service.name} was deleted")
        for task in scene.tasks
        if task.desired is DesiredStatus.RUNNING
    ]
    if not scene.tasks:
        made.actions.append(Remove())


class _Step:
    """One plan in the making."""

    def __init__(self, scene: Scene, primary: Deployment, made: Plan, now: float) -> None:
        self.scene, self.primary, self.made, self.now = scene, primary, made, now
        self.service = scene.service
        self.daemon = self.service.strategy is SchedulingStrategy.DAEMON
        self.live = [task for task in scene.tasks if task.desired is DesiredStatus.RUNNING]
        self.healthy = {task.task_id for task in self.live if self._is_healthy(task)}
        self.doomed = {task.task_id: reason for task in self.live if (reason := self._doom(task))}
        self.mine = [task for task in self.live if task.deployment == primary.deployment_id]
        self.good = [task for task in self.mine if task.task_id not in self.doomed]
        self.demand = scene.demands.get(primary.deployment_id, Demand())
        self.desired = len(self.eligible()) if self.daemon else self.service.desired
        self.stopped: set[str] = set()

    def eligible(self) -> list[Instance]:
        """The instances that a daemon has a task on: those that keep the constraints."""
        there = Counter(task.instance_id for task in self.mine)
        members = [*self.service.placement.constraints, *self.demand.constraints]
        placement = Placement(constraints=tuple(one for one in members if one[0] == "memberOf"))
        wanted = Demand(architectures=self.demand.architectures)
        return [
            instance
            for _, instance in sorted(self.scene.instances.items())
            if instance.status is InstanceStatus.ACTIVE
            and satisfies(instance, placement, {})
            and (self.scene.room.lacks(instance, wanted) is None or there[instance.instance_id])
        ]

    # --- replicas

    def plan_replicas(self) -> None:
        """Launch what is missing as far as there is room, then stop what is too much as far as enough is healthy."""
        least, most = bounds(self.service, self.desired)
        missing = self.desired - len(self.good)
        launched = 0
        if missing > 0 and self._may_launch():
            launched = self._launch(min(missing, most - len(self.scene.tasks)))
        self._stop_surplus(least, blocked=launched == 0 and len(self.scene.tasks) >= most)

    def _launch(self, number: int) -> int:
        counts = Counter(str(task.instance_id) for task in self.mine)
        primary = self.primary
        chooser = Chooser(
            self.scene.room, self.demand, self.service.placement, counts, f"{primary.deployment_id}/{len(self.mine)}"
        )
        for done in range(max(0, number)):
            chosen = chooser.next()
            if isinstance(chosen, NoRoom):
                self.made.actions.append(Event(unable_to_place(chosen, self.scene.instances, self.demand)))
                return done
            self.made.actions.append(Launch(primary.deployment_id, chosen.instance_id))
        return max(0, number)

    def _may_launch(self) -> bool:
        if self._stays() or self._opens_breaker():
            return False
        if self.now < self.primary.next_launch_at:
            self.made.wake(self.primary.next_launch_at)
            if self.primary.consecutive_failures >= THROTTLED_AFTER:
                self.made.actions.append(Event(INCONSISTENT))
            return False
        return True

    def _stop_surplus(self, least: int, *, blocked: bool) -> None:
        """Stop old, doomed and superfluous tasks; never a healthy one that is needed for the minimum.

        One that is not healthy is kept until another one takes its place, unless no room for that is allowed.
        """
        spare = len(self.healthy) - least
        room_for_unhealthy = blocked or len([t for t in self.good if t.task_id in self.healthy]) >= self.desired
        for task, reason in self._surplus():
            if task.task_id in self.healthy:
                if spare <= 0:
                    continue
                spare -= 1
            elif self._waits_for_another(task) and not room_for_unhealthy:
                continue
            self._stop(task, reason)

    def _waits_for_another(self, task: Task) -> bool:
        return task.task_id in self.doomed and task.deployment == self.primary.deployment_id

    def _stop(self, task: Task, reason: str) -> None:
        self.stopped.add(task.task_id)
        failed = reason == UNHEALTHY and task.deployment == self.primary.deployment_id
        self.made.actions.append(Stop(task.task_id, reason, failed))

    def _surplus(self) -> list[tuple[Task, str]]:
        """What should go, the first to go first."""
        scaling = SCALING.format(deployment=self.primary.deployment_id)
        old = [task for task in self.live if task.deployment != self.primary.deployment_id]
        if self._stays():
            old = []  # nothing takes their place
        crowd = Counter(task.instance_id for task in self.live)
        too_many = sorted(
            self.good,
            key=lambda task: (task.task_id in self.healthy, -crowd[task.instance_id], -task.created_at, task.task_id),
        )[: max(0, len(self.good) - self.desired)]
        old.sort(key=lambda task: (task.task_id in self.healthy, task.task_id not in self.doomed, task.created_at))
        doomed = [task for task in self.mine if task.task_id in self.doomed]
        return [(task, self.doomed.get(task.task_id, scaling)) for task in [*old, *doomed, *too_many]]

    # --- daemons

    def plan_daemon(self) -> None:
        """One task on each instance that is active: a new one where the old one has gone."""
        least, _ = bounds(self.service, self.desired)
        spare = len(self.healthy) - least
        eligible = {instance.instance_id: instance for instance in self.eligible()}
        there = Counter(task.instance_id for task in self.scene.tasks)
        if self._may_launch():
            for identifier, instance in eligible.items():
                if not there[identifier] and self.scene.room.lacks(instance, self.demand) is None:
                    self.scene.room.take(identifier, self.demand.needs)
                    self.made.actions.append(Launch(self.primary.deployment_id, identifier))
        scaling = SCALING.format(deployment=self.primary.deployment_id)
        current = {task.task_id for task in self.good if task.instance_id in eligible}
        keep_old = self._stays()
        for task in self.live:
            old = task.deployment != self.primary.deployment_id
            if task.task_id in current or (old and keep_old):
                continue
            if task.task_id in self.healthy and task.instance_id in eligible:
                if spare <= 0:
                    continue
                spare -= 1
            self._stop(task, self.doomed.get(task.task_id, scaling))

    def count(self) -> None:
        """Say how many instances a daemon has, where that is another number than before."""
        if self.primary.desired != self.desired:
            self.made.actions.append(Scale(self.primary.deployment_id, self.desired))

    # --- how far it is

    def judge(self) -> None:
        """Complete, fail or retire deployments, and say what there is to say."""
        primary = self.primary
        for deployment in self.scene.deployments:
            if not deployment.primary and not any(
                task.deployment == deployment.deployment_id for task in self.scene.tasks
            ):
                self.made.actions.append(Retire(deployment.deployment_id))
        recovered = primary.consecutive_failures > 0 and any(
            task.task_id in self.healthy and task.created_at >= primary.next_launch_at for task in self.good
        )
        if recovered:
            self.made.actions.append(Recovered(primary.deployment_id))
        elif self._opens_breaker():
            self.made.actions += list(_failure(self.scene, primary))
        self._judge_steady()

    def _judge_steady(self) -> None:
        steady = (
            len(self.scene.tasks) == self.desired == len(self.good)
            and all(task.task_id in self.healthy for task in self.good)
            and not self.stopped
        )
        if not steady:
            return
        if self.primary.rollout is RolloutState.IN_PROGRESS:
            self.made.actions.append(Complete(self.primary.deployment_id))
            self.made.actions.append(Event(completed(self.primary)))
        if self.primary.rollout is not RolloutState.FAILED and self.scene.last_event != STEADY:
            self.made.actions.append(Event(STEADY))

    def _stays(self) -> bool:
        """Whether nothing moves to the primary deployment: it has failed, or its images are still being pulled."""
        return self.primary.rollout is RolloutState.FAILED or not self.scene.prepared

    def _opens_breaker(self) -> bool:
        return breaker_open(self.primary, self.service.settings, self.desired)

    def _is_healthy(self, task: Task) -> bool:
        steady = self.service.settings.steady_seconds
        checked = self.scene.demands.get(task.deployment or "", Demand()).checked
        healthy = is_healthy(task, steady, checked, self.now)
        if not healthy and not checked and task.started_at is not None and task.status is TaskStatus.RUNNING:
            self.made.wake(task.started_at + steady)
        return healthy

    def _doom(self, task: Task) -> str | None:
        """Why a task has to be replaced, if it has."""
        instance = self.scene.instances.get(task.instance_id or "")
        if instance is not None and instance.status is not InstanceStatus.ACTIVE:
            return DRAINED
        if task.health is HealthStatus.UNHEALTHY and task.status is TaskStatus.RUNNING:
            patient_until = (task.started_at or 0) + self.service.grace_period
            if self.now >= patient_until:
                return UNHEALTHY
            self.made.wake(patient_until)
        return None


STEADY = "has reached a steady state."


def _failure(scene: Scene, primary: Deployment) -> Iterable[Action]:
    """The circuit breaker opens: fail, and go back to what was completed last, but never back from a way back."""
    settings, previous = scene.service.settings, scene.previous
    reason = "ECS deployment circuit breaker: task failed to start."
    back = None
    if settings.rollback and primary.rollback_of is None and previous is not None:
        back = previous.deployment_id
    why = f" Last failure: {scene.last_failure}" if scene.last_failure else ""
    yield Fail(primary.deployment_id, reason, back)
    yield Event(f"(deployment {primary.deployment_id}) deployment failed: tasks failed to start.{why}")
