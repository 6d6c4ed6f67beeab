"""/api/v1/repositories: made by name, listed, described, and deleted with everything in them."""

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from auth.access import Caller, refuse
from auth.policy.actions import CREATE_REPOSITORY, DESCRIBE_REPOSITORIES
from estiva.errors import RequestInvalid
from estiva.reference import RepositoryName
from estiva_server.control.operating import Operating, body_of, page_of, required
from estiva_server.control.routing import route
from registry.deleting import Deleting
from registry.permitting import permit_repository
from registry.repositories import Repositories, RepositorySettings
from storage.metadata.mutability import Mode, TagMutability
from storage.metadata.repository_settings import RepositoryRecord

EVERY = RepositoryName("*")
"""All names, as policies say it."""
MOST_FILTERS = 5
LONGEST_FILTER = 128


class RepositoriesAPI:
    """Operations on whole repositories."""

    def __init__(self, operating: Operating, repositories: Repositories, deleting: Deleting) -> None:
        self._operating = operating
        self._repositories = repositories
        self._deleting = deleting

    def routes(self) -> list[Route]:
        """Every path of this API."""
        return [
            route("/api/v1/repositories", GET=self.list, POST=self.create),
            route("/api/v1/repositories/{name:path}", GET=self.describe, DELETE=self.delete),
        ]

    async def list(self, request: Request) -> Response:
        """At most `n` repositories after `last`: 200."""
        caller = await self._operating.caller(request)
        await self._permit(caller, DESCRIBE_REPOSITORIES, EVERY)
        last, size = page_of(request)
        page = await self._repositories.page("", last, size)
        return JSONResponse({"repositories": [described(record) for record in page.entries]})

    async def create(self, request: Request) -> Response:
        """A new, empty repository: 201; 409 REPOSITORY_EXISTS."""
        caller = await self._operating.caller(request)
        body = await body_of(request, name=str, tag_mutability=str, mutability_exclusions=list, scan_on_push=bool)
        name = RepositoryName.parse(required(body, "name"))
        await self._permit(caller, CREATE_REPOSITORY, name)
        settings = RepositorySettings(mutability=_mutability(body), scan_on_push=body.get("scan_on_push", False))
        made = await self._repositories.create(caller.actor, name, settings)
        return JSONResponse(described(made), status_code=201)

    async def describe(self, request: Request) -> Response:
        """What a repository is like: 200; 404 NAME_UNKNOWN."""
        caller = await self._operating.caller(request)
        name = RepositoryName.parse(request.path_params["name"])
        await self._permit(caller, DESCRIBE_REPOSITORIES, name)
        found = await self._repositories.find(name)
        return JSONResponse({**described(found), "tags": await self._repositories.tags(name)})

    async def delete(self, request: Request) -> Response:
        """Delete a repository with everything in it: 204; 404 NAME_UNKNOWN."""
        caller = await self._operating.caller(request)
        name = RepositoryName.parse(request.path_params["name"])
        permit = await permit_repository(self._operating.admission.access, caller, name)
        await self._deleting.repository(name, caller.actor, permit=permit)
        return Response(status_code=204)

    async def _permit(self, caller: Caller, action: str, name: RepositoryName) -> None:
        access = self._operating.admission.access
        refuse(caller, await access.decide(caller, action, access.repository_arn(name)))


def described(record: RepositoryRecord) -> dict[str, Any]:
    """The repository as this API describes it."""
    return {
        "name": record.name.text,
        "created_at": record.created_at,
        "tag_mutability": record.mutability.mode.value,
        "mutability_exclusions": list(record.mutability.exclusions),
        "scan_on_push": record.scan_on_push,
    }


def _mutability(body: Mapping[str, Any]) -> TagMutability:
    filters = body.get("mutability_exclusions", [])
    if len(filters) > MOST_FILTERS or not all(
        isinstance(one, str) and 0 < len(one) <= LONGEST_FILTER for one in filters
    ):
        raise RequestInvalid(f"mutability_exclusions is not at most {MOST_FILTERS} filters of tags")
    try:
        mode = Mode(body.get("tag_mutability", Mode.MUTABLE))
    except ValueError:
        raise RequestInvalid(f"tag_mutability is none of {', '.join(Mode)}") from None
    if mode.value.endswith("_WITH_EXCLUSION") != bool(filters):
        raise RequestInvalid("mutability_exclusions go with the modes WITH_EXCLUSION, and with no other")
    return TagMutability(mode, tuple(filters))
