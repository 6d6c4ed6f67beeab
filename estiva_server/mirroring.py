"""Puts the parts of the pull-through cache together, for one process."""

from concurrent.futures import Executor
from pathlib import Path

from estiva_server.config import Settings
from estiva_server.metrics import Tallies
from estiva_server.security import Security
from registry import Registry
from registry.creating import Creating
from registry.mirroring.cache import PullThroughCache
from registry.mirroring.credentials import UpstreamCredentials
from registry.mirroring.fetching import Fetching
from registry.mirroring.flights import Flights
from registry.mirroring.importing import import_worker
from registry.mirroring.keeping import Completed, Keeping
from registry.mirroring.rules import PullThroughRules
from registry.mirroring.upstreams import Upstreams
from registry.pulling import Pulling
from registry.queueing import Worker
from registry.replicating.copying import Copying
from registry.repositories import scans_on_push
from registry.scanning.scanners import CommandScanner, HttpScanner, Scanner
from registry.scanning.scanning import Scanning
from registry.uploading import Uploading
from registry.upstream.network import Network
from storage.metadata.database import Database


def build_cache(
    settings: Settings,
    database: Database,
    security: Security,
    parts: tuple[Pulling, Uploading, Creating],
    threads: Executor,
    completed: Completed,
    tallies: Tallies,
) -> PullThroughCache:
    """The cache on these parts; nothing is connected to yet."""
    pulling, uploading, creating = parts
    credentials = UpstreamCredentials(database, security.seal)
    return PullThroughCache(
        database=database,
        pulling=pulling,
        uploading=uploading,
        rules=PullThroughRules(database, credentials, plain_http=settings.private_upstreams),
        credentials=credentials,
        upstreams=Upstreams(Network(private=settings.private_upstreams), credentials),
        keeping=Keeping(database, creating, completed),
        fetching=Fetching(uploading, threads, spool(settings.data)),
        flights=Flights(),
        fresh_for=settings.pull_through_fresh,
        count=tallies.pull_through,
    )


def build_scanning(settings: Settings, database: Database, pulling: Pulling, threads: Executor) -> Scanning:
    """Scanning by the scanner that is set, if one is."""
    scanner: Scanner | None = None
    if settings.scanner is not None and settings.scanner.startswith(("http://", "https://")):
        # The operator's own word, as a command would be: it may well be beside us.
        scanner = HttpScanner(Network(private=True), settings.scanner, settings.scan_timeout)
    elif settings.scanner is not None:
        scanner = CommandScanner(settings.scanner, settings.scan_timeout)
    return Scanning(database, pulling, threads, scanner, scans_on_push, spool(settings.data))


def build_workers(database: Database, registry: Registry, threads: Executor, tallies: Tallies) -> list[Worker]:
    """What does the queued work: completing cached images, replicating, scanning."""
    cache = registry.cache
    copying = Copying(
        database=database,
        replicating=registry.replicating,
        pulling=registry.pulling,
        uploading=registry.uploading,
        upstreams=cache.upstreams,
        credentials=cache.credentials,
        threads=threads,
        count=tallies.replicate,
    )
    return [import_worker(database, cache), copying.worker(), registry.scanning.worker()]


def spool(data: Path) -> Path:
    """Where blobs wait while they come in and are read along: nothing there has a name."""
    folder = data / "arriving"
    folder.mkdir(exist_ok=True)
    return folder
