"""Where requests for a service go: the tasks that are healthy and stay, as a reverse proxy wants to be told. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from orchestrator.facts import ClusterFacts, ReadDefinition
from orchestrator.placing import Demand, demand_of
from orchestrator.planning import is_healthy
from orchestrator.state import Task

Targets = Mapping[tuple[str, str, int], Sequence[str]]
"""(service, container, its port) → `ADDRESS:PORT` of each healthy task."""


def targets(facts: ClusterFacts, read: ReadDefinition, address: Mapping[str, str], now: float) -> Targets:
    """The published ports of all healthy tasks of services; `address` has that of each instance's host."""
    found: dict[tuple[str, str, int], list[str]] = {}
    demands = {revision: demand_of(read(record)) for revision, record in facts.definitions.items()}
    for task in sorted(facts.tasks.values(), key=lambda task: task.task_id):
        service = facts.services.get(task.service or "")
        if service is None:
            continue
        checked = demands.get((task.family, task.revision), Demand()).checked
        if not is_healthy(task, service.service.settings.steady_seconds, checked, now):
            continue
        host = address.get(task.instance_id or "", "127.0.0.1")
        for container, port, host_port in _bindings(task):
            where = found.setdefault((service.service.name, container, port), [])
            if f"{host}:{host_port}" not in where:
                where.append(f"{host}:{host_port}")
    return found


def addresses(facts: ClusterFacts) -> Mapping[str, str]:
    """Where each instance's ports are: the host of a remote endpoint, loopback for a socket."""
    return {
        identifier: instance.endpoint.partition("://")[2].rpartition(":")[0]
        for identifier, instance in facts.instances.items()
        if not instance.endpoint.startswith("unix://")
    }


def traefik(found: Targets) -> dict[str, Any]:
    """What Traefik's HTTP provider reads: a load balancer for each port, which routers of the operator's name."""
    services = {
        f"{service}-{container}-{port}": {"loadBalancer": {"servers": [{"url": f"http://{one}"} for one in where]}}
        for (service, container, port), where in sorted(found.items())
    }
    return {"http": {"services": services}} if services else {}


def caddy(found: Targets, service: str) -> list[dict[str, str]]:
    """What Caddy's admin API takes as `upstreams` of a reverse proxy."""
    return [{"dial": one} for (name, _, _), where in sorted(found.items()) if name == service for one in where]


def _bindings(task: Task) -> Iterable[tuple[str, int, int]]:
    for container in task.containers:
        for binding in container.bindings:
            if binding.protocol == "tcp":  # reverse proxies of HTTP speak nothing else
                yield container.name, binding.container_port, binding.host_port
