"""What the orchestrator counts, as workers tell each other and as it is shown to Prometheus."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from orchestrator.figures import Figures

COUNTED = ("launches", "restarts", "failures")


def as_value(figures: Figures) -> dict[str, Any]:
    """Everything, as a JSON value."""
    counted = {name: [[list(labels), count] for labels, count in getattr(figures, name).items()] for name in COUNTED}
    seen = {
        name: [[cluster, [[list(labels), one] for labels, one in found.items()]] for cluster, found in of.items()]
        for name, of in (("services", figures.services), ("use", figures.use))
    }
    return counted | seen


def from_value(value: dict[str, Any]) -> Figures:
    """What `as_value` gave."""
    figures = Figures()
    for name in COUNTED:
        setattr(figures, name, Counter({tuple(labels): count for labels, count in value[name]}))
    figures.services = {cluster: {tuple(labels): one for labels, one in of} for cluster, of in value["services"]}
    figures.use = {cluster: {tuple(labels): (one[0], one[1]) for labels, one in of} for cluster, of in value["use"]}
    return figures


def merge(into: Figures, other: Figures) -> None:
    """Count everything that the other has counted; one process at a time has figures of a cluster."""
    for name in COUNTED:
        getattr(into, name).update(getattr(other, name))
    into.services |= other.services
    into.use |= other.use


def families(figures: Figures) -> Iterator[Metric]:
    """The metric families."""
    service = ["cluster", "service"]
    tasks = GaugeMetricFamily("estiva_service_tasks", "Tasks of services.", labels=[*service, "state"])
    for cluster, found in sorted(figures.services.items()):
        for labels, count in sorted(found.items()):
            tasks.add_metric([cluster, *labels], count)
    yield tasks
    for name, told, more in (
        ("launches", "Tasks that came to run.", []),
        ("restarts", "Containers that their restart policy started again.", []),
        ("failures", "Tasks that ended though nobody had asked for that.", ["code", "reason"]),
    ):
        family = CounterMetricFamily(f"estiva_task_{name}", told, labels=[*service, *more])
        for labels, count in sorted(getattr(figures, name).items()):
            family.add_metric(list(labels), count)
        yield family
    labelled = [*service, "task", "container"]
    seconds = CounterMetricFamily("estiva_task_cpu_seconds", "Processor time of a running container.", labels=labelled)
    memory = GaugeMetricFamily("estiva_task_memory_bytes", "Memory of a running container.", labels=labelled)
    for cluster, of in sorted(figures.use.items()):
        for labels, (used, held) in sorted(of.items()):
            seconds.add_metric([cluster, *labels], used)
            memory.add_metric([cluster, *labels], held)
    yield from (seconds, memory)
