"""Where a task goes: which container instance has what it needs, and which of those is best. Pure."""

import hashlib
import heapq
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from orchestrator.definition import NetworkMode, TaskDefinition
from orchestrator.state import Instance, InstanceStatus, Placement, Resources, Task, TaskStatus

AGENT = "AGENT"
"""The instance's engine does not answer."""
NOT_ACTIVE = "STATUS"
"""The instance is emptied, or gone."""
ARCHITECTURE = "ATTRIBUTE"
"""The image, or the definition, wants another processor."""
CONSTRAINT = "CONSTRAINT"
CPU, MEMORY, PORTS, DISK = "RESOURCE:CPU", "RESOURCE:MEMORY", "RESOURCE:PORTS", "RESOURCE:DISK"

MEMBER_OF = re.compile(r"^\s*(?P<name>[A-Za-z0-9:._/-]+)\s*(?P<operator>==|!=)\s*(?P<value>\S+)\s*$")
"""The part of ECS's cluster query language that is understood: one comparison for equality."""
DEFAULT_STRATEGIES = (("spread", "instanceId"),)
_CLOSEST = (CPU, MEMORY, PORTS, DISK, CONSTRAINT, ARCHITECTURE, AGENT, NOT_ACTIVE)
"""The reason that came closest first: what an operator is told where no instance would do."""


@dataclass(frozen=True, slots=True)
class Demand:
    """What one task of a definition needs of an instance."""

    needs: Resources = field(default_factory=Resources)
    architectures: frozenset[str] = frozenset()
    """Processors that its images are for, as image platforms name them; empty: any."""
    checked: bool = False
    """Whether an essential container has a health check: then that says when a task is healthy."""
    constraints: tuple[tuple[str, str], ...] = ()
    """The definition's own, which hold beside those of whoever launches."""


@dataclass(frozen=True, slots=True)
class NoRoom:
    """No instance would do; `reasons` has why, by instance id (none where the cluster has no instances)."""

    reasons: Mapping[str, str]

    @property
    def closest(self) -> tuple[str, str] | None:
        """The instance that came closest and what it lacks."""
        ranked = sorted(self.reasons.items(), key=lambda item: (_CLOSEST.index(item[1]), item[0]))
        return ranked[0] if ranked else None


def demand_of(definition: TaskDefinition, architectures: Iterable[str] = ()) -> Demand:
    """What a task of this definition needs: its own cpu and memory, or the sum of its containers'.

    As on ECS, what a container reserves counts rather than its limit, and only fixed host ports are taken; on the
    host's own network a container's port is the host's.
    """
    wanted = frozenset([definition.architecture]) if definition.architecture else frozenset(architectures)
    containers = definition.containers
    on_host = definition.network_mode is NetworkMode.HOST
    ports = frozenset(
        (mapping.host_port or mapping.container_port, mapping.protocol)
        for container in containers
        for mapping in container.port_mappings
        if on_host or mapping.host_port
    )
    memory = sum(each.memory_reservation or each.memory or 0 for each in containers)
    cpu = sum(each.cpu for each in containers)
    return Demand(
        Resources(cpu if definition.cpu is None else definition.cpu, definition.memory or memory, ports),
        wanted,
        any(each.essential and each.health_check is not None for each in containers),
        definition.placement_constraints,
    )


@dataclass(slots=True)
class Room:
    """What is left on each instance; `take` as tasks are placed."""

    instances: Mapping[str, Instance]
    cpu: dict[str, int] = field(default_factory=dict)
    memory: dict[str, int] = field(default_factory=dict)
    ports: dict[str, set[tuple[int, str]]] = field(default_factory=dict)

    @classmethod
    def of(cls, instances: Iterable[Instance], tasks: Iterable[Task]) -> "Room":
        """The room on these instances beside all tasks that have not stopped, whoever's they are."""
        room = cls({instance.instance_id: instance for instance in instances})
        for identifier, instance in room.instances.items():
            room.cpu[identifier] = instance.registered.cpu
            room.memory[identifier] = instance.registered.memory
            room.ports[identifier] = {*instance.registered.ports, *instance.taken_ports}
        for task in tasks:
            placed = task.instance_id is not None and task.instance_id in room.instances
            if placed and task.status is not TaskStatus.STOPPED:
                room.take(str(task.instance_id), task.needs)
        return room

    def take(self, instance_id: str, needs: Resources) -> None:
        """Count this as taken; below nothing too, where an instance turned out smaller than it was."""
        self.cpu[instance_id] -= needs.cpu
        self.memory[instance_id] -= needs.memory
        self.ports[instance_id] |= needs.ports

    def remaining(self, instance_id: str) -> Resources:
        """What is left: cpu, memory, and the ports that are taken."""
        return Resources(self.cpu[instance_id], self.memory[instance_id], frozenset(self.ports[instance_id]))

    def lacks(self, instance: Instance, demand: Demand) -> str | None:
        """What this instance lacks for one more such task; None: nothing."""
        identifier, needs = instance.instance_id, demand.needs
        if instance.status is not InstanceStatus.ACTIVE:
            return NOT_ACTIVE
        if not instance.connected:
            return AGENT
        if demand.architectures and instance.architecture not in demand.architectures:
            return ARCHITECTURE
        short = (
            (CPU, self.cpu[identifier] < needs.cpu),
            (MEMORY, self.memory[identifier] < needs.memory),
            (DISK, instance.disk_full),
            (PORTS, bool(needs.ports) and not self.ports[identifier].isdisjoint(needs.ports)),
        )
        return next((reason for reason, is_short in short if is_short), None)


class Chooser:
    """Chooses instances for tasks of one demand, one after another, and takes their room.

    Strategies decide in their order and the instance id last, so the same questions have the same answers; `random`
    draws by `seed`. `siblings` counts the group's tasks by instance.
    """

    def __init__(
        self,
        room: Room,
        demand: Demand,
        placement: Placement,
        siblings: Mapping[str, int] | None = None,
        seed: str = "",
    ) -> None:
        self._room = room
        self._demand = demand
        self._placement = replace(placement, constraints=(*placement.constraints, *demand.constraints))
        self._counts = Counter(siblings or {})
        self._reasons: dict[str, str] = {}
        self._strategies = placement.strategies or DEFAULT_STRATEGIES
        self._seed = seed
        self._totals: dict[str, Counter[str]] = {}
        for kind, named in self._strategies:
            if kind == "spread":
                totals = self._totals[named] = Counter()
                for identifier, instance in room.instances.items():
                    totals[attribute(instance, named)] += self._counts[identifier]
        self._heap = [self._entry(instance) for instance in room.instances.values() if self._fits(instance)]
        heapq.heapify(self._heap)

    def next(self) -> Instance | NoRoom:
        """The instance for one more task, or why there is none."""
        while self._heap:
            entry = heapq.heappop(self._heap)
            instance = self._room.instances[entry[-1]]
            current = self._entry(instance)
            if current != entry:  # a neighbour of the same attribute was chosen meanwhile: ranks only fall behind so
                heapq.heappush(self._heap, current)
            elif self._fits(instance):
                self._chosen(instance)
                return instance
        return NoRoom(dict(self._reasons))

    def _chosen(self, instance: Instance) -> None:
        self._room.take(instance.instance_id, self._demand.needs)
        self._counts[instance.instance_id] += 1
        for named, totals in self._totals.items():
            totals[attribute(instance, named)] += 1
        heapq.heappush(self._heap, self._entry(instance))

    def _fits(self, instance: Instance) -> bool:
        lacking = self._room.lacks(instance, self._demand)
        if lacking is None and not satisfies(instance, self._placement, self._counts):
            lacking = CONSTRAINT
        if lacking is not None:
            self._reasons[instance.instance_id] = lacking
        return lacking is None

    def _entry(self, instance: Instance) -> tuple[tuple[int, ...], str]:
        ranks = tuple([self._rank(instance, kind, named) for kind, named in self._strategies])
        return ranks, instance.instance_id

    def _rank(self, instance: Instance, kind: str, named: str) -> int:
        identifier = instance.instance_id
        if kind == "spread":
            return self._totals[named][attribute(instance, named)]
        if kind == "binpack":
            return (self._room.cpu if named.lower() == "cpu" else self._room.memory)[identifier]
        text = f"{self._seed}/{self._counts[identifier]}/{identifier}"
        return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=6).digest())


def processors(instance: Instance, demand: Demand) -> str:
    """Why an instance of another processor does not do, as it is told."""
    wanted = " or ".join(sorted(demand.architectures))
    return f"its processor is {instance.architecture or 'not known'}, the task is for {wanted}"


_LACKING = {
    CPU: "has insufficient CPU units available",
    MEMORY: "has insufficient memory available",
    PORTS: "is already using a port required by your task",
    DISK: "has insufficient disk space available",
    AGENT: "doesn't have the agent connected",
    NOT_ACTIVE: "is not in ACTIVE state",
}


def unable_to_place(why: NoRoom, instances: Mapping[str, Instance], demand: Demand) -> str:
    """AWS's words for a task that found no place."""
    told = "was unable to place a task because no container instance met all of its requirements."
    if why.closest is None:
        return f"{told} Reason: No Container Instances were found in your cluster."
    identifier, reason = why.closest
    lacking = _LACKING.get(reason, "is missing an attribute required by your task")
    if reason == ARCHITECTURE:
        lacking = f"{lacking}: {processors(instances[identifier], demand)}"
    return f"{told} The closest matching (container-instance {identifier}) {lacking}."


def satisfies(instance: Instance, placement: Placement, counts: Mapping[str, int]) -> bool:
    """Whether one more task there keeps the constraints."""
    for kind, expression in placement.constraints:
        if kind == "distinctInstance" and counts.get(instance.instance_id, 0):
            return False
        if kind == "memberOf" and not _is_member(instance, expression):
            return False
    return True


def _is_member(instance: Instance, expression: str) -> bool:
    match = MEMBER_OF.match(expression)
    if match is None:
        return False
    equal = attribute(instance, match["name"]) == match["value"].strip("'\"")
    return equal is (match["operator"] == "==")


def attribute(instance: Instance, name: str) -> str:
    """What an instance says of itself, by ECS's names: `instanceId`, `attribute:NAME`, or a name alone."""
    name = name.removeprefix("attribute:")
    known = {
        "instanceId": instance.instance_id,
        "host": instance.instance_id,
        "ec2InstanceId": instance.instance_id,
        "agentConnected": str(instance.connected).lower(),
        "ecs.cpu-architecture": {"amd64": "x86_64"}.get(instance.architecture, instance.architecture),
        "ecs.os-type": "linux",
    }
    return instance.attributes.get(name, known.get(name, ""))
