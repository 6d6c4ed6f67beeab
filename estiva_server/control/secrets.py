"""/api/v1/secrets: what tasks get as environment variables, and nobody else gets to see."""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from estiva.errors import NotFound, RequestInvalid
from estiva_server.control.operating import Operating, body_of, page_of, required
from estiva_server.control.routing import route
from orchestrator.secrets import SecretInvalid, Secrets

OWN = ""
"""The server's own account: what these paths are about."""


class SecretsAPI:
    """Operations on secrets of tasks; none of them tells a secret."""

    def __init__(self, operating: Operating, secrets: Secrets) -> None:
        self._operating = operating
        self._secrets = secrets

    def routes(self) -> list[Route]:
        """Every path of this API."""
        return [
            route("/api/v1/secrets", GET=self.page),
            route("/api/v1/secrets/{name:path}", PUT=self.put, DELETE=self.delete),
        ]

    async def page(self, request: Request) -> Response:
        """A page of the secrets, by name, without their values."""
        await self._operating.admit(request, "estiva:ListSecrets", "secret/*")
        found = await self._secrets.page(OWN, *page_of(request))
        shown = [{"name": one.name, "created_at": one.created_at, "updated_at": one.updated_at} for one in found]
        return JSONResponse({"secrets": shown})

    async def put(self, request: Request) -> Response:
        """Enter a secret, or replace it: 204. Tasks that run keep what they have."""
        name = request.path_params["name"]
        actor = await self._operating.admit(request, "estiva:PutSecret", f"secret/{name}")
        body = await body_of(request, value=str)
        try:
            await self._secrets.put(actor, OWN, name, required(body, "value"))
        except SecretInvalid as error:
            raise RequestInvalid(str(error)) from None
        return Response(status_code=204)

    async def delete(self, request: Request) -> Response:
        """Remove a secret: 204. Tasks that want it fail to start from then on."""
        name = request.path_params["name"]
        actor = await self._operating.admit(request, "estiva:DeleteSecret", f"secret/{name}")
        if not await self._secrets.delete(actor, OWN, name):
            raise NotFound("no such secret", detail={"name": name[:255]})
        return Response(status_code=204)
