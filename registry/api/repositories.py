"""/api/v1/repositories/<name>: what the OCI API has no words for."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from auth.access import ANONYMOUS, Access, Action, permit
from estiva.reference import RepositoryName
from registry import Registry


class RepositoriesAPI:
    """Operations on whole repositories."""

    def __init__(self, registry: Registry, access: Access) -> None:
        self._registry = registry
        self._access = access

    def routes(self) -> list[Route]:
        """Every path of this API."""
        return [Route("/api/v1/repositories/{name:path}", self.delete, methods=["DELETE"])]

    async def delete(self, request: Request) -> Response:
        """Delete a repository with everything in it: 204, or 404 NAME_UNKNOWN."""
        name = RepositoryName.parse(request.path_params["name"])
        permit(self._access, ANONYMOUS, Action.DELETE, name)
        await self._registry.deleting.repository(name)
        return Response(status_code=204)
