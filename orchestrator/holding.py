"""Deployments that have to wait, and what their services do meanwhile. Pure."""

from dataclasses import replace

from orchestrator.planning import STEADY, Event, Plan, Scene, plan
from orchestrator.state import Deployment, RolloutState, ServiceStatus
from orchestrator.waiting import Follow, Hold, Waiting

HELD_BACK = "ECS deployment {deployment} is held back: "


def plan_held(scene: Scene, waiting: Waiting, now: float) -> Plan:
    """What to do for a service, one of whose deployments may be held back by a gate.

    Then the one before goes on as if nothing had been asked: its tasks are replaced when they end, and their number
    follows the desired count. Where there is none before, nothing is launched.
    """
    primary = next((each for each in scene.deployments if each.primary), None)
    if primary is None or scene.service.status is not ServiceStatus.ACTIVE:
        return plan(scene, now)
    if is_followed(primary):
        return Plan([Follow(primary.deployment_id)])
    if not waiting.is_seen(primary.deployment_id):
        return _meanwhile(scene, primary, now)
    begins = HELD_BACK.format(deployment=primary.deployment_id)
    why = waiting.held.get(primary.deployment_id)
    if why is None:
        made = plan(scene, now)
        if primary.reason.startswith(begins):
            let_go = f"ECS deployment {primary.deployment_id} in progress."
            told = Event(f"(deployment {primary.deployment_id}) has passed its gates.")
            made.actions[:0] = [Hold(primary.deployment_id, let_go), told]
        return made
    made = _meanwhile(scene, primary, now)
    if primary.reason != begins + why:
        told = Event(f"(deployment {primary.deployment_id}) is held back: {why}")
        made.actions[:0] = [Hold(primary.deployment_id, begins + why), told]
    return made


def is_followed(primary: Deployment) -> bool:
    """Whether what was pushed during the deployment is deployed now: it has ended, or begins to fail."""
    ends = primary.rollout is not RolloutState.IN_PROGRESS or primary.consecutive_failures > 0
    return bool(primary.following) and ends


def _meanwhile(scene: Scene, held: Deployment, now: float) -> Plan:
    before = _before(scene)
    return Plan() if before is None else plan(_without(scene, held, before), now)


def _before(scene: Scene) -> Deployment | None:
    """The deployment that runs meanwhile: the newest that is not itself one that never began."""
    begun = {task.deployment for task in scene.tasks}
    others = [each for each in scene.deployments if not each.primary]
    others.sort(key=lambda each: each.created_at, reverse=True)
    for each in others:
        if each.rollout is RolloutState.COMPLETED or each.deployment_id in begun:
            return each
    return None


def _without(scene: Scene, held: Deployment, before: Deployment) -> Scene:
    """The scene as if the deployment that is held back were not there.

    There is no way back meanwhile, for one would take the place of what is held back; nor is anything said of a steady
    state, which the service, with a deployment to go, is not in.
    """
    gone = (held.deployment_id, before.deployment_id)
    others = [each for each in scene.deployments if each.deployment_id not in gone]
    primary = replace(before, primary=True, following={})
    return replace(scene, deployments=[primary, *others], previous=None, last_event=STEADY, prepared=True)
