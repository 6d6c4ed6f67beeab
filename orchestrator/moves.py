"""The moves of a task: from what its engine reports, or refused, to what it is now. Pure; `lastStatus` only grows."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from estiva.digest import Digest
from orchestrator.definition import TaskDefinition
from orchestrator.engines import ContainerStatus, ContainerView, HealthStatus, LogLine, Refused, TaskView
from orchestrator.engines.steps import is_restarted
from orchestrator.state import DesiredStatus, StopCode, Task, TaskStatus

ESSENTIAL = "Essential container in task exited"
LOST = "Container instance was lost: its engine has not answered for {seconds} seconds"
VANISHED = "ContainerVanishedError: No container matching saved ID found"
_LINE = 300
_WORST = (HealthStatus.UNHEALTHY, HealthStatus.UNKNOWN, HealthStatus.HEALTHY)


def reached(task: Task, status: TaskStatus) -> Task:
    """The task at this status, or where it already is if that is further."""
    return task if task.status >= status else replace(task, status=status)


def pulling(task: Task, now: float) -> Task:
    """Its images are being pulled."""
    return reached(replace(task, pull_started_at=task.pull_started_at or now), TaskStatus.PENDING)


def pulled(task: Task, now: float) -> Task:
    """Its images are there."""
    return reached(replace(task, pull_stopped_at=task.pull_stopped_at or now), TaskStatus.ACTIVATING)


def pinned(task: Task, images: Mapping[str, Digest]) -> Task:
    """These are the digests that it runs."""
    return replace(task, images={**task.images, **images})


def seen(task: Task, view: TaskView, definition: TaskDefinition, now: float) -> Task:
    """The task as its engine has it. One whose essential container has ended is no longer wanted.

    A container that will be started again counts as running still; one that is not created yet is PENDING.
    """
    views = {one.name: one for one in view.containers}
    containers = tuple(views.get(one.name, _unseen(task, one.name)) for one in definition.containers)
    task = replace(task, containers=containers, health=health_of(views, definition), connected=True)
    if task.desired is DesiredStatus.STOPPED or task.status is TaskStatus.STOPPED:
        return task
    ended = next(
        (
            views[one.name]
            for one in definition.containers
            if one.essential
            and one.name in views
            and _has_ended(views[one.name])
            and not is_restarted(one, views[one.name])
        ),
        None,
    )
    if ended is not None:
        code = StopCode.ESSENTIAL_CONTAINER_EXITED if ended.started_at else StopCode.TASK_FAILED_TO_START
        return unwanted(task, code, ESSENTIAL if ended.started_at else ended.reason or ESSENTIAL, now)
    if all(one.started_at is not None for one in containers):
        started = max((one.started_at or now for one in containers), default=now)
        return reached(replace(task, started_at=task.started_at or started), TaskStatus.RUNNING)
    return task


def health_of(views: Mapping[str, ContainerView], definition: TaskDefinition) -> HealthStatus:
    """The worst of its essential containers that have a health check; UNKNOWN where none has."""
    found = [
        views[one.name].health if one.name in views else HealthStatus.UNKNOWN
        for one in definition.containers
        if one.essential and one.health_check is not None
    ]
    return min(found, key=_WORST.index, default=HealthStatus.UNKNOWN)


def unwanted(task: Task, code: StopCode, reason: str, now: float) -> Task:
    """The task is to be stopped; the first reason to stop it stays."""
    if task.desired is DesiredStatus.STOPPED:
        return task
    return replace(
        task,
        desired=DesiredStatus.STOPPED,
        stop_code=task.stop_code or code,
        stopped_reason=task.stopped_reason or reason,
        stopping_at=now,
    )


def refused(task: Task, why: Refused, now: float) -> Task:
    """Its engine would not run it: it failed to start, and the container it was about says why."""
    containers = tuple(
        replace(one, reason=one.reason or str(why)) if one.name == why.container else one for one in task.containers
    )
    return unwanted(replace(task, containers=containers), StopCode.TASK_FAILED_TO_START, str(why), now)


def vanished(task: Task, now: float) -> Task:
    """Its engine has nothing of it any more, although it ran."""
    gone = tuple(
        one if one.status is ContainerStatus.STOPPED else replace(one, status=ContainerStatus.STOPPED, reason=VANISHED)
        for one in task.containers
    )
    return unwanted(replace(task, containers=gone), StopCode.ESSENTIAL_CONTAINER_EXITED, VANISHED, now)


def lost(task: Task, seconds: float, now: float) -> Task:
    """Its engine is gone for good, as far as anybody knows: another task takes its place."""
    reason = LOST.format(seconds=round(seconds))
    task = unwanted(replace(task, connected=False), StopCode.INFRASTRUCTURE_HEALTH, reason, now)
    return ended(task, now)


def ended(task: Task, now: float) -> Task:
    """Nothing of it runs."""
    containers = tuple(replace(one, status=ContainerStatus.STOPPED) for one in task.containers)
    return replace(task, status=TaskStatus.STOPPED, stopped_at=task.stopped_at or now, containers=containers)


def summary(task: Task, lines: Mapping[str, Sequence[LogLine]] | None = None) -> str:
    """Why it stopped, in one sentence for events: the reason, the exit codes, and the last line of each container."""
    codes = [f"{one.name} exited with {one.exit_code}" for one in task.containers if one.exit_code is not None]
    reasons = [one.reason for one in task.containers if one.reason and one.reason != task.stopped_reason]
    last = [f"last line of {name}: {each[-1].text[:_LINE]!r}" for name, each in (lines or {}).items() if each]
    return "; ".join([task.stopped_reason or "stopped", *codes, *reasons, *last])


def _has_ended(view: ContainerView) -> bool:
    return view.status is ContainerStatus.STOPPED


def _unseen(task: Task, name: str) -> ContainerView:
    before = next((one for one in task.containers if one.name == name), None)
    return before or ContainerView(name, ContainerStatus.PENDING)
