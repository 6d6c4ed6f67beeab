"""/api/v1/users and /api/v1/robots, with their access keys and policies."""

import time
from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from auth.access import Caller
from auth.identities import Identities
from auth.policies import Policies
from auth.principals import Kind
from auth.robots import robot_policy
from estiva.errors import Denied, RequestInvalid
from estiva_server.control.operating import Operating, actor_of, body_of, page_of, required
from estiva_server.control.routing import route
from storage.metadata.audit import Actor
from storage.metadata.principals import AccessKeyRecord, PrincipalRecord

NUMBER = (int, float)
LONGEST_LIFE = 100 * 365 * 86_400


class PrincipalsAPI:
    """Operations on users and robots; `kind` says on which."""

    def __init__(self, kind: Kind, operating: Operating, identities: Identities, policies: Policies) -> None:
        self._kind = kind.value
        self._operating = operating
        self._identities = identities
        self._policies = policies

    def routes(self) -> list[Route]:
        """Every path of this API."""
        base = f"/api/v1/{self._kind}s"
        create = self.create_user if self._kind == Kind.USER.value else self.create_robot
        change = self.change_user if self._kind == Kind.USER.value else self.change_robot
        return [
            route(base, GET=self.page, POST=create),
            route(base + "/{name}", GET=self.get, PATCH=change, DELETE=self.delete),
            route(base + "/{name}/keys", POST=self.create_key),
            route(base + "/{name}/keys/{key}", PATCH=self.change_key, DELETE=self.delete_key),
            route(base + "/{name}/policies/{policy}", PUT=self.attach, DELETE=self.detach),
        ]

    async def page(self, request: Request) -> Response:
        """A page of the list, by name."""
        await self._operating.admit(request, "iam:ListUsers", f"{self._kind}/*")
        last, size = page_of(request)
        found = await self._identities.page(self._kind, last, size)
        return JSONResponse({f"{self._kind}s": [_shown(record) for record in found]})

    async def get(self, request: Request) -> Response:
        """One of them, with its keys and policies."""
        name = request.path_params["name"]
        await self._operating.admit(request, "iam:GetUser", f"{self._kind}/{name}")
        record = await self._identities.find(self._kind, name)
        keys = await self._identities.keys(self._kind, name)
        policies = await self._policies.attached_to("principal", name)
        return JSONResponse(_shown(record) | {"keys": [_shown_key(key) for key in keys], "policies": policies})

    async def create_user(self, request: Request) -> Response:
        """A new user, with a password or the bcrypt hash of one: 201."""
        caller = await self._operating.caller(request)
        body = await body_of(request, name=str, password=str, password_hash=str)
        name = required(body, "name")
        actor = await self._operating.permit(caller, "iam:CreateUser", f"user/{name}")
        if "password_hash" not in body:
            made = await self._identities.create_user(actor, name, required(body, "password"))
        elif "password" not in body:
            made = await self._identities.import_user(actor, name, body["password_hash"])
        else:
            raise RequestInvalid("password and password_hash exclude each other")
        return JSONResponse(_shown(made), 201)

    async def create_robot(self, request: Request) -> Response:
        """A new robot, perhaps only for some repositories: 201 with its secret, which is shown this once."""
        caller = await self._operating.caller(request)
        body = await body_of(request, name=str, expires_in=NUMBER, repositories=list, actions=list)
        name, life = required(body, "name"), body.get("expires_in")
        actor = await self._operating.permit(caller, "iam:CreateUser", f"robot/{name}")
        document = None
        if "repositories" in body or "actions" in body:
            actor = await self._operating.permit(caller, "iam:PutUserPolicy", f"robot/{name}")
            document = robot_policy(required(body, "repositories"), required(body, "actions"))
        if life is not None and not 0 < life <= LONGEST_LIFE:
            raise RequestInvalid(f"expires_in is a number of seconds, at most {LONGEST_LIFE}")
        until = None if life is None else time.time() + life
        record, secret = await self._identities.create_robot(actor, name, until, document)
        return JSONResponse(_shown(record) | {"secret": secret}, 201)

    async def change_user(self, request: Request) -> Response:
        """Another password (everybody may change their own), or shut the user out or let it in again: 204."""
        caller = await self._operating.caller(request)
        body = await body_of(request, password=str, disabled=bool)
        name = request.path_params["name"]
        if "password" in body:
            self._require_no_own_key(caller, name)
        if self._is(caller, name) and set(body) == {"password"}:
            actor = actor_of(caller)
        else:
            actor = await self._operating.permit(caller, "iam:UpdateUser", f"user/{name}")
        if "password" in body:
            await self._identities.set_password(actor, name, body["password"])
        await self._set_disabled(actor, name, body)
        return Response(status_code=204)

    async def change_robot(self, request: Request) -> Response:
        """Another secret, or shut the robot out or let it in again: 200 with the secret, or 204."""
        caller = await self._operating.caller(request)
        body = await body_of(request, renew_secret=bool, disabled=bool)
        name = request.path_params["name"]
        if body.get("renew_secret"):
            self._require_no_own_key(caller, name)
        actor = await self._operating.permit(caller, "iam:UpdateUser", f"robot/{name}")
        await self._set_disabled(actor, name, body)
        if not body.get("renew_secret"):
            return Response(status_code=204)
        return JSONResponse({"name": name, "secret": await self._identities.renew_secret(actor, name)})

    async def delete(self, request: Request) -> Response:
        """Remove it with everything it has: 204."""
        name = request.path_params["name"]
        actor = await self._operating.admit(request, "iam:DeleteUser", f"{self._kind}/{name}")
        if actor.name == f"{self._kind}/{name}":
            raise RequestInvalid("nobody can delete themselves")
        await self._identities.delete(actor, self._kind, name)
        return Response(status_code=204)

    async def create_key(self, request: Request) -> Response:
        """A new access key: 201 with its secret, which is shown this once."""
        name = request.path_params["name"]
        actor = await self._operating.admit(request, "iam:CreateAccessKey", f"{self._kind}/{name}")
        key = await self._identities.create_key(actor, self._kind, name)
        return JSONResponse({"id": key.id, "secret": key.secret}, 201)

    async def change_key(self, request: Request) -> Response:
        """Make an access key useless at once, or useful again: 204."""
        caller = await self._operating.caller(request)
        disabled = required(await body_of(request, disabled=bool), "disabled")
        name, key = request.path_params["name"], request.path_params["key"]
        actor = await self._operating.permit(caller, "iam:UpdateAccessKey", f"{self._kind}/{name}")
        await self._identities.set_key_disabled(actor, self._kind, name, key, disabled)
        return Response(status_code=204)

    async def delete_key(self, request: Request) -> Response:
        """Remove an access key: 204."""
        name = request.path_params["name"]
        actor = await self._operating.admit(request, "iam:DeleteAccessKey", f"{self._kind}/{name}")
        await self._identities.delete_key(actor, self._kind, name, request.path_params["key"])
        return Response(status_code=204)

    async def attach(self, request: Request) -> Response:
        """Give it a policy: 204."""
        return await self._set_attached(request, "iam:AttachUserPolicy", attached=True)

    async def detach(self, request: Request) -> Response:
        """Take a policy away: 204."""
        return await self._set_attached(request, "iam:DetachUserPolicy", attached=False)

    async def _set_attached(self, request: Request, action: str, *, attached: bool) -> Response:
        name = request.path_params["name"]
        actor = await self._operating.admit(request, action, f"{self._kind}/{name}")
        await self._identities.find(self._kind, name)
        await self._policies.set_attached(actor, "principal", name, request.path_params["policy"], attached=attached)
        return Response(status_code=204)

    async def _set_disabled(self, actor: Actor, name: str, body: Mapping[str, Any]) -> None:
        if "disabled" not in body:
            return
        if actor.name == f"{self._kind}/{name}":
            raise RequestInvalid("nobody can shut themselves out")
        await self._identities.set_disabled(actor, self._kind, name, disabled=body["disabled"])

    def _is(self, caller: Caller, name: str) -> bool:
        """Whether that is the caller's own name."""
        return caller.principal.kind.value == self._kind and caller.principal.name == name

    def _require_no_own_key(self, caller: Caller, name: str) -> None:
        """Denied where an access key is about to change the secret of its owner: whoever took it would keep all."""
        if self._is(caller, name) and caller.principal.key is not None:
            raise Denied(detail="an access key cannot change its owner's secret")


def _shown(record: PrincipalRecord) -> dict[str, Any]:
    return {
        "name": record.name,
        "kind": record.kind,
        "disabled": record.disabled,
        "created_at": record.created_at,
        "expires_at": record.expires_at,
    }


def _shown_key(key: AccessKeyRecord) -> dict[str, Any]:
    return {"id": key.id, "disabled": key.disabled, "created_at": key.created_at}
