"""Completing cached images: whoever pulled one had some of its layers, and the next may find the upstream gone."""

from estiva.digest import Digest
from estiva.errors import RegistryError
from estiva.reference import RepositoryName
from registry.mirroring.cache import PullThroughCache
from registry.mirroring.keeping import IMPORT
from registry.queueing import Hopeless, NotNow, Worker
from registry.upstream.errors import UpstreamError, UpstreamUnavailable
from storage.metadata.database import Database
from storage.metadata.queue import QueuedWork


def import_worker(database: Database, cache: PullThroughCache) -> Worker:
    """Does the queued work that `Keeping.manifest` asks for."""

    async def complete(work: QueuedWork) -> None:
        name = RepositoryName.of_key(work.document["repository"])
        try:
            await cache.complete(name, Digest.parse(work.document["digest"]))
        except UpstreamUnavailable as error:
            raise NotNow(str(error), error.retry_after or 0.0) from None
        except UpstreamError as error:
            raise Hopeless(str(error)) from None
        except RegistryError as error:
            raise NotNow(error.text) from None

    async def give_up(work: QueuedWork, text: str) -> None:
        """What is absent stays absent, and is fetched when somebody asks for it."""

    return Worker(database, IMPORT, complete, give_up)
