"""Puts the parts together: the only place that knows them all."""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from aws.front import Front
from aws.links import Links
from estiva.errors import NotFound, RegistryError, RequestInvalid, Unauthorized, Unsupported
from estiva_server.aws_front import build_aws_front
from estiva_server.blob_stores import Blobs, build_blobs
from estiva_server.certificates import LOOK_EVERY, Certificates
from estiva_server.config import Settings
from estiva_server.control.ecs import EcsAPI
from estiva_server.control.operating import Operating
from estiva_server.control.routes import control_routes
from estiva_server.control.tasks import TasksAPI
from estiva_server.health import Health
from estiva_server.jobs import (
    AUDIT_EVERY,
    LOOK_FOR_LIFECYCLES_EVERY,
    PURGE_EVERY,
    QUEUE_EVERY,
    SCRUB_EVERY,
    AuditRetention,
    Collection,
    Lifecycle,
    Scrub,
    UploadPurge,
    repeat,
)
from estiva_server.logs import AccessLog
from estiva_server.metrics import PUBLISH_EVERY, Metrics, Tallies
from estiva_server.mirroring import build_cache, build_scanning, build_workers
from estiva_server.observation import Observation, ObservedApp
from estiva_server.orchestration import Orchestration, build_orchestration, deploy_on_push, ecs_parts
from estiva_server.security import Security, build_security
from estiva_server.storage_metrics import MOST_QUOTAS
from estiva_server.telling import DELIVER_EVERY, Telling, build_telling
from estiva_server.telling import LOOK_EVERY as COUNT_EVENTS_EVERY
from orchestrator.acting import FORGET_EVERY
from orchestrator.pins import Pins
from registry import Registry
from registry.api.faults import response_to
from registry.api.routes import RegistryAPI
from registry.api.token import TokenAPI
from registry.collecting import Collecting, Retention
from registry.creating import Creating
from registry.deleting import Deleting
from registry.images import Images
from registry.known import KnownRepositories
from registry.lifecycle.policies import LifecyclePolicies
from registry.lifecycle.running import LifecycleRuns
from registry.listing import Listing
from registry.mirroring.keeping import nothing_else
from registry.pulling import Pulling
from registry.pulls import Pulls
from registry.pushing import Pushing
from registry.queueing import Worker
from registry.quotas import Quotas
from registry.replicating.replicating import Replicating
from registry.repositories import Repositories, apply_template
from registry.scrubbing import Scrubbing
from registry.uploading import Uploading
from registry.verifying import Proven
from storage.metadata.database import Database
from storage.metadata.opening import open_database
from storage.metadata.replications import Destination
from storage.threads import Threads

KEYS_EVERY = 3600.0
PULLS_EVERY = 10.0
QUOTAS_EVERY = 10.0
REFRESH_TOKENS_EVERY = 3600.0


@dataclass(frozen=True, slots=True)
class Parts:
    """What one process is made of."""

    settings: Settings
    database: Database
    blobs: Blobs
    threads: Threads
    upload_threads: Threads
    registry: Registry
    security: Security
    aws: Front
    telling: Telling
    links: Links
    health: Health
    tallies: Tallies
    metrics: Metrics
    access_log: AccessLog | None
    observation: Observation
    certificates: Certificates | None
    registry_api: RegistryAPI
    workers: list[Worker]
    orchestration: Orchestration

    async def close(self) -> None:
        """End what `build` began, when what was accepted is done."""
        await self.registry.cache.close()
        await self.orchestration.looking.close()
        await self.database.close()
        self.telling.close()
        self.security.close()
        self.threads.shutdown()
        self.upload_threads.shutdown()
        self.blobs.close()
        if self.access_log is not None:
            self.access_log.flush()


def build(settings: Settings, shared_metrics: Path | None = None) -> Parts:
    """The parts of one process on a data directory that has been prepared (see `serve.prepare`)."""
    database = open_database(settings.database, settings.database_connections)
    blobs = build_blobs(settings)
    threads = Threads(settings.storage_threads, "storage")
    security = build_security(settings, database)
    tallies = Tallies()
    registry = build_registry(settings, database, blobs, threads, security, tallies)
    links = Links(security.seal, registry.pulling)
    orchestration = build_orchestration(settings, database, security, tallies.tasks, registry.pulling)
    access_log = AccessLog(sys.stdout.fileno()) if settings.access_log else None
    return Parts(
        settings=settings,
        database=database,
        blobs=blobs,
        threads=threads,
        upload_threads=Threads(settings.upload_threads, "upload"),
        registry=registry,
        security=security,
        telling=build_telling(settings, database, security, tallies),
        links=links,
        aws=build_aws_front(settings, security, registry, links, threads, ecs_parts(orchestration, database)),
        health=Health(database, blobs.store, blobs.reserve),
        tallies=tallies,
        metrics=Metrics(tallies, shared_metrics),
        access_log=access_log,
        observation=Observation(tallies, access_log),
        certificates=build_certificates(settings),
        registry_api=RegistryAPI(registry, security.admission),
        workers=build_workers(database, registry, threads, tallies),
        orchestration=orchestration,
    )


def build_registry(
    settings: Settings,
    database: Database,
    blobs: Blobs,
    threads: Threads,
    security: Security,
    tallies: Tallies,
) -> Registry:
    """The domain on these parts."""
    proven, known = Proven(), KnownRepositories(database)
    pulling = Pulling(database, blobs.store, settings.gc_grace, blobs.elsewhere, proven)
    uploading = Uploading(database, blobs.store, threads, blobs.reserve.require, proven, known)
    creating = Creating(database, settings.create_on_push, [apply_template])
    replicating = Replicating(database, Destination(settings.region, settings.account))
    scanning = build_scanning(settings, database, pulling, threads)
    users = Pins()
    return Registry(
        pulling=pulling,
        pushing=Pushing(
            database,
            threads,
            [replicating.after_push, scanning.after_push, deploy_on_push(settings)],
            blobs.reserve.require,
        ),
        uploading=uploading,
        deleting=Deleting(database, uploading, users),
        listing=Listing(database, known),
        collecting=Collecting(database, blobs.store, threads, Retention(settings.gc_grace, settings.gc_trash)),
        scrubbing=Scrubbing(database, blobs.store, threads, settings.gc_trash),
        repositories=Repositories(database),
        images=Images(database),
        pulls=Pulls(database),
        quotas=Quotas(database),
        lifecycle_policies=LifecyclePolicies(database, threads, settings.lifecycle_every),
        lifecycle_runs=LifecycleRuns(database, threads, users, settings.lifecycle_every),
        creating=creating,
        cache=build_cache(settings, database, security, (pulling, uploading, creating), threads, nothing_else, tallies),
        replicating=replicating,
        scanning=scanning,
    )


def build_certificates(settings: Settings) -> Certificates | None:
    """The server's certificate, where it has one. CertificateError."""
    if settings.tls_certificate is None or settings.tls_key is None:
        return None
    return Certificates(settings.tls_certificate, settings.tls_key)


def create_app(parts: Parts) -> ASGIApp:
    """The whole server as an ASGI application; its lifespan ends what `build` began."""
    rest = Starlette(
        routes=routes_beside_registry(parts),
        lifespan=lambda app: _lifespan(parts),
        exception_handlers={RegistryError: _refuse, HTTPException: _refuse, Exception: _refuse},
    )
    # A redirect to the path without its last slash would lead to whatever host the request names.
    rest.router.redirect_slashes = False
    return ObservedApp(_Doors(parts.registry_api, parts.aws, rest), parts.observation)


def routes_beside_registry(parts: Parts) -> list[Route]:
    """Every path that is not under /v2/."""
    return [
        Route("/healthz", parts.health.alive),
        Route("/readyz", parts.health.ready),
        Route("/metrics", _metrics_page(parts.metrics)),
        *parts.links.routes(),
        *_token_api(parts.security).routes(),
        *control_routes(parts.security, parts.database, parts.registry, parts.telling.webhooks),
        *_tasks_api(parts).routes(),
        *EcsAPI(Operating(parts.security.admission, parts.security.account), parts.aws).routes(),
    ]


class _Doors:
    """The registry API for everything under /v2/, the AWS front for `POST /`, Starlette for the rest."""

    def __init__(self, registry_api: ASGIApp, aws: Front, rest: ASGIApp) -> None:
        self._registry_api = registry_api
        self._aws = aws
        self._rest = rest

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_registry = scope["type"] == "http" and (scope["path"].startswith("/v2/") or scope["path"] == "/v2")
        door = self._registry_api if is_registry else self._aws if self._aws.takes(scope) else self._rest
        await door(scope, receive, send)


def _tasks_api(parts: Parts) -> TasksAPI:
    security = parts.security
    operating = Operating(security.admission, security.account)
    return TasksAPI(operating, parts.orchestration.looking, parts.settings.region, parts.database)


def _token_api(security: Security) -> TokenAPI:
    admission = security.admission
    return TokenAPI(security.token_service, security.gate, security.credentials, admission.origin, admission.limits)


def _metrics_page(metrics: Metrics) -> Callable[[Request], Awaitable[Response]]:
    async def page(request: Request) -> Response:
        return Response(metrics.page(), media_type="text/plain; version=0.0.4")

    return page


async def _refuse(request: Request, error: Exception) -> Response:
    if isinstance(error, Unauthorized):
        error.headers.setdefault("WWW-Authenticate", 'Basic realm="estiva"')
    if isinstance(error, HTTPException):
        kinds = {404: NotFound(), 405: Unsupported(headers=error.headers)}
        error = kinds.get(error.status_code, RequestInvalid(error.detail))
    return response_to(error)


def _scrub(parts: Parts) -> Scrub:
    settings = parts.settings
    return Scrub(parts.registry.scrubbing, settings.scrub_every, settings.scrub_rate, parts.tallies.storage)


async def _look_at_quotas(parts: Parts) -> None:
    parts.tallies.storage.quotas_are(await parts.registry.quotas.fullest(MOST_QUOTAS))


@contextlib.asynccontextmanager
async def _lifespan(parts: Parts) -> AsyncIterator[None]:
    async def publish() -> None:
        parts.tallies.storage.room = parts.blobs.reserve.figures()
        parts.metrics.publish()

    async def write_pulls() -> None:
        await parts.registry.pulls.write()

    collection = Collection(parts.registry.collecting, parts.tallies.storage)
    purge = UploadPurge(parts.registry.uploading, parts.settings.upload_expiry)
    await parts.security.keys.load()
    jobs = [
        asyncio.create_task(repeat(PURGE_EVERY, purge)),
        asyncio.create_task(repeat(parts.settings.gc_every, collection)),
        asyncio.create_task(repeat(SCRUB_EVERY, _scrub(parts))),
        asyncio.create_task(repeat(AUDIT_EVERY, AuditRetention(parts.database, parts.settings.audit_retention))),
        asyncio.create_task(repeat(LOOK_FOR_LIFECYCLES_EVERY, Lifecycle(parts.registry.lifecycle_runs))),
        asyncio.create_task(repeat(DELIVER_EVERY, parts.telling.deliver)),
        asyncio.create_task(repeat(COUNT_EVENTS_EVERY, parts.telling.delivering.look)),
        asyncio.create_task(repeat(PUBLISH_EVERY, publish)),
        asyncio.create_task(repeat(PULLS_EVERY, write_pulls)),
        asyncio.create_task(repeat(QUOTAS_EVERY, partial(_look_at_quotas, parts))),
        asyncio.create_task(repeat(KEYS_EVERY, parts.security.keys.load)),
        asyncio.create_task(repeat(REFRESH_TOKENS_EVERY, parts.security.token_service.forget_expired)),
    ]
    jobs += [asyncio.create_task(repeat(QUEUE_EVERY, worker)) for worker in parts.workers]
    orchestrator = parts.orchestration.orchestrator
    if orchestrator is not None:
        jobs.append(asyncio.create_task(orchestrator.run()))
        jobs.append(asyncio.create_task(repeat(FORGET_EVERY, orchestrator.forget)))
    if parts.certificates is not None:
        jobs.append(asyncio.create_task(repeat(LOOK_EVERY, parts.certificates.renew)))
    try:
        yield
    finally:
        for job in jobs:
            job.cancel()
        await asyncio.gather(*jobs, return_exceptions=True)
        await parts.close()
