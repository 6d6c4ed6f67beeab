"""/api/v1/repositories/<name>: what the OCI API has no words for."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from estiva.reference import RepositoryName
from registry import Registry
from registry.api.access import Admission
from registry.permitting import permit_repository


class RepositoriesAPI:
    """Operations on whole repositories."""

    def __init__(self, registry: Registry, admission: Admission) -> None:
        self._registry = registry
        self._admission = admission

    def routes(self) -> list[Route]:
        """Every path of this API."""
        return [Route("/api/v1/repositories/{name:path}", self.delete, methods=["DELETE"])]

    async def delete(self, request: Request) -> Response:
        """Delete a repository with everything in it: 204, or 404 NAME_UNKNOWN."""
        caller = await self._admission.operator(request.scope)
        name = RepositoryName.parse(request.path_params["name"])
        permit = await permit_repository(self._admission.access, caller, name)
        await self._registry.deleting.repository(name, caller.actor, permit=permit)
        return Response(status_code=204)
