"""/token: registry tokens, by GET (distribution's token specification) and by POST (its OAuth2 variant)."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from auth.access import Caller
from auth.credentials import Credentials
from auth.gate import Gate
from auth.issuing import Issued, TokenService
from auth.scopes import parse_scopes
from estiva.errors import RequestInvalid, Unauthorized
from registry.api.access import account_of, authorization_of
from registry.api.limits import Limits
from registry.api.origin import Origin

LONGEST_FORM = 64 * 1024
NEVER_STORED = {"Cache-Control": "no-store"}


class TokenAPI:
    """Gives tokens to clients; an anonymous one is for what everybody may do."""

    def __init__(
        self, service: TokenService, gate: Gate, credentials: Credentials, origin: Origin, limits: Limits | None = None
    ) -> None:
        self._service = service
        self._gate = gate
        self._credentials = credentials
        self._origin = origin
        self._limits = limits

    def routes(self) -> list[Route]:
        """Every path of this API."""
        return [
            Route("/token", self.get, methods=["GET"]),
            Route("/token", self.post, methods=["POST"]),
            Route("/token/jwks", self.jwks, methods=["GET"]),
        ]

    async def get(self, request: Request) -> Response:
        """A token for the Basic credentials of the request, or an anonymous one.

        `offline_token` is not honoured: docker keeps what it then gets and uses it again and again, while our
        refresh tokens are good for one use.
        """
        self._enter(request)
        self._require_service(request.query_params.getlist("service"))
        authorization = authorization_of(request.scope)
        if authorization is not None and not authorization.lower().startswith("basic "):
            raise Unauthorized("sign in with a username and a password")
        caller = await self._gate.caller(authorization, self._origin.context(request.scope))
        account = account_of(self._origin, request.scope, caller)
        issued = await self._service.issue(caller, parse_scopes(request.query_params.getlist("scope")), account)
        return JSONResponse(_document(issued), headers=NEVER_STORED)

    async def post(self, request: Request) -> Response:
        """A token for the credentials in the form: a password, or a refresh token."""
        self._enter(request)
        form = await _form(request)
        self._require_service(form.get("service", []))
        caller = await self._by_grant(request, form)
        account = account_of(self._origin, request.scope, caller)
        issued = await self._service.issue(caller, parse_scopes(form.get("scope", [])), account)
        document = _document(issued) | {"scope": " ".join(str(scope) for scope in issued.access)}
        if "offline" in form.get("access_type", []) or "refresh_token" in form.get("grant_type", []):
            refresh_token = await self._service.refresh_token(caller.principal)
            if refresh_token is not None:
                document["refresh_token"] = refresh_token
        return JSONResponse(document, headers=NEVER_STORED)

    async def jwks(self, request: Request) -> Response:
        """The public keys that verify our tokens."""
        return JSONResponse(self._service.jwks(), headers={"Cache-Control": "max-age=300"})

    async def _by_grant(self, request: Request, form: dict[str, list[str]]) -> Caller:
        context = self._origin.context(request.scope)
        grant = form.get("grant_type", [""])[0]
        if grant == "password":
            name, secret = form.get("username", [""])[0], form.get("password", [""])[0]
            address = context["aws:sourceip"][0]
            return Caller(await self._credentials.sign_in(name, secret, address), None, context)
        if grant == "refresh_token":
            return Caller(await self._service.redeem(form.get("refresh_token", [""])[0]), None, context)
        raise RequestInvalid("grant_type is neither password nor refresh_token")

    def _enter(self, request: Request) -> None:
        if self._limits is not None:
            self._limits.enter(request.scope)

    def _require_service(self, named: Sequence[str]) -> None:
        if any(service != self._service.audience for service in named):
            raise RequestInvalid("tokens of this registry are for another service")


def _document(issued: Issued) -> dict[str, Any]:
    return {
        "token": issued.token,
        "access_token": issued.token,
        "expires_in": issued.expires_in,
        "issued_at": f"{datetime.fromtimestamp(issued.issued_at, UTC):%Y-%m-%dT%H:%M:%SZ}",
    }


async def _form(request: Request) -> dict[str, list[str]]:
    length = 0
    pieces = []
    async for piece in request.stream():
        length += len(piece)
        if length > LONGEST_FORM:
            raise RequestInvalid("the form is too large")
        pieces.append(piece)
    try:
        pairs = parse_qsl(b"".join(pieces).decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=100)
    except ValueError:
        raise RequestInvalid("malformed form") from None
    form: dict[str, list[str]] = {}
    for key, value in pairs:
        form.setdefault(key, []).append(value)
    return form
