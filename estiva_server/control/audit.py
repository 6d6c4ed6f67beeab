"""/api/v1/audit and /api/v1/signing-keys."""

from dataclasses import asdict

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from auth.keys import SigningKeys
from estiva.errors import RequestInvalid
from estiva_server.control.operating import Operating, page_of
from estiva_server.control.routing import route
from storage.metadata import audit
from storage.metadata.database import Database

NEWEST = 1 << 62


class AuditAPI:
    """What was done, the latest first; and a new key to sign tokens with."""

    def __init__(self, operating: Operating, database: Database, keys: SigningKeys) -> None:
        self._operating = operating
        self._database = database
        self._keys = keys

    def routes(self) -> list[Route]:
        """Every path of this API."""
        return [route("/api/v1/audit", GET=self.page), route("/api/v1/signing-keys", POST=self.rotate)]

    async def page(self, request: Request) -> Response:
        """A page of the audit trail: those before record `last`, about one `target` if it is named."""
        await self._operating.admit(request, "iam:ListAuditRecords", "audit/*")
        last, size = page_of(request)
        if last and not (last.isascii() and last.isdigit() and len(last) < 19):
            raise RequestInvalid("last is not a record's number")
        before = int(last) if last else NEWEST
        records = await self._database.read(audit.page(before, size, request.query_params.get("target")))
        return JSONResponse({"records": [asdict(record) for record in records]})

    async def rotate(self, request: Request) -> Response:
        """Sign tokens with a new key from now on; what the old one signed stays good: 204."""
        actor = await self._operating.admit(request, "iam:RotateSigningKey", "signing-key/*")
        await self._keys.rotate(actor)
        return Response(status_code=204)
