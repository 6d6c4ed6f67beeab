"""/healthz and /readyz: is the process alive, and should it get traffic?"""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from estiva.errors import RegistryError
from storage.blobs import BlobStore
from storage.metadata import repositories
from storage.metadata.database import Database


class Health:
    """Answers the two questions; `draining` is set as soon as the process is asked to end."""

    def __init__(self, database: Database, blob_store: BlobStore) -> None:
        self.draining = False
        self._database = database
        self._blob_store = blob_store

    async def alive(self, request: Request) -> Response:
        """200 while the process can answer at all."""
        return JSONResponse({"status": "ok"})

    async def ready(self, request: Request) -> Response:
        """200 while database and storage work and the process is not about to end; 503 with the reason otherwise."""
        reason = await self._reason()
        if reason is None:
            return JSONResponse({"status": "ready"})
        return JSONResponse({"status": "unavailable", "reason": reason}, status_code=503, headers={"Retry-After": "2"})

    async def _reason(self) -> str | None:
        if self.draining:
            return "draining"
        try:
            await self._database.read(repositories.page("", 1))
        except RegistryError:
            return "database"
        try:
            self._blob_store.probe()
        except OSError:
            return "storage"
        return None
