"""/api/v1/groups, with their members and policies."""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from auth.identities import Identities
from auth.policies import Policies
from estiva_server.control.operating import Operating, body_of, page_of, required
from estiva_server.control.routing import route


class GroupsAPI:
    """Operations on groups."""

    def __init__(self, operating: Operating, identities: Identities, policies: Policies) -> None:
        self._operating = operating
        self._identities = identities
        self._policies = policies

    def routes(self) -> list[Route]:
        """Every path of this API."""
        base = "/api/v1/groups"
        return [
            route(base, GET=self.page, POST=self.create),
            route(base + "/{name}", GET=self.get, DELETE=self.delete),
            route(base + "/{name}/members/{member}", PUT=self.add_member, DELETE=self.remove_member),
            route(base + "/{name}/policies/{policy}", PUT=self.attach, DELETE=self.detach),
        ]

    async def page(self, request: Request) -> Response:
        """A page of the list, by name."""
        await self._operating.admit(request, "iam:ListGroups", "group/*")
        return JSONResponse({"groups": await self._identities.group_page(*page_of(request))})

    async def create(self, request: Request) -> Response:
        """A new, empty group: 201."""
        caller = await self._operating.caller(request)
        name = required(await body_of(request, name=str), "name")
        actor = await self._operating.permit(caller, "iam:CreateGroup", f"group/{name}")
        await self._identities.create_group(actor, name)
        return JSONResponse({"name": name, "members": [], "policies": []}, 201)

    async def get(self, request: Request) -> Response:
        """The group with its members and policies."""
        name = request.path_params["name"]
        await self._operating.admit(request, "iam:GetGroup", f"group/{name}")
        members, policies = await self._identities.group(name)
        return JSONResponse({"name": name, "members": members, "policies": policies})

    async def delete(self, request: Request) -> Response:
        """Remove the group; its members stay: 204."""
        name = request.path_params["name"]
        actor = await self._operating.admit(request, "iam:DeleteGroup", f"group/{name}")
        await self._identities.delete_group(actor, name)
        return Response(status_code=204)

    async def add_member(self, request: Request) -> Response:
        """Make a user or robot a member: 204."""
        return await self._set_member(request, "iam:AddUserToGroup", member=True)

    async def remove_member(self, request: Request) -> Response:
        """End a membership: 204."""
        return await self._set_member(request, "iam:RemoveUserFromGroup", member=False)

    async def attach(self, request: Request) -> Response:
        """Give the group a policy: 204."""
        return await self._set_attached(request, "iam:AttachGroupPolicy", attached=True)

    async def detach(self, request: Request) -> Response:
        """Take a policy away: 204."""
        return await self._set_attached(request, "iam:DetachGroupPolicy", attached=False)

    async def _set_member(self, request: Request, action: str, *, member: bool) -> Response:
        name = request.path_params["name"]
        actor = await self._operating.admit(request, action, f"group/{name}")
        await self._identities.set_member(actor, name, request.path_params["member"], member=member)
        return Response(status_code=204)

    async def _set_attached(self, request: Request, action: str, *, attached: bool) -> Response:
        name = request.path_params["name"]
        actor = await self._operating.admit(request, action, f"group/{name}")
        await self._policies.set_attached(actor, "group", name, request.path_params["policy"], attached=attached)
        return Response(status_code=204)
