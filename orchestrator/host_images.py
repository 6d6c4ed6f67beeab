"""Images on the engines of a cluster: pulled before a deployment needs them, and removed for room when nothing does."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Mapping, Set

from orchestrator.engines import EngineDown, Refused
from orchestrator.facts import ClusterFacts
from orchestrator.fleet import STARTS_AT_ONCE, Engine
from orchestrator.launching import Launching
from orchestrator.state import Deployment, InstanceStatus, RolloutState
from storage.metadata import image_uses
from storage.metadata.database import Database
from storage.metadata.task_definitions import DefinitionRecord

logger = logging.getLogger("estiva.orchestrator")

AHEAD_WITHIN = 300.0
"""Seconds after which a deployment goes on although not every engine has its images."""
ROOM_EVERY = 30.0
"""Seconds between two tries to make room on one engine."""


class HostImages:
    """For one cluster; `changed` is called when a deployment may go on, or room was made."""

    def __init__(
        self, database: Database, launching: Launching, reserve: int, changed: Callable[[], None] = lambda: None
    ) -> None:
        self._database = database
        self._launching = launching
        self._reserve = reserve
        self._changed = changed
        self._pulling: dict[str, asyncio.Task[None]] = {}
        """Deployment → its pulls ahead, also when they have ended."""
        self._making_room: dict[str, asyncio.Task[None]] = {}
        self._made_room_at: dict[str, float] = {}

    def ahead(self, facts: ClusterFacts, engines: Mapping[str, Engine], held: Set[str] = frozenset()) -> Set[str]:
        """Begin to pull what rolling deployments need; those that are not to be moved to before that has ended.

        Nothing is pulled for those that gates hold back.
        """
        waiting = set()
        current = {each.deployment_id for service in facts.services.values() for each in service.current}
        for identifier in self._pulling.keys() - current:
            self._pulling.pop(identifier).cancel()
        for deployment in _rolling(facts):
            if deployment.deployment_id in held:
                continue
            pulls = self._pulling.get(deployment.deployment_id)
            record = facts.definitions.get((deployment.family, deployment.revision))
            if pulls is None and record is not None:
                ready = [engine for engine in engines.values() if _is_used(facts, engine)]
                pulls = asyncio.create_task(self._pull(deployment, record, ready))
                self._pulling[deployment.deployment_id] = pulls
            if pulls is not None and not pulls.done():
                waiting.add(deployment.deployment_id)
        return waiting

    def make_room(self, engines: Mapping[str, Engine]) -> None:
        """Begin to remove images from engines whose disks have too little room."""
        for identifier, engine in engines.items():
            info, running = engine.info, self._making_room.get(identifier)
            is_low = info is not None and info.free_disk is not None and info.free_disk < self._reserve
            recently = time.monotonic() - self._made_room_at.get(identifier, -ROOM_EVERY) < ROOM_EVERY
            if is_low and not recently and not engine.trouble and (running is None or running.done()):
                self._made_room_at[identifier] = time.monotonic()
                self._making_room[identifier] = asyncio.create_task(self._make_room(engine))

    async def let_go(self) -> None:
        """Begin nothing more; what engines are at goes on."""
        begun = [*self._pulling.values(), *self._making_room.values()]
        for one in begun:
            one.cancel()
        await asyncio.gather(*begun, return_exceptions=True)
        self._pulling.clear()
        self._making_room.clear()

    async def _pull(self, deployment: Deployment, record: DefinitionRecord, engines: list[Engine]) -> None:
        """Whatever fails here is told by the launch that meets it."""
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(AHEAD_WITHIN):
                    await asyncio.gather(*(self._pull_on(engine, deployment, record) for engine in engines))
        finally:
            self._changed()

    async def _pull_on(self, engine: Engine, deployment: Deployment, record: DefinitionRecord) -> None:
        for image, authorize in self._launching.ahead(deployment, record):
            try:
                await engine.driver.pull(image, authorize)
            except (EngineDown, Refused) as why:
                logger.info("engine %s does not pull %s ahead: %s", engine.instance_id, image.reference, why)

    async def _make_room(self, engine: Engine) -> None:
        """No launch is between its pull and its container meanwhile; who comes later pulls again."""
        async with contextlib.AsyncExitStack() as held:
            for _ in range(STARTS_AT_ONCE):
                await held.enter_async_context(engine.starts)
            keep = await self._database.read(image_uses.everything())
            try:
                freed = await engine.driver.evict(self._launching.registry, keep, self._reserve)
            except (EngineDown, Refused) as why:
                logger.warning("no room was made on engine %s: %s", engine.instance_id, why)
                return
        logger.info("%d bytes of images that nothing needs were removed from engine %s", freed, engine.instance_id)
        engine.look_again()
        self._changed()


def _rolling(facts: ClusterFacts) -> list[Deployment]:
    """Deployments in progress whose service has tasks of an older one."""
    tasks = {(task.service, task.deployment) for task in facts.tasks.values()}
    return [
        each
        for name, service in facts.services.items()
        for each in service.current
        if each.primary
        and each.rollout is RolloutState.IN_PROGRESS
        and any(of == name and deployment != each.deployment_id for of, deployment in tasks)
    ]


def _is_used(facts: ClusterFacts, engine: Engine) -> bool:
    instance = facts.instances.get(engine.instance_id)
    if instance is None or instance.status is not InstanceStatus.ACTIVE:
        return False
    return instance.connected and not engine.trouble
