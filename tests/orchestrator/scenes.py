"""A little world for the planner: tasks that start, fail and fall ill as a history says, on a clock of its own."""

from dataclasses import dataclass, field, replace

from orchestrator import rollout
from orchestrator.engines import HealthStatus
from orchestrator.placing import Demand, Room
from orchestrator.planning import (
    Complete,
    Event,
    Fail,
    Launch,
    Plan,
    Recovered,
    Remove,
    Retire,
    Scale,
    Scene,
    Stop,
    plan,
)
from orchestrator.state import (
    Deployment,
    DeploymentSettings,
    DesiredStatus,
    Instance,
    InstanceStatus,
    Placement,
    Resources,
    RolloutState,
    SchedulingStrategy,
    Service,
    ServiceStatus,
    StopCode,
    Task,
    TaskStatus,
)


def instance(identifier: str, cpu: int = 4096, memory: int = 8192, **changes: object) -> Instance:
    """An active instance."""
    base = Instance(identifier, "default", "fake://", InstanceStatus.ACTIVE, True, Resources(cpu, memory), "amd64")
    return replace(base, **changes)  # type: ignore[arg-type]


def deployment(identifier: str, desired: int, **changes: object) -> Deployment:
    """A deployment in progress."""
    base = Deployment(identifier, "web", "web", 1, {}, desired, 0.0, 0.0)
    return replace(base, **changes)  # type: ignore[arg-type]


@dataclass
class World:
    """A service with its tasks; `broken` deployments never start."""

    desired: int = 3
    settings: DeploymentSettings = field(default_factory=DeploymentSettings)
    strategy: SchedulingStrategy = SchedulingStrategy.REPLICA
    instances: dict[str, Instance] = field(default_factory=lambda: {"i1": instance("i1"), "i2": instance("i2")})
    demand: Demand = field(default_factory=lambda: Demand(Resources(64, 64)))
    now: float = 1000.0
    tasks: dict[str, Task] = field(default_factory=dict)
    stopped: list[Task] = field(default_factory=list)
    deployments: dict[str, Deployment] = field(default_factory=dict)
    retired: dict[str, Deployment] = field(default_factory=dict)
    broken: set[str] = field(default_factory=set)
    events: list[str] = field(default_factory=list)
    status: ServiceStatus = ServiceStatus.ACTIVE
    launched: int = 0

    def __post_init__(self) -> None:
        self.deploy()

    @property
    def service(self) -> Service:
        """The service as it is now."""
        return Service("web", "default", self.status, self.desired, self.strategy, self.settings, Placement(), 0.0)

    @property
    def primary(self) -> Deployment:
        """The deployment that the service moves to."""
        return next(each for each in self.deployments.values() if each.primary)

    def deploy(self, *, broken: bool = False, rollback_of: str | None = None) -> str:
        """A new deployment."""
        identifier = f"d{len(self.deployments) + len(self.retired)}"
        self.deployments = {key: replace(each, primary=False) for key, each in self.deployments.items()}
        self.deployments[identifier] = deployment(
            identifier, self.desired, created_at=self.now, rollback_of=rollback_of
        )
        if broken:
            self.broken.add(identifier)
        return identifier

    def scene(self) -> Scene:
        """What the planner sees."""
        everything = [*self.retired.values(), *self.deployments.values()]
        done = [each for each in everything if each.rollout is RolloutState.COMPLETED and not each.primary]
        return Scene(
            service=self.service,
            deployments=list(self.deployments.values()),
            tasks=list(self.tasks.values()),
            instances=self.instances,
            room=Room.of(self.instances.values(), self.tasks.values()),
            demands={identifier: self.demand for identifier in self.deployments},
            previous=max(done, key=lambda each: each.created_at) if done else None,
            last_event=self.events[-1] if self.events else "",
        )

    def step(self) -> Plan:
        """Plan once and do it."""
        made = plan(self.scene(), self.now)
        for action in made.actions:
            self.act(action)
        return made

    def act(self, action: object) -> None:
        """Do one thing that was planned."""
        match action:
            case Launch(deployment_id, instance_id):
                self.launched += 1
                identifier = f"t{self.launched:04}"
                self.tasks[identifier] = Task(
                    identifier, "default", "web", 1, DesiredStatus.RUNNING, TaskStatus.PROVISIONING, self.now,
                    service="web", deployment=deployment_id, instance_id=instance_id, needs=self.demand.needs,
                )  # fmt: skip
            case Stop(task_id, reason, failed):
                task = self.tasks[task_id]
                self.tasks[task_id] = replace(
                    task, desired=DesiredStatus.STOPPED, stopped_reason=reason, stopping_at=self.now
                )
                if failed:
                    self._failed(str(task.deployment))
            case Event(message):
                self.events.append(message)
            case Remove():
                self.status = ServiceStatus.INACTIVE
            case _:
                self._roll(action)

    def _roll(self, action: object) -> None:
        match action:
            case Recovered(identifier):
                self.deployments[identifier] = rollout.recovered(self.deployments[identifier])
            case Scale(identifier, desired):
                self.deployments[identifier] = replace(self.deployments[identifier], desired=desired)
            case Complete(identifier):
                self._rolled(identifier, RolloutState.COMPLETED)
            case Fail(identifier, _, back):
                self._rolled(identifier, RolloutState.FAILED)
                if back is not None:
                    self.deploy(rollback_of=identifier)
            case Retire(identifier):
                self.retired[identifier] = self.deployments.pop(identifier)

    def progress(self, task_id: str) -> None:
        """The task gets as far as it can."""
        task = self.tasks[task_id]
        if task.desired is DesiredStatus.STOPPED:
            self.stopped.append(replace(self.tasks.pop(task_id), status=TaskStatus.STOPPED, stopped_at=self.now))
        elif task.status is TaskStatus.PROVISIONING and task.deployment in self.broken:
            self.die(task_id, StopCode.TASK_FAILED_TO_START)
        elif task.status is TaskStatus.PROVISIONING:
            health = HealthStatus.HEALTHY if self.demand.checked else HealthStatus.UNKNOWN
            self.tasks[task_id] = replace(task, status=TaskStatus.RUNNING, started_at=self.now, health=health)

    def die(self, task_id: str, code: StopCode = StopCode.ESSENTIAL_CONTAINER_EXITED) -> None:
        """The task ends by itself."""
        task = replace(self.tasks.pop(task_id), status=TaskStatus.STOPPED, stopped_at=self.now, stop_code=code)
        self.stopped.append(task)
        if rollout.is_failed_launch(task, self.settings.steady_seconds):
            self._failed(str(task.deployment))

    def sicken(self, task_id: str) -> None:
        """A health check fails for good."""
        if self.tasks[task_id].status is TaskStatus.RUNNING:
            self.tasks[task_id] = replace(self.tasks[task_id], health=HealthStatus.UNHEALTHY)

    def settle(self, rounds: int = 200) -> None:
        """Let everything go well for a while."""
        for _ in range(rounds):
            made = self.step()
            for task_id in list(self.tasks):
                self.progress(task_id)
            self.now = max(self.now + 1, made.wake_at or 0)

    def running(self, deployment_id: str | None = None) -> list[Task]:
        """The tasks that run and are wanted."""
        return [
            task
            for task in self.tasks.values()
            if task.status is TaskStatus.RUNNING
            and task.desired is DesiredStatus.RUNNING
            and deployment_id in (None, task.deployment)
        ]

    def _failed(self, identifier: str) -> None:
        if identifier in self.deployments:
            self.deployments[identifier] = rollout.failed(self.deployments[identifier], self.now)

    def _rolled(self, identifier: str, state: RolloutState) -> None:
        self.deployments[identifier] = replace(self.deployments[identifier], rollout=state)
