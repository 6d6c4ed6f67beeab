"""What the process that acts for clusters counts: services as they are, launches and ends, and what tasks use."""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from orchestrator.engines import Usage
from orchestrator.facts import ClusterFacts
from orchestrator.planning import is_healthy
from orchestrator.state import DesiredStatus, SchedulingStrategy, StopCode, Task, TaskStatus
from storage.metadata.clusters import ClusterKey

MOST_TASKS = 500
"""Running tasks of a cluster whose use is measured."""
MOST_SERIES = 2000
"""Counters that are kept of each kind; what is new beyond them counts as of the service OTHER."""
OTHER = "other"
STATES = ("desired", "running", "pending", "healthy")
_NAME = re.compile(r"[A-Z][A-Za-z]{2,60}(?=:|$)")
_OF_OWN_ACCORD = (StopCode.TASK_FAILED_TO_START, StopCode.ESSENTIAL_CONTAINER_EXITED, StopCode.INFRASTRUCTURE_HEALTH)

Labels = tuple[str, ...]


@dataclass
class Figures:
    """Of one process since it began. Tasks that no service keeps have the empty service."""

    services: dict[str, dict[Labels, int]] = field(default_factory=dict)
    """Cluster → (service, state) → tasks."""
    use: dict[str, dict[Labels, tuple[float, int]]] = field(default_factory=dict)
    """Cluster → (service, task, container) → processor seconds, bytes of memory."""
    launches: Counter[Labels] = field(default_factory=Counter)
    """(cluster, service)."""
    restarts: Counter[Labels] = field(default_factory=Counter)
    """(cluster, service)."""
    failures: Counter[Labels] = field(default_factory=Counter)
    """(cluster, service, stop code, name of the reason)."""

    def look(self, cluster: str, facts: ClusterFacts, steady: Mapping[str, bool], now: float) -> None:
        """The cluster's services as they are; `steady`: deployment → whether a health check says what is healthy."""
        found: dict[Labels, int] = {}
        for name, service in facts.services.items():
            tasks = [task for task in facts.tasks.values() if task.service == name]
            runs = [task for task in tasks if task.status is TaskStatus.RUNNING]
            seconds = service.service.settings.steady_seconds
            well = [task for task in runs if is_healthy(task, seconds, steady.get(task.deployment or "", False), now)]
            begins = [t for t in tasks if t.status < TaskStatus.RUNNING and t.desired is DesiredStatus.RUNNING]
            daemon = service.service.strategy is SchedulingStrategy.DAEMON
            primary = next((each for each in service.current if each.primary), None)
            desired = primary.desired if daemon and primary is not None else service.service.desired
            counts = (desired, len(runs), len(begins), len(well))
            found |= {(name, state): count for state, count in zip(STATES, counts, strict=True)}
        self.services[cluster] = found

    def forget(self, cluster: str) -> None:
        """Another process acts for the cluster now."""
        self.services.pop(cluster, None)
        self.use.pop(cluster, None)

    def launched(self, cluster: str, task: Task) -> None:
        """It runs."""
        _count(self.launches, (cluster, task.service or ""))

    def restarted(self, cluster: str, task: Task) -> None:
        """A container of it was started again."""
        _count(self.restarts, (cluster, task.service or ""))

    def ended(self, cluster: str, task: Task) -> None:
        """It is not wanted any more; counted where nobody had asked for that."""
        if task.stop_code in _OF_OWN_ACCORD:
            named = _NAME.match(task.stopped_reason or "")
            _count(self.failures, (cluster, task.service or "", task.stop_code, named[0] if named else ""))

    def used(self, cluster: str, use: Mapping[str, tuple[Task, list[Usage]]]) -> None:
        """What the running tasks of a cluster use."""
        self.use[cluster] = {
            (task.service or "", identifier, one.container): (one.cpu_seconds, one.memory)
            for identifier, (task, found) in use.items()
            for one in found
        }


def label_of(key: ClusterKey) -> str:
    """A cluster's name; with its account before a slash where that is not the registry's own."""
    return f"{key.account}/{key.cluster}" if key.account else key.cluster


def _count(counter: Counter[Labels], labels: Labels) -> None:
    if labels not in counter and len(counter) >= MOST_SERIES:
        labels = ("", OTHER, *labels[2:])
    counter[labels] += 1
