"""/api/v1/policies, and the policy of a repository: /api/v1/repository-policies/<name>."""

import json
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from auth.access import refuse
from auth.policies import Policies
from auth.policy.managed import MANAGED_POLICIES
from estiva.reference import RepositoryName
from estiva_server.control.operating import Operating, actor_of, page_of, read_text
from estiva_server.control.routing import route
from storage.metadata.audit import Actor


class PoliciesAPI:
    """Operations on policies. A policy's document is the whole body, both ways."""

    def __init__(self, operating: Operating, policies: Policies) -> None:
        self._operating = operating
        self._policies = policies

    def routes(self) -> list[Route]:
        """Every path of this API."""
        return [
            route("/api/v1/policies", GET=self.page),
            route("/api/v1/policies/{name}", GET=self.get, PUT=self.put, DELETE=self.delete),
            route(
                "/api/v1/repository-policies/{name:path}",
                GET=self.get_of_repository,
                PUT=self.put_of_repository,
                DELETE=self.delete_of_repository,
            ),
        ]

    async def page(self, request: Request) -> Response:
        """A page of the names, and all those of the ready-made policies."""
        await self._operating.admit(request, "iam:ListPolicies", "policy/*")
        names = await self._policies.page(*page_of(request))
        return JSONResponse({"policies": names, "ready_made": sorted(MANAGED_POLICIES)})

    async def get(self, request: Request) -> Response:
        """The document of a policy."""
        name = request.path_params["name"]
        await self._operating.admit(request, "iam:GetPolicy", f"policy/{name}")
        return JSONResponse(_document(await self._policies.find(name)))

    async def put(self, request: Request) -> Response:
        """Enter a policy, or replace it for all that have it: 204."""
        name = request.path_params["name"]
        actor = await self._operating.admit(request, "iam:CreatePolicy", f"policy/{name}")
        await self._policies.put(actor, name, await read_text(request))
        return Response(status_code=204)

    async def delete(self, request: Request) -> Response:
        """Remove a policy that nothing uses: 204."""
        name = request.path_params["name"]
        actor = await self._operating.admit(request, "iam:DeletePolicy", f"policy/{name}")
        await self._policies.delete(actor, name)
        return Response(status_code=204)

    async def get_of_repository(self, request: Request) -> Response:
        """The repository's policy."""
        name, _ = await self._admit(request, "ecr:GetRepositoryPolicy")
        return JSONResponse(_document(await self._policies.of_repository(name)))

    async def put_of_repository(self, request: Request) -> Response:
        """Set the repository's policy: 204."""
        name, actor = await self._admit(request, "ecr:SetRepositoryPolicy")
        await self._policies.put_for_repository(actor, name, await read_text(request))
        return Response(status_code=204)

    async def delete_of_repository(self, request: Request) -> Response:
        """Remove the repository's policy: 204."""
        name, actor = await self._admit(request, "ecr:DeleteRepositoryPolicy")
        await self._policies.delete_for_repository(actor, name)
        return Response(status_code=204)

    async def _admit(self, request: Request, action: str) -> tuple[RepositoryName, Actor]:
        caller = await self._operating.caller(request)
        name = RepositoryName.parse(request.path_params["name"])
        access = self._operating.admission.access
        refuse(caller, await access.decide(caller, action, access.repository_arn(name)))
        return name, actor_of(caller)


def _document(text: str) -> Any:
    return json.loads(text)
