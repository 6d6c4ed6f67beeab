"""/healthz and /readyz: is the process alive, and should it get traffic?"""

import asyncio

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from estiva import __version__
from estiva.errors import RegistryError
from registry.reserve import Reserve
from storage.blobs import BlobStore
from storage.metadata import repositories
from storage.metadata.database import Database

PATIENCE = 5.0
"""Seconds that storage may take to say that it works."""


class Health:
    """Answers the two questions; `draining` is set as soon as the process is asked to end."""

    def __init__(self, database: Database, blob_store: BlobStore, reserve: Reserve) -> None:
        self.draining = False
        self._reserve = reserve
        self._database = database
        self._blob_store = blob_store
        self._probe: asyncio.Future[None] | None = None

    async def alive(self, request: Request) -> Response:
        """200 while the process can answer at all."""
        return JSONResponse({"status": "ok"})

    async def ready(self, request: Request) -> Response:
        """200 while database and storage work and the process is not about to end; 503 with the reason otherwise.

        Also 200 while storage is below its reserve, for pulls go on: `pushes` then says that they are refused.
        """
        reason = await self._reason()
        if reason is None:
            pushes = "refused" if self._reserve.is_short() else "taken"
            return JSONResponse({"status": "ready", "pushes": pushes, "version": __version__})
        return JSONResponse({"status": "unavailable", "reason": reason}, status_code=503, headers={"Retry-After": "2"})

    async def _reason(self) -> str | None:
        if self.draining:
            return "draining"
        try:
            await self._database.read(repositories.page("", 1))
        except RegistryError:
            return "database"
        return None if await self._storage_works() else "storage"

    async def _storage_works(self) -> bool:
        """A probe that hangs is not joined by a second one: threads are few."""
        if self._probe is None or self._probe.done():
            self._probe = asyncio.ensure_future(asyncio.to_thread(self._blob_store.probe))
        done, _ = await asyncio.wait([self._probe], timeout=PATIENCE)
        return bool(done) and self._probe.exception() is None
