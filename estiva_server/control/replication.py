"""/api/v1/replication-endpoints: where the registries are that images are replicated to."""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from estiva.errors import NotFound
from estiva_server.control.operating import Operating, body_of, required
from estiva_server.control.routing import route
from registry.replicating.replicating import Replicating
from storage.metadata.replications import Destination, EndpointRecord

OWN = ""


class ReplicationAPI:
    """Operations on endpoints: AWS's API names a registry by region and id only, and here that has to be somewhere."""

    def __init__(self, operating: Operating, replicating: Replicating) -> None:
        self._operating = operating
        self._replicating = replicating

    def routes(self) -> list[Route]:
        """Every path of this API."""
        base = "/api/v1/replication-endpoints"
        return [route(base, GET=self.all), route(base + "/{region}/{registry}", PUT=self.put, DELETE=self.delete)]

    async def all(self, request: Request) -> Response:
        """Every endpoint."""
        await self._operating.admit(request, "estiva:ListReplicationEndpoints", "endpoint/*")
        shown = [
            {
                "region": one.destination.region,
                "registry": one.destination.registry_id,
                "url": one.url,
                "credential": one.credential,
            }
            for one in await self._replicating.endpoints(OWN)
        ]
        return JSONResponse({"endpoints": shown})

    async def put(self, request: Request) -> Response:
        """Say where a registry is, and what to sign in with: 204."""
        destination = _destination(request)
        place = f"endpoint/{destination.region}/{destination.registry_id}"
        actor = await self._operating.admit(request, "estiva:PutReplicationEndpoint", place)
        body = await body_of(request, url=str, credential=(str, type(None)))
        endpoint = EndpointRecord(destination, required(body, "url"), body.get("credential"))
        await self._replicating.put_endpoint(actor, OWN, endpoint)
        return Response(status_code=204)

    async def delete(self, request: Request) -> Response:
        """Forget where a registry is: 204."""
        destination = _destination(request)
        place = f"endpoint/{destination.region}/{destination.registry_id}"
        actor = await self._operating.admit(request, "estiva:DeleteReplicationEndpoint", place)
        if not await self._replicating.delete_endpoint(actor, OWN, destination):
            raise NotFound("no such endpoint")
        return Response(status_code=204)


def _destination(request: Request) -> Destination:
    return Destination(request.path_params["region"], request.path_params["registry"])
