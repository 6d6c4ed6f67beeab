"""/api/v1/quotas: how many bytes repositories and accounts may hold, and how many they do."""

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from estiva.errors import RequestInvalid
from estiva.reference import RepositoryName
from estiva_server.control.operating import Operating, actor_of, body_of, page_of, required
from estiva_server.control.routing import route
from registry.quotas import Quotas, parse_subject
from storage.metadata.quotas import ALL, Quota


class QuotasAPI:
    """Operations on quotas. One is named after its repository; `*` is the whole account's."""

    def __init__(self, operating: Operating, quotas: Quotas) -> None:
        self._operating = operating
        self._quotas = quotas

    def routes(self) -> list[Route]:
        """Every path of this API."""
        return [
            route("/api/v1/quotas", GET=self.list),
            route("/api/v1/quotas/{name:path}", GET=self.get, PUT=self.put, DELETE=self.delete),
        ]

    async def list(self, request: Request) -> Response:
        """The quotas and how much of them is used, page by page."""
        await self._operating.admit(request, "estiva:ListQuotas", "quota/*")
        found = await self._quotas.page(*page_of(request))
        return JSONResponse({"quotas": [self._shown(quota) for quota in found]})

    async def get(self, request: Request) -> Response:
        """One quota."""
        caller = await self._operating.caller(request)
        subject = _subject(request)
        await self._operating.permit(caller, "estiva:GetQuota", f"quota/{subject.key}")
        return JSONResponse(self._shown(await self._quotas.find(subject)))

    async def put(self, request: Request) -> Response:
        """Set a quota, of `limit_bytes`: 200 with what is used."""
        caller = await self._operating.caller(request)
        subject = _subject(request)
        await self._operating.permit(caller, "estiva:PutQuota", f"quota/{subject.key}")
        limit = required(await body_of(request, limit_bytes=int), "limit_bytes")
        if isinstance(limit, bool):
            raise RequestInvalid("limit_bytes is of the wrong type")
        return JSONResponse(self._shown(await self._quotas.put(actor_of(caller), subject, limit)))

    async def delete(self, request: Request) -> Response:
        """Remove a quota: 204."""
        caller = await self._operating.caller(request)
        subject = _subject(request)
        await self._operating.permit(caller, "estiva:DeleteQuota", f"quota/{subject.key}")
        await self._quotas.delete(actor_of(caller), subject)
        return Response(status_code=204)

    def _shown(self, quota: Quota) -> dict[str, Any]:
        return {
            "name": quota.subject.key,
            "account": quota.subject.account or self._operating.account,
            "repository": None if quota.subject.text == ALL else quota.subject.text,
            "limit_bytes": quota.limit,
            "used_bytes": quota.used,
        }


def _subject(request: Request) -> RepositoryName:
    return parse_subject(request.path_params["name"])
