"""Which container of a task may start now, and in which order they stop: `dependsOn` and `restartPolicy`. Pure."""

from collections.abc import Mapping, Sequence

from orchestrator.definition import Condition, ContainerDefinition, Dependency, TaskDefinition
from orchestrator.engines import ContainerStatus, ContainerView, HealthStatus, Refused


def levels(containers: Sequence[ContainerDefinition]) -> dict[str, int]:
    """Container → how many come before it, counted in steps: 0 starts first. Stopping goes from the highest down.

    What a container links to and whose volumes it takes come before it too. Definitions have no cycles; one that has
    gives ValueError.
    """
    found: dict[str, int] = {}
    waiting = {container.name: _predecessors(container) for container in containers}
    while waiting:
        ready = [name for name, others in waiting.items() if not others & waiting.keys()]
        if not ready:
            raise ValueError(f"containers depend on each other: {', '.join(waiting)}")
        for name in ready:
            found[name] = max((found[other] + 1 for other in waiting.pop(name) if other in found), default=0)
    return found


def _predecessors(container: ContainerDefinition) -> set[str]:
    links = (link.partition(":")[0] for link in container.links)
    volumes = (volumes.source_container for volumes in container.volumes_from)
    return {*(dependency.container for dependency in container.depends_on), *links, *volumes}


def is_restarted(container: ContainerDefinition, view: ContainerView) -> bool:
    """Whether a container that stopped by itself is started again (the ECS agent's restart_tracker.go)."""
    policy = container.restart_policy
    if policy is None or view.status is not ContainerStatus.STOPPED:
        return False
    if view.exit_code is None or view.started_at is None or view.finished_at is None:
        return False
    ran = view.finished_at - view.started_at
    return view.exit_code not in policy.ignored_exit_codes and ran >= policy.attempt_period


def startable(definition: TaskDefinition, views: Mapping[str, ContainerView], now: float) -> list[str]:
    """Containers to start now, in the order of the definition.

    Refused (`TaskDependencyError`) where one waits for what can no longer come true.
    """
    return [one.name for one in definition.containers if _may_start(definition, one, views, now)]


def _may_start(
    definition: TaskDefinition, container: ContainerDefinition, views: Mapping[str, ContainerView], now: float
) -> bool:
    view = views[container.name]
    if view.status is ContainerStatus.STOPPED:
        return is_restarted(container, view)
    if view.status is not ContainerStatus.CREATED:
        return False
    # All of them are looked at: one that failed is told even while another one is still waited for.
    return all([_is_so(one, container, definition, views, now) for one in container.depends_on])


def _is_so(
    dependency: Dependency,
    container: ContainerDefinition,
    definition: TaskDefinition,
    views: Mapping[str, ContainerView],
    now: float,
) -> bool:
    other, view = definition.container(dependency.container), views[dependency.container]
    if _holds(dependency.condition, view):
        return True
    over = "" if is_restarted(other, view) else _failure(dependency, view)
    if not over and _is_late(other, view, now):
        over = f"was not {dependency.condition} {other.start_timeout} seconds after its start"
    if over:
        message = f"container {container.name} waits for {other.name} to be {dependency.condition}, which {over}"
        raise Refused("TaskDependencyError", message, lasting=True, container=container.name)
    return False


def _holds(condition: Condition, view: ContainerView) -> bool:
    match condition:
        case Condition.START:
            return view.started_at is not None
        case Condition.COMPLETE:
            return view.status is ContainerStatus.STOPPED and view.started_at is not None
        case Condition.SUCCESS:
            return view.status is ContainerStatus.STOPPED and view.exit_code == 0 and view.started_at is not None
        case Condition.HEALTHY:
            return view.status is ContainerStatus.RUNNING and view.health is HealthStatus.HEALTHY


def _failure(dependency: Dependency, view: ContainerView) -> str:
    if view.status is not ContainerStatus.STOPPED:
        return ""
    if view.started_at is None:
        return "did not start"
    return f"exited with {view.exit_code}"


def _is_late(container: ContainerDefinition, view: ContainerView, now: float) -> bool:
    if container.start_timeout is None or view.started_at is None:
        return False
    return now - view.started_at > container.start_timeout
