"""Puts the orchestrator together, for one process."""

import logging
import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from aws.ecs_parts import EcsParts, ImageFound
from estiva.errors import ManifestInvalid
from estiva.reference import Tag
from estiva_server.config import Settings, split_listen
from estiva_server.security import Security
from estiva_server.small_blobs import SmallBlobs
from orchestrator.acting import LocalEngine, Orchestrator
from orchestrator.engines import Driver
from orchestrator.engines.docker import DockerEngine
from orchestrator.engines.host_access import HostAccess
from orchestrator.figures import Figures
from orchestrator.gating import GateParts, Gating
from orchestrator.launching import Launching, Meanings
from orchestrator.looking import Looking
from orchestrator.loop import Pace, World
from orchestrator.overrides import overridden, read
from orchestrator.own import OwnRegistry, hosts_of
from orchestrator.platforms import Platforms
from orchestrator.preparing import Preparing
from orchestrator.publishing import CaddyUpstreams
from orchestrator.pushes import DeployOnPush
from orchestrator.scheduling import Scheduling
from orchestrator.secrets import Secrets
from orchestrator.signatures import Keys, load_keys
from orchestrator.truth import Truth
from registry.pulling import Pulling
from registry.pushed import Consequence
from storage.metadata import tags
from storage.metadata.clusters import ClusterKey
from storage.metadata.database import Database

logger = logging.getLogger("estiva.orchestrator")

DOCKER = "unix:///var/run/docker.sock"
NO_ENGINE = "none"


@dataclass(frozen=True, slots=True)
class Orchestration:
    """What this process has to do with tasks: `orchestrator` is None where it never acts for a cluster."""

    own: OwnRegistry
    local: LocalEngine | None
    orchestrator: Orchestrator | None
    looking: Looking
    gates: GateParts
    platforms: Platforms
    has_engine: bool = True
    """Whether tasks are run at all, by this process or another one."""


def build_orchestration(
    settings: Settings, database: Database, security: Security, figures: Figures, pulling: Pulling
) -> Orchestration:
    """The parts, which count in `figures`; engines are only asked once a cluster is there. KeyInvalid."""
    own, looking = own_registry(settings), Looking(database, connecting(settings))
    blobs = SmallBlobs(pulling)
    platforms = Platforms(database, own, blobs.read)
    gates = GateParts(own, read, blobs.read, signature_keys(settings), settings.scanner is not None)
    if not settings.orchestrator or settings.engine == NO_ENGINE:
        return Orchestration(own, None, None, looking, gates, platforms, has_engine=settings.engine != NO_ENGINE)
    local = local_engine(settings)
    proxy = CaddyUpstreams(settings.caddy_admin, read) if settings.caddy_admin else None
    world = replace(
        build_world(settings, database, security, own),
        scheduling=Scheduling(read, own.images, platforms.known),
        figures=figures,
        proxy=proxy,
        platforms=platforms,
        gating=Gating(database, gates),
    )
    orchestrator = Orchestrator(world, local)
    return Orchestration(own, local, orchestrator, looking, gates, platforms)


def signature_keys(settings: Settings) -> Keys:
    """The public keys that gates know by name. KeyInvalid."""
    return {} if settings.signature_keys is None else load_keys(settings.signature_keys)


def deploy_on_push(settings: Settings) -> Consequence:
    """What a push sets off in its own transaction."""
    deploying = DeployOnPush(own_registry(settings), read)
    return lambda pushed: deploying.after_push((pushed.name, pushed.tags, pushed.digest))


def build_world(settings: Settings, database: Database, security: Security, own: OwnRegistry) -> World:
    """What the loops work with."""
    sealed = Secrets(database, security.seal)

    def arn(key: ClusterKey, task_id: str) -> str:
        account = key.account or settings.account
        return f"arn:aws:ecs:{settings.region}:{account}:task/{key.cluster}/{task_id}"

    meanings = Meanings(read, overridden, arn, sealed.value)
    tokens = None if settings.open else security.pull_tokens
    launching = Launching(database, own, meanings, tokens, Truth(database))
    pace = Pace(lost_after=settings.task_lost_after, drain=settings.task_drain)
    holder = secrets.token_hex(16)
    scheduling = Scheduling(read, own.images)
    return World(database, scheduling, launching, connecting(settings), holder, pace, settings.engine_reserve)


def own_registry(settings: Settings) -> OwnRegistry:
    """The names of this registry, and the one that engines pull from."""
    host, port = split_listen(settings.listen)
    loopback = f"127.0.0.1:{port}" if host in {"0.0.0.0", "::"} else settings.listen  # noqa: S104 - compared
    address = settings.engine_registry or loopback
    public = (settings.public_url or "").partition("//")[2]
    return OwnRegistry(hosts_of(settings.listen, address, public), address, settings.account)


class OwnImages:
    """Resolves images for ECS's operations (`aws/ecs_parts.py`, Images)."""

    def __init__(self, database: Database, own: OwnRegistry) -> None:
        self._database = database
        self._own = own

    async def find(self, image: str) -> ImageFound:
        """Ours: its repository and the digest that it has now. Of another registry: the digest that it names."""
        named = self._own.parse(image)
        if named.name is None or named.digest is not None:
            return ImageFound(named.name, named.digest)
        try:
            tag = Tag.parse(named.tag or "latest")
        except ManifestInvalid:
            return ImageFound(named.name)
        return ImageFound(named.name, await self._database.read(tags.target(named.name, tag)))


def ecs_parts(orchestration: Orchestration, database: Database) -> EcsParts:
    """What ECS's operations have at hand: they write facts, and wake the loop."""
    images, refuse_tags = OwnImages(database, orchestration.own), orchestration.gates.refusal
    parts = EcsParts(
        database,
        images,
        refuse_tags=refuse_tags,
        has_engine=orchestration.has_engine,
        architectures=orchestration.platforms.architectures,
    )
    if orchestration.orchestrator is None:
        return parts
    prepare = Preparing(database, orchestration.local).prepare
    return replace(parts, wake=orchestration.orchestrator.wake, prepare=prepare)


def engine_endpoint(settings: Settings) -> str:
    """Where the engine is that the settings name; empty: nowhere."""
    named = {"docker": DOCKER, NO_ENGINE: ""}
    return named.get(settings.engine, settings.engine)


def local_engine(settings: Settings) -> LocalEngine | None:
    """The engine of clusters that have no other; None, and a word in the log, where its socket is not there."""
    endpoint = engine_endpoint(settings)
    if not settings.orchestrator or not endpoint:
        return None
    path = endpoint.removeprefix("unix://")
    if path != endpoint and not Path(path).is_socket():
        logger.info("no container engine at %s: clusters begin without a container instance", endpoint)
        return None
    return LocalEngine(endpoint)


def connecting(settings: Settings) -> Callable[[str], Driver]:
    """What gives a driver for the engine at an endpoint; ValueError where the endpoint is none."""
    allowed = HostAccess(privileged=settings.task_privileged, paths=tuple(settings.task_host_paths))
    return lambda endpoint: DockerEngine(endpoint, allowed=allowed, publish_on=settings.task_publish_on or "")
