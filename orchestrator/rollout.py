"""How launches that fail count: throttling, and the circuit breaker of a deployment. Pure."""

from dataclasses import replace

from orchestrator.state import Deployment, DeploymentSettings, RolloutState, StopCode, Task

FIRST_DELAY = 1.0
LONGEST_DELAY = 300.0
"""Seconds between two launches of what keeps failing (ECS: up to 27 minutes)."""
THROTTLED_AFTER = 5
"""Launches that failed in a row, from which on the service's events say so."""
INCONSISTENT = "is unable to consistently start tasks successfully."


def threshold(settings: DeploymentSettings, desired: int) -> int:
    """Failed launches in a row at which the circuit breaker opens."""
    if settings.threshold is not None:
        return settings.threshold
    return min(200, max(3, -(-desired // 2)))


def breaker_open(deployment: Deployment, settings: DeploymentSettings, desired: int) -> bool:
    """Whether the rollout has failed too often to go on."""
    return (
        settings.circuit_breaker
        and deployment.rollout is RolloutState.IN_PROGRESS
        and deployment.consecutive_failures >= threshold(settings, desired)
    )


def is_failed_launch(task: Task, steady_seconds: float, *, was_healthy: bool = False) -> bool:
    """Whether a task that ended counts as a launch that failed: not where it was asked to stop, or ran steadily."""
    if task.stop_code is StopCode.TASK_FAILED_TO_START:
        return True
    if task.stop_code is not StopCode.ESSENTIAL_CONTAINER_EXITED or was_healthy:
        return False
    ended = task.stopping_at or task.stopped_at
    return task.started_at is None or ended is None or ended - task.started_at < steady_seconds


def failed(deployment: Deployment, now: float) -> Deployment:
    """The deployment after one more launch that failed: each round of them waits twice as long."""
    in_a_row = deployment.consecutive_failures + 1
    rounds = (in_a_row - 1) // max(1, deployment.desired)
    delay = min(LONGEST_DELAY, FIRST_DELAY * 2 ** min(rounds, 20))
    return replace(
        deployment,
        failed_tasks=deployment.failed_tasks + 1,
        consecutive_failures=in_a_row,
        next_launch_at=max(deployment.next_launch_at, now + delay),
    )


def recovered(deployment: Deployment) -> Deployment:
    """The deployment after a task of it became healthy that was launched after the last failure."""
    return replace(deployment, consecutive_failures=0, next_launch_at=0.0)


def completed(deployment: Deployment) -> str:
    """AWS's words for a rollout that ended well."""
    return f"(deployment {deployment.deployment_id}) deployment completed."
