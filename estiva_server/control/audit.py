"""/api/v1/audit and /api/v1/signing-keys."""

from dataclasses import asdict
from datetime import UTC, datetime

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from auth.keys import SigningKeys
from estiva.errors import RequestInvalid
from estiva_server.control.operating import Operating, page_of
from estiva_server.control.routing import route
from storage.metadata import audit
from storage.metadata.audit import Wanted
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
        """A page of the audit trail: those before record `last`, as far as the query says which."""
        await self._operating.admit(request, "iam:ListAuditRecords", "audit/*")
        last, size = page_of(request)
        if last and not (last.isascii() and last.isdigit() and len(last) < 19):
            raise RequestInvalid("last is not a record's number")
        before = int(last) if last else NEWEST
        records = await self._database.read(audit.query(before, size, _wanted(request)))
        return JSONResponse({"records": [asdict(record) for record in records]})

    async def rotate(self, request: Request) -> Response:
        """Sign tokens with a new key from now on; what the old one signed stays good: 204."""
        actor = await self._operating.admit(request, "iam:RotateSigningKey", "signing-key/*")
        await self._keys.rotate(actor)
        return Response(status_code=204)


def _wanted(request: Request) -> Wanted:
    asked = request.query_params
    return Wanted(
        target=asked.get("target"),
        actor=asked.get("principal"),
        action=asked.get("action"),
        since=_time(request, "since"),
        until=_time(request, "until"),
    )


def _time(request: Request, name: str) -> float | None:
    """A time of the query in seconds since the epoch: given so, or as ISO 8601 has it (UTC where it does not say)."""
    text = request.query_params.get(name)
    if text is None:
        return None
    try:
        if text.replace(".", "", 1).isdigit():
            return float(text)
        at = datetime.fromisoformat(text)
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        raise RequestInvalid(f"{name} is no time, such as 2026-01-31T12:00:00Z") from None
