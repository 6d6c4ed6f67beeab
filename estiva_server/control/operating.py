"""What every operation of `/api/v1/` begins with: who asks, may they, and what did they send."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request

from auth.access import Caller, refuse
from estiva.errors import RequestInvalid
from registry.api.access import Admission
from storage.metadata.audit import Actor

LONGEST_BODY = 64 * 1024
DEFAULT_PAGE = 100
LARGEST_PAGE = 1000


@dataclass(frozen=True, slots=True)
class Operating:
    """Admits operators."""

    admission: Admission
    account: str

    async def admit(self, request: Request, action: str, resource: str) -> Actor:
        """Who makes the request, where policy allows it the action on the resource. Unauthorized, Denied.

        `resource` is the last part of an ARN of this account, such as `user/alice`.
        """
        return await self.permit(await self.caller(request), action, resource)

    async def permit(self, caller: Caller, action: str, resource: str) -> Actor:
        """The caller, where policy allows it the action on the resource. Unauthorized, Denied."""
        verdict = await self.admission.access.decide(caller, action, f"arn:aws:iam::{self.account}:{resource}")
        refuse(caller, verdict)
        return actor_of(caller)

    async def caller(self, request: Request) -> Caller:
        """Who makes the request, whatever they may do. Unauthorized.

        Comes before anything of the request is read: what it should look like is told to those who have signed in.
        """
        return await self.admission.operator(request.scope)


def actor_of(caller: Caller) -> Actor:
    """The caller, as the audit trail names it."""
    return caller.actor


async def body_of(request: Request, **members: type | tuple[type, ...]) -> Mapping[str, Any]:
    """The JSON object that was sent. RequestInvalid for anything else, and for members that are not among these."""
    text = await read_text(request)
    try:
        value = json.loads(text)
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()  # neither NaN nor half a character
    except (ValueError, RecursionError):
        raise RequestInvalid("the body is not JSON") from None
    if not isinstance(value, dict):
        raise RequestInvalid("the body is not a JSON object")
    for name, member in value.items():
        if name not in members:
            raise RequestInvalid(f"unknown member {name[:64]}")
        if not isinstance(member, members[name]):
            raise RequestInvalid(f"{name} is of the wrong type")
    return value


async def read_text(request: Request) -> str:
    """The body as text. RequestInvalid where it is too long or no UTF-8."""
    pieces, length = [], 0
    async for piece in request.stream():
        length += len(piece)
        if length > LONGEST_BODY:
            raise RequestInvalid("the body is too large")
        pieces.append(piece)
    try:
        return b"".join(pieces).decode()
    except UnicodeDecodeError:
        raise RequestInvalid("the body is not UTF-8") from None


def required(body: Mapping[str, Any], name: str) -> Any:
    """A member that has to be there. RequestInvalid."""
    if name not in body:
        raise RequestInvalid(f"{name} is missing")
    return body[name]


def page_of(request: Request) -> tuple[str, int]:
    """Where a list begins (`last`), and how long it may be (`n`). RequestInvalid."""
    text = request.query_params.get("n", str(DEFAULT_PAGE))
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise RequestInvalid("n is not a number")
    return request.query_params.get("last", ""), max(1, min(int(text), LARGEST_PAGE))
