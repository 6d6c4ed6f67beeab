"""Carries out the plans for the services of a cluster, in the transaction that read what they rest on."""

import uuid
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from estiva.digest import Digest
from estiva.reference import RepositoryName
from orchestrator import rollout
from orchestrator.definition import TaskDefinition
from orchestrator.engines import HealthStatus
from orchestrator.facts import (
    ClusterFacts,
    OwnImages,
    ReadDefinition,
    ServiceFacts,
    change_deployment,
    change_task,
    count_failure,
    load,
    say,
    set_service,
)
from orchestrator.holding import plan_held
from orchestrator.moves import unwanted
from orchestrator.placing import Demand, Room, demand_of
from orchestrator.planning import (
    Action,
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
)
from orchestrator.records import as_deployment, inactive, task_document, task_record
from orchestrator.state import (
    Deployment,
    DesiredStatus,
    RolloutState,
    ServiceStatus,
    StopCode,
    Task,
    TaskStatus,
)
from orchestrator.succeeding import new_deployment_id, succeed
from orchestrator.waiting import NOTHING, Follow, Hold, Waiting
from storage.metadata import deployments, tasks
from storage.metadata.clusters import ClusterKey
from storage.metadata.database import Work
from storage.metadata.services import ServiceRecord
from storage.metadata.task_definitions import DefinitionRecord

QUIET = 600.0
"""Seconds in which an event that says the same is not noted again."""


@dataclass(slots=True)
class Round:
    """What one look at a cluster came to."""

    plans: dict[str, Plan] = field(default_factory=dict)
    wake_at: float | None = None

    @property
    def has_work(self) -> bool:
        """Whether anything is to be done."""
        return any(made.actions for made in self.plans.values())


Architectures = Callable[[TaskDefinition, Mapping[str, Digest]], frozenset[str]]
"""Processors that the images of a definition, by these digests, are for; empty: any."""


def of_any_processor(definition: TaskDefinition, images: Mapping[str, Digest]) -> frozenset[str]:
    """Nothing is known of images."""
    return frozenset()


class Scheduling:
    """Plans all services of a cluster, and does it."""

    def __init__(
        self, read: ReadDefinition, own_images: OwnImages, architectures: Architectures = of_any_processor
    ) -> None:
        self._read = read
        self._own_images = own_images
        self._architectures = architectures

    def look(self, facts: ClusterFacts, now: float, waiting: Waiting = NOTHING) -> Round:
        """The plans of all services; those that come first take room before the others."""
        done = Round()
        room = Room.of(facts.instances.values(), facts.tasks.values())
        for name, service in sorted(facts.services.items()):
            made = plan_held(self._scene(facts, service, room, waiting), waiting, now)
            done.plans[name] = self._quieted(service, made)
            if made.wake_at is not None:
                done.wake_at = min(made.wake_at, done.wake_at or made.wake_at)
        return done

    def carry_out(self, key: ClusterKey, now: float, waiting: Waiting = NOTHING) -> Work[Round]:
        """Look again, in this transaction, and do what is to be done."""
        facts = yield from load(key)
        if facts is None:
            return Round()
        done = self.look(facts, now, waiting)
        for name, made in done.plans.items():
            yield from _Carrying(self._read, self._own_images, facts, facts.services[name], now).all_of(made.actions)
        return done

    def images(self, facts: ClusterFacts) -> Sequence[tuple[RepositoryName, Digest]]:
        """The images of this registry that services have, or move to."""
        found: list[tuple[RepositoryName, Digest]] = []
        for deployment in (one for service in facts.services.values() for one in service.current):
            record = facts.definitions.get((deployment.family, deployment.revision))
            if record is not None:
                found += self._own_images(self._read(record), deployment.images)
        return found

    def checked(self, facts: ClusterFacts) -> dict[str, bool]:
        """Deployment → whether a health check says which of its tasks are healthy."""
        current = [each for service in facts.services.values() for each in service.current]
        return {each.deployment_id: self._demand(facts, each).checked for each in current}

    def _quieted(self, facts: ServiceFacts, made: Plan) -> Plan:
        """Without the event that was the last one: that alone is nothing to do."""
        actions = [
            action for action in made.actions if not (isinstance(action, Event) and action.message == facts.last_event)
        ]
        return Plan(actions, made.wake_at)

    def _scene(self, facts: ClusterFacts, service: ServiceFacts, room: Room, waiting: Waiting) -> Scene:
        current = service.current
        primary = next((each for each in current if each.primary), None)
        return Scene(
            service=service.service,
            deployments=current,
            tasks=[task for task in facts.tasks.values() if task.service == service.service.name],
            instances=facts.instances,
            room=room,
            demands={each.deployment_id: self._demand(facts, each) for each in current},
            previous=service.previous,
            last_event=service.last_event,
            prepared=primary is None or primary.deployment_id not in waiting.unprepared,
            last_failure=primary.reason if primary is not None and primary.consecutive_failures else "",
        )

    def _demand(self, facts: ClusterFacts, deployment: Deployment) -> Demand:
        record = facts.definitions.get((deployment.family, deployment.revision))
        if record is None:
            return Demand()
        definition = self._read(record)
        return demand_of(definition, self._architectures(definition, deployment.images))


@dataclass
class _Carrying:
    """Does what was planned for one service."""

    read: ReadDefinition
    own_images: OwnImages
    facts: ClusterFacts
    service: ServiceFacts
    now: float
    told: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    @property
    def key(self) -> ClusterKey:
        return self.facts.record.key

    @property
    def name(self) -> str:
        return self.service.service.name

    def all_of(self, actions: list[Action]) -> Work[None]:
        """All of it, in that order."""
        said = []
        for action in actions:
            match action:
                case Launch():
                    yield from self._launch(action)
                case Stop():
                    yield from self._stop(action)
                case Event(message):
                    said.append(message)
                case Follow(identifier):
                    yield from self._follow(identifier)
                case _:
                    yield from self._roll(action)
        for verb, ids in self.told.items():
            listed = " ".join(f"(task {identifier})" for identifier in ids)
            yield from say(self.key, self.name, verb.format(count=len(ids), tasks=listed))
        for message in said:
            yield from say(self.key, self.name, message, QUIET)

    def _launch(self, action: Launch) -> Work[None]:
        deployment = next(each for each in self.service.current if each.deployment_id == action.deployment_id)
        record = self.facts.definitions.get((deployment.family, deployment.revision))
        if record is None:
            return
        definition = self.read(record)
        task = Task(
            uuid.uuid4().hex,
            self.key.cluster,
            deployment.family,
            deployment.revision,
            DesiredStatus.RUNNING,
            TaskStatus.PROVISIONING,
            self.now,
            group=f"service:{self.name}",
            service=self.name,
            deployment=deployment.deployment_id,
            instance_id=action.instance_id,
            started_by=deployment.deployment_id,
            needs=demand_of(definition).needs,
            images=deployment.images,
            health=HealthStatus.UNKNOWN,
        )
        document = task_document(definition) | {"tags": propagated(self.service.record, record)}
        yield from tasks.create(task_record(self.key, task, document), self.own_images(definition, deployment.images))
        self.told["has started {count} tasks: {tasks}."].append(task.task_id)

    def _stop(self, action: Stop) -> Work[None]:
        code, now = StopCode.SERVICE_SCHEDULER_INITIATED, self.now
        task = yield from change_task(self.key, action.task_id, lambda task: unwanted(task, code, action.reason, now))
        if task is not None and action.failed:
            yield from count_failure(self.key, task)
        self.told["has stopped {count} running tasks: {tasks}."].append(action.task_id)

    def _roll(self, action: Action) -> Work[None]:
        match action:
            case Recovered(identifier):
                yield from change_deployment(self.key, self.name, identifier, rollout.recovered)
            case Complete(identifier):
                reason = f"ECS deployment {identifier} completed."
                yield from change_deployment(
                    self.key,
                    self.name,
                    identifier,
                    lambda each: replace(each, rollout=RolloutState.COMPLETED, reason=reason),
                )
            case Retire(identifier):
                record = yield from deployments.find(self.key, self.name, identifier)
                if record is not None:
                    yield from deployments.update(inactive(record))
            case Hold() | Scale():
                yield from self._note(action)
            case Fail():
                yield from self._fail(action)
            case Remove():
                yield from set_service(
                    self.key, self.service, replace(self.service.service, status=ServiceStatus.INACTIVE)
                )
                yield from deployments.end(self.key, self.name)

    def _note(self, action: Hold | Scale) -> Work[None]:
        changes: dict[str, Any] = (
            {"desired": action.desired} if isinstance(action, Scale) else {"reason": action.reason}
        )
        identifier = action.deployment_id
        yield from change_deployment(self.key, self.name, identifier, lambda each: replace(each, **changes))

    def _follow(self, identifier: str) -> Work[None]:
        record = next(each for each in self.service.deployments if each.id == identifier)
        images = as_deployment(record).following
        definition = self.facts.definitions.get((record.family, record.revision))
        own = () if definition is None else self.own_images(self.read(definition), images)
        fresh = yield from succeed(record, record.state["following"], own)
        yield from say(self.key, self.name, f"(deployment {fresh}) was entered for what was pushed meanwhile.")

    def _fail(self, action: Fail) -> Work[None]:
        failed = next(each for each in self.service.current if each.deployment_id == action.deployment_id)
        why = f"{action.reason} {failed.reason}".strip()
        goes_back = action.rollback_to is not None
        yield from change_deployment(
            self.key,
            self.name,
            action.deployment_id,
            lambda each: replace(each, rollout=RolloutState.FAILED, reason=why, primary=each.primary and not goes_back),
        )
        back = next((each for each in self.service.deployments if each.id == action.rollback_to), None)
        if back is None:
            return
        again = new_deployment_id()
        state = {**back.state, "rollback_of": action.deployment_id, "failed_tasks": 0, "consecutive_failures": 0}
        state["following"] = {}
        state |= {
            "next_launch_at": 0.0,
            "desired": self.service.service.desired,
            "reason": f"ECS deployment circuit breaker: rolling back to deploymentId {back.id}.",
        }
        fresh = replace(back, id=again, status=deployments.PRIMARY, rollout="IN_PROGRESS", state=state, version=1)
        record = self.facts.definitions.get((back.family, back.revision))
        images = () if record is None else self.own_images(self.read(record), as_deployment(back).images)
        yield from deployments.create(fresh, images)
        yield from say(self.key, self.name, f"rolling back to deployment {again}.")


def propagated(service: ServiceRecord, definition: DefinitionRecord) -> Sequence[Mapping[str, str]]:
    """The tags that a service's tasks get: its own or its task definition's, as `propagateTags` says; else none."""
    match service.document.get("propagateTags"):
        case "SERVICE":
            return list(service.document.get("tags", ()))
        case "TASK_DEFINITION":
            return list(definition.tags)
        case _:
            return []
