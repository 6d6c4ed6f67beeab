"""Puts the parts of the pull-through cache together, for one process."""

from concurrent.futures import Executor
from pathlib import Path

from estiva_server.config import Settings
from estiva_server.metrics import Tallies
from estiva_server.security import Security
from registry.creating import Creating
from registry.mirroring.cache import PullThroughCache
from registry.mirroring.credentials import UpstreamCredentials
from registry.mirroring.fetching import Fetching
from registry.mirroring.flights import Flights
from registry.mirroring.keeping import Completed, Keeping
from registry.mirroring.rules import PullThroughRules
from registry.mirroring.upstreams import Upstreams
from registry.pulling import Pulling
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


def spool(data: Path) -> Path:
    """Where blobs wait while they come in and are read along: nothing there has a name."""
    folder = data / "arriving"
    folder.mkdir(exist_ok=True)
    return folder
