"""Every path of the OCI API, its methods, and the right that each asks for, on one screen.

A plain ASGI application with its own table: a name may hold any number of slashes, so paths are told apart by how
they end. Requests that are asked for most never get here twice: see `repeating`.
"""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from urllib.parse import unquote

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from auth.access import Access, Action
from estiva.errors import NotFound, RequestInvalid, Unsupported
from estiva.reference import RepositoryName
from registry import Registry
from registry.api import base, blobs, manifests, referrers, tags, uploads
from registry.api.access import authorize
from registry.api.body import ClientDisconnected
from registry.api.call import API_VERSION, Call
from registry.api.faults import response_to
from registry.api.files import FileResponse

PULL, PUSH, DELETE, CATALOG = Action.PULL, Action.PUSH, Action.DELETE, Action.CATALOG

Endpoint = Callable[[Registry, Call], Awaitable[Response | FileResponse]]


@dataclass(frozen=True, slots=True)
class Route:
    """A path's pattern, and per method its endpoint and the right that it asks for (None: anybody may)."""

    label: str
    pattern: re.Pattern[str]
    methods: dict[str, tuple[Endpoint, Action | None]]


def _route(label: str, pattern: str, **methods: tuple[Endpoint, Action | None]) -> Route:
    if "GET" in methods:
        methods["HEAD"] = methods["GET"]
    return Route(label, re.compile(pattern), methods)


ROUTES = (
    _route("manifest", r"/v2/(?P<name>.+)/manifests/(?P<reference>[^/]+)",
           GET=(manifests.get, PULL), PUT=(manifests.put, PUSH), DELETE=(manifests.delete, DELETE)),
    _route("uploads", r"/v2/(?P<name>.+)/blobs/uploads/?",
           POST=(uploads.post, PUSH)),
    _route("upload", r"/v2/(?P<name>.+)/blobs/uploads/(?P<upload>[^/]+)",
           GET=(uploads.get, PUSH), PATCH=(uploads.patch, PUSH), PUT=(uploads.put, PUSH),
           DELETE=(uploads.delete, PUSH)),
    _route("blob", r"/v2/(?P<name>.+)/blobs/(?P<digest>[^/]+)",
           GET=(blobs.get, PULL), DELETE=(blobs.delete, DELETE)),
    _route("tags", r"/v2/(?P<name>.+)/tags/list",
           GET=(tags.get, PULL)),
    _route("referrers", r"/v2/(?P<name>.+)/referrers/(?P<digest>[^/]+)",
           GET=(referrers.get, PULL)),
    _route("catalog", r"/v2/_catalog",
           GET=(tags.catalog, CATALOG)),
    _route("base", r"/v2/?",
           GET=(base.get, None)),
)  # fmt: skip


class RegistryAPI:
    """The OCI distribution API as an ASGI application for every path under /v2/."""

    def __init__(self, registry: Registry, access: Access) -> None:
        self._registry = registry
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request (ASGI)."""
        try:
            response = await self._respond(scope, receive)
        except ClientDisconnected:
            return
        except Exception as error:
            response = response_to(error)
        response.raw_headers.append(API_VERSION)
        await response(scope, receive, send)

    async def _respond(self, scope: Scope, receive: Receive) -> Response | FileResponse:
        route, path = _match(scope["raw_path"])
        scope["state"]["route"] = route.label
        if scope["method"] not in route.methods:
            raise Unsupported(headers={"Allow": ", ".join(sorted(route.methods))})
        endpoint, action = route.methods[scope["method"]]
        call = Call(scope, receive, self._access, path)
        if "name" in path:
            call.name = RepositoryName.parse(path["name"])
        if action is not None:
            authorize(self._access, call, action)
        return await endpoint(self._registry, call)


def _match(raw_path: bytes) -> tuple[Route, dict[str, str]]:
    """The route of a path as it came over the wire, and the parts that vary."""
    path = raw_path.decode("latin-1")
    for route in ROUTES:
        match = route.pattern.fullmatch(path)
        if match is not None:
            return route, {key: _decoded(key, value) for key, value in match.groupdict().items()}
    raise NotFound


def _decoded(key: str, value: str) -> str:
    """The part without percent-encoding; a name has no character that needs any, so an encoded one is invalid."""
    if key == "name" or "%" not in value:
        return value
    try:
        return unquote(value, errors="strict")
    except UnicodeDecodeError:
        raise RequestInvalid("malformed path") from None
