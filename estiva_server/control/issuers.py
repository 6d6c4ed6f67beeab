"""/api/v1/issuers: whose signed word on a job counts as the job's password."""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from auth.issuers import TrustedIssuers
from estiva_server.control.operating import Operating, read_text
from estiva_server.control.routing import route


class IssuersAPI:
    """Operations on trusted issuers. A trust's document is the whole body."""

    def __init__(self, operating: Operating, issuers: TrustedIssuers) -> None:
        self._operating = operating
        self._issuers = issuers

    def routes(self) -> list[Route]:
        """Every path of this API."""
        base = "/api/v1/issuers"
        return [route(base, GET=self.all), route(base + "/{name}", PUT=self.put, DELETE=self.delete)]

    async def all(self, request: Request) -> Response:
        """Every trust, by name."""
        await self._operating.admit(request, "iam:ListOpenIDConnectProviders", "issuer/*")
        return JSONResponse({"issuers": await self._issuers.documents()})

    async def put(self, request: Request) -> Response:
        """Trust an issuer, in place of what that name stood for: 204."""
        name = request.path_params["name"]
        actor = await self._operating.admit(request, "iam:CreateOpenIDConnectProvider", f"issuer/{name}")
        await self._issuers.put(actor, name, await read_text(request))
        return Response(status_code=204)

    async def delete(self, request: Request) -> Response:
        """Trust the issuer no more: 204."""
        name = request.path_params["name"]
        actor = await self._operating.admit(request, "iam:DeleteOpenIDConnectProvider", f"issuer/{name}")
        await self._issuers.delete(actor, name)
        return Response(status_code=204)
