"""`POST /` as an ASGI application: from a signed request to an answer, or to one refusal in AWS's words.

The order is AWS's: which operation, who signs, the body, is the signature right, is the operation known here, is the
input well-formed, do policies allow it. Nobody is told of operations or repositories before the signature was right.
"""

import asyncio
import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

from starlette.types import Receive, Scope, Send

from auth.access import Caller
from auth.sigv4 import Signature, SignedRequest
from aws import sts
from aws.answers import body_of, dump
from aws.call import Call, Operation
from aws.errors import AwsError, as_aws_error, not_implemented
from aws.models import Service
from aws.parts import Parts
from aws.requests import check, parse_body
from estiva.errors import BodyTimeout
from registry.api.body import ClientDisconnected
from registry.api.room import Place, Room

JSON_TYPE = b"application/x-amz-json-1.1"
XML_TYPE = b"text/xml; charset=utf-8"
FORM_TYPE = "application/x-www-form-urlencoded"
LARGEST_BODY = 256 * 1024
LARGEST_BODIES: Mapping[str, int] = {"UploadLayerPart": 32 * 1024 * 1024, "PutImage": 16 * 1024 * 1024}
"""Of what carries content; all others hold to LARGEST_BODY."""
IN_THREAD = 128 * 1024
READ_SECONDS = 120.0

Table = Mapping[str, Operation]


class _Response(NamedTuple):
    """An answer, whose body is all there."""

    body: bytes
    media_type: bytes = JSON_TYPE
    status: int = 200
    code: str | None = None
    """The error's, where it is one."""


@dataclass(slots=True, eq=False)
class _Request:
    """A request's head, and what decides how it is read."""

    scope: Scope
    signed: SignedRequest
    id: str

    def value(self, name: str) -> str:
        """The first value of that header."""
        values = self.signed.values(name)
        return values[0] if values else ""

    @property
    def is_form(self) -> bool:
        """Whether STS's protocol is spoken, and not JSON."""
        return self.value("content-type").partition(";")[0].strip().lower() == FORM_TYPE


class Front:
    """Serves the operations of the given services."""

    def __init__(self, parts: Parts, services: Sequence[tuple[Service, Table]]) -> None:
        self._parts = parts
        self._services = {service.target_prefix: (service, table) for service, table in services}
        self._room = Room()

    @staticmethod
    def takes(scope: Scope) -> bool:
        """Whether the request is one for this front."""
        return bool(scope["type"] == "http" and scope["path"] == "/" and scope["method"] == "POST")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request (ASGI)."""
        scope["state"]["route"] = "aws"
        request = _Request(scope, _signed_request(scope), scope["state"]["request_id"])
        place = self._room.enter()
        try:
            if self._parts.limits is not None:
                self._parts.limits.enter(scope)
            response = await (self._sts if request.is_form else self._json)(request, receive, place)
        except ClientDisconnected:
            return
        except Exception as error:
            response = self._refusal(request, as_aws_error(error))
        finally:
            place.leave()
        await _send(send, response, request.id)

    async def _json(self, request: _Request, receive: Receive, place: Place) -> _Response:
        service, table, operation = self._target(request.value("x-amz-target"))
        body, caller, signature = await self._authenticated(request, receive, place, service.name, operation)
        return _Response(await self._answer((service, table), operation, body, caller, signature, request.scope))

    async def ask(self, prefix: str, operation: str, body: bytes, caller: Caller, scope: Scope) -> bytes:
        """What an operation answers a caller who signed in otherwise, in JSON. AwsError, and what storage raises."""
        return await self._answer(self._services[prefix], operation, body, caller, None, scope)

    async def _answer(
        self,
        asked: tuple[Service, Table],
        operation: str,
        body: bytes,
        caller: Caller,
        signature: Signature | None,
        scope: Scope,
    ) -> bytes:
        service, table = asked
        model = service.operations.get(operation)
        if model is None:
            raise AwsError("UnknownOperationException", f"{service.name} has no operation {operation[:64]}")
        known = table.get(operation)
        if known is None:
            raise not_implemented(service.name, operation)
        parsed = await self._off_loop(body, parse_body, body)
        checked = {} if model.input_shape is None else await self._off_loop(body, check, model.input_shape, parsed)
        asked_for = checked.get("registryId") or caller.principal.account or self._parts.account
        where = partial(self._parts.origin.base_url, scope)
        call = Call(self._parts, caller, service.name, operation, checked, signature, where, asked_for)
        answer = await _run(known, call)
        return body_of(model.output_shape, answer)

    def _target(self, target: str) -> tuple[Service, Table, str]:
        prefix, _, operation = target.partition(".")
        if prefix not in self._services:
            raise AwsError("UnknownOperationException", "the header X-Amz-Target names no service of this server")
        return *self._services[prefix], operation

    async def _authenticated(
        self, request: _Request, receive: Receive, place: Place, service: str, operation: str
    ) -> tuple[bytes, Caller, Signature]:
        """The body, who sent it, and the signature: a body is read only for a key that is known."""
        signer = await self._parts.signing.begin(request.signed, service)
        body = await _read(request, receive, place, LARGEST_BODIES.get(operation, LARGEST_BODY))
        digest = await self._off_loop(body, _sha256, body)
        context = self._parts.origin.context(request.scope)
        caller = self._parts.signing.verify(request.signed, signer, digest, context)
        if self._parts.limits is not None:
            self._parts.limits.recognise(caller, None)
        return body, caller, signer.signature

    async def _off_loop(self, body: bytes, function: Any, *arguments: Any) -> Any:
        """The function's result; where the body is long, from a thread."""
        if len(body) < IN_THREAD:
            return function(*arguments)
        return await asyncio.get_running_loop().run_in_executor(self._parts.threads, function, *arguments)

    async def _sts(self, request: _Request, receive: Receive, place: Place) -> _Response:
        body, caller, _ = await self._authenticated(request, receive, place, sts.SERVICE, "")
        action = sts.action_of(body)
        if action != sts.CALLER_IDENTITY:
            raise not_implemented(sts.SERVICE, action[:64])
        return _Response(sts.caller_identity(caller.principal, self._parts.account, request.id), XML_TYPE)

    def _refusal(self, request: _Request, error: AwsError) -> _Response:
        if request.is_form:
            return _Response(sts.refusal(error, request.id), XML_TYPE, error.status, error.code)
        body = json.dumps({"__type": error.code, "message": error.message, **self._members(error)}).encode()
        return _Response(body, JSON_TYPE, error.status, error.code)

    def _members(self, error: AwsError) -> dict[str, Any]:
        """The exception's further members, held to its model."""
        if not error.members:
            return {}
        shapes = [service.errors[error.code] for service, _ in self._services.values() if error.code in service.errors]
        dumped: dict[str, Any] = dump(shapes[0], error.members)
        return dumped


async def _send(send: Send, response: _Response, request_id: str) -> None:
    headers = [
        (b"content-length", b"%d" % len(response.body)),
        (b"content-type", response.media_type),
        (b"x-amzn-requestid", request_id.encode("latin-1")),
    ]
    if response.code is not None:
        headers.append((b"x-amzn-errortype", response.code.encode("latin-1")))
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": response.body})


async def _run(operation: Operation, call: Call) -> Mapping[str, Any]:
    call.resources = operation.resources(call)
    for resource in call.resources:
        await call.require(f"{call.service}:{call.operation}", resource, **operation.context(call, resource))
    return await operation.handler(call)


def _sha256(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def _signed_request(scope: Scope) -> SignedRequest:
    headers = [(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in scope["headers"]]
    return SignedRequest(
        scope["method"], scope["raw_path"].decode("latin-1"), scope["query_string"].decode("latin-1"), headers
    )


async def _read(request: _Request, receive: Receive, place: Place, limit: int) -> bytes:
    """The body. AwsError where it is longer than `limit`; Unavailable, BodyTimeout."""
    too_large = AwsError("RequestEntityTooLargeException", f"the body is longer than {limit} bytes", 413)
    length = request.value("content-length")
    if length.isdigit() and (len(length) > 18 or int(length) > limit):
        raise too_large
    body = bytearray()
    try:
        # The connection has deadlines of its own; this one is for bodies that come just fast enough, for ever.
        async with asyncio.timeout(READ_SECONDS) if limit > LARGEST_BODY else nullcontext():
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise ClientDisconnected("the client left before the body's end")
                body += message.get("body", b"")
                if len(body) > limit:
                    raise too_large
                place.hold(2 * len(body))  # its bytes, and what is made of them
                if not message.get("more_body", False):
                    return bytes(body)
    except TimeoutError:
        raise BodyTimeout from None
