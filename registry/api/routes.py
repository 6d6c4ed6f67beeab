"""Every path of the OCI API, its methods, and the right that each asks for, on one screen.

A plain ASGI application with its own table: a name may hold any number of slashes, so paths are told apart by how
they end. Requests that are asked for most never get here twice: see `repeating`.
"""

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from urllib.parse import unquote

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from auth.access import IMAGE_TAG, Caller
from auth.principals import ANONYMOUS
from estiva.errors import NotFound, RequestInvalid, Unauthorized, Unsupported
from estiva.reference import RepositoryName
from registry import Registry
from registry.api import base, blobs, manifests, referrers, tags, uploads
from registry.api.access import Admission
from registry.api.arriving import ArrivingResponse
from registry.api.body import ClientDisconnected
from registry.api.call import API_VERSION, Call
from registry.api.faults import response_to
from registry.api.files import FileResponse
from registry.api.relaying import HandedOver, PassedOn
from registry.api.rights import (
    CONTINUE_UPLOAD,
    DELETE,
    FINISH_UPLOAD,
    GET_BLOB,
    GET_MANIFEST,
    HEAD_BLOB,
    HEAD_MANIFEST,
    LIST_REFERRERS,
    LIST_TAGS,
    PUT_MANIFEST,
    START_UPLOAD,
    Right,
)
from registry.api.room import Room

NOBODY = Caller(ANONYMOUS)

Answered = Response | FileResponse | ArrivingResponse | PassedOn | HandedOver
Endpoint = Callable[[Registry, Call], Awaitable[Answered]]


@dataclass(frozen=True, slots=True)
class Route:
    """A path's pattern, and per method its endpoint and the right that it asks for (None: anybody may)."""

    label: str
    pattern: re.Pattern[str]
    methods: dict[str, tuple[Endpoint, Right | None]]


def _route(label: str, pattern: str, **methods: tuple[Endpoint, Right | None]) -> Route:
    if "GET" in methods:
        methods.setdefault("HEAD", methods["GET"])
    return Route(label, re.compile(pattern), methods)


ROUTES = (
    _route("manifest", r"/v2/(?P<name>.+)/manifests/(?P<reference>[^/]+)",
           GET=(manifests.get, GET_MANIFEST), HEAD=(manifests.get, HEAD_MANIFEST),
           PUT=(manifests.put, PUT_MANIFEST), DELETE=(manifests.delete, DELETE)),
    _route("uploads", r"/v2/(?P<name>.+)/blobs/uploads/?",
           POST=(uploads.post, START_UPLOAD)),
    _route("upload", r"/v2/(?P<name>.+)/blobs/uploads/(?P<upload>[^/]+)",
           GET=(uploads.get, CONTINUE_UPLOAD), PATCH=(uploads.patch, CONTINUE_UPLOAD),
           PUT=(uploads.put, FINISH_UPLOAD), DELETE=(uploads.delete, CONTINUE_UPLOAD)),
    _route("blob", r"/v2/(?P<name>.+)/blobs/(?P<digest>[^/]+)",
           GET=(blobs.get, GET_BLOB), HEAD=(blobs.get, HEAD_BLOB), DELETE=(blobs.delete, DELETE)),
    _route("tags", r"/v2/(?P<name>.+)/tags/list",
           GET=(tags.get, LIST_TAGS)),
    _route("referrers", r"/v2/(?P<name>.+)/referrers/(?P<digest>[^/]+)",
           GET=(referrers.get, LIST_REFERRERS)),
    _route("catalog", r"/v2/_catalog",
           GET=(tags.catalog, None)),
    _route("base", r"/v2/?",
           GET=(base.get, None)),
)  # fmt: skip


class RegistryAPI:
    """The OCI distribution API as an ASGI application for every path under /v2/."""

    def __init__(self, registry: Registry, admission: Admission) -> None:
        self._registry = registry
        self._admission = admission
        self._room = Room()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request (ASGI)."""
        response = await self.respond(scope, receive)
        if response is not None:
            await response(scope, receive, send)

    async def respond(self, scope: Scope, receive: Receive) -> Answered | None:
        """The response to one request, errors included; None where the client has left."""
        try:
            response = await self._respond(scope, receive)
        except ClientDisconnected:
            return None
        except Exception as error:
            response = response_to(error)
        response.raw_headers.append(API_VERSION)
        return response

    async def _respond(self, scope: Scope, receive: Receive) -> Answered:
        route, path = _match(scope["raw_path"])
        scope["state"]["route"] = route.label
        if scope["method"] not in route.methods:
            raise Unsupported(headers={"Allow": ", ".join(sorted(route.methods))})
        endpoint, right = route.methods[scope["method"]]
        # The version is older than every fact and every right that the answer will rest on. Writes are never repeated.
        version = self._registry.pulling.version() if scope["method"] in ("GET", "HEAD") else None
        call = Call(scope, receive, self._admission, self._room.enter(), path, NOBODY, version)
        if "name" in path:
            call.name = await self._named(call, RepositoryName.parse(path["name"]))
        try:
            call.caller = await self._admission.caller(scope)
            call.account = self._admission.account_of(scope, call.caller)
            # A connection repeats answers by target and Authorization, whatever the host name.
            call.lasting = not self._admission.origin.tells_accounts_by_host
            if call.name is not None and call.account:
                call.name = call.name.within(call.account)
            if right is not None:
                await call.require(right, **_tag_context(path))
            response = await endpoint(self._registry, call)
            response.raw_headers.extend(call.further_headers)
            return response
        except Unauthorized as error:
            error.headers["WWW-Authenticate"] = self._admission.challenge(scope, error, call.scopes(right, error))
            raise
        finally:
            call.place.leave()

    async def _named(self, call: Call, name: RepositoryName) -> RepositoryName:
        """The repository that a request is about; `?ns=` names the registry that a mirror is asked in place of.

        A name of no registry that any rule is about changes nothing: it may be one that this server itself goes by.
        """
        if call.method not in ("GET", "HEAD") or b"ns=" not in call.scope["query_string"]:
            return name
        namespace = call.value("ns") or ""
        found = await self._registry.cache.rules.for_namespace(name.account, namespace, name)
        if found is None:
            return name
        call.further_headers.append((b"oci-namespace", namespace.encode("latin-1", "replace")))
        return found


def _tag_context(path: Mapping[str, str]) -> dict[str, str]:
    """The tag that the request is about, where it is about one."""
    reference = path.get("reference", ":")
    return {} if ":" in reference else {IMAGE_TAG: reference}


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
