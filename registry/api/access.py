"""Who a request comes from, whether it may go on, and what it is told when not."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Protocol

from starlette.types import Scope

from auth.access import Access, Action, Caller, TokenTooSmall, Verdict, is_granted, permits, permits_each, refuse
from auth.gate import TokenRefused
from estiva.errors import RequestInvalid, Unauthorized
from estiva.reference import RepositoryName
from registry.api.cursors import Cursors
from registry.api.limits import Limits
from registry.api.origin import Origin
from registry.api.rights import Right

TOKEN_PATH = "/token"  # noqa: S105 - a path


class Doorkeeper(Protocol):
    """Says who is asking (see `auth.gate.Gate`)."""

    async def caller(self, authorization: str | None, context: Mapping[str, tuple[str, ...]]) -> Caller:
        """Who makes a request with this Authorization header. Unauthorized, TooManyRequests."""
        ...


@dataclass(frozen=True, slots=True)
class Admission:
    """What stands between a request and its endpoint."""

    doorkeeper: Doorkeeper
    access: Access
    origin: Origin
    service: str
    cursors: Cursors
    limits: Limits | None = None
    """How often one address and one principal may come, where that is limited."""

    async def caller(self, scope: Scope) -> Caller:
        """Who makes the request, which is counted. Unauthorized, TooManyRequests."""
        if self.limits is None:
            return await self.doorkeeper.caller(authorization_of(scope), self.origin.context(scope))
        self.limits.enter(scope)
        authorization = authorization_of(scope)
        caller = await self.doorkeeper.caller(authorization, self.origin.context(scope))
        self.limits.recognise(caller, authorization)
        return caller

    def uploading(self, scope: Scope, caller: Caller) -> AbstractContextManager[None]:
        """Receive the body of an upload while this is entered. TooManyRequests."""
        return nullcontext() if self.limits is None else self.limits.uploading(scope, caller)

    def account_of(self, scope: Scope, caller: Caller) -> str:
        """Whose registry the request is for, as `RepositoryName.account`: the host name's, else the caller's own."""
        return account_of(self.origin, scope, caller)

    async def operator(self, scope: Scope) -> Caller:
        """Who makes a request to `/api/v1/`, where registry tokens count for nothing. Unauthorized, TooManyRequests."""
        caller = await self.caller(scope)
        if caller.token is not None or caller.principal.is_anonymous:
            raise Unauthorized("sign in with a username and a password")
        return caller

    async def require(self, caller: Caller, right: Right, name: RepositoryName, **context: str) -> Verdict:
        """Return where the caller may do that in the repository; Unauthorized or Denied otherwise."""
        verdict = await permits(self.access, caller, right.operation, self.access.repository_arn(name), **context)
        # Policy first: whoever lacks the right is told so, instead of being sent for one token after the other.
        refuse(caller, verdict)
        granted = [scope for scope in right.scopes if is_granted(caller, "repository", name.text, scope.value)]
        if not granted:
            # Whom only the second alternative allows it would ask for the first scope again and again.
            raise TokenTooSmall(right.scopes[verdict.alternative])
        # What another scope does for HEAD it does not do for GET, which is answered from the same memory.
        return verdict if granted[0] is right.scope else replace(verdict, lasting=False)

    async def may_by_policy(self, caller: Caller, right: Right, name: RepositoryName) -> bool:
        """Whether policy allows it, whatever the caller's token was issued for."""
        return (await permits(self.access, caller, right.operation, self.access.repository_arn(name))).allowed

    async def may_each(self, caller: Caller, right: Right, names: Sequence[RepositoryName]) -> list[bool]:
        """The same for each of these, which are in byte order."""
        return await permits_each(self.access, caller, right.operation, names)

    def challenge(self, scope: Scope, error: Unauthorized, scopes: Sequence[str]) -> str:
        """The WWW-Authenticate header: where to get a token, and what for (token specification)."""
        try:
            realm = self.origin.base_url(scope) + TOKEN_PATH
        except RequestInvalid:
            realm = TOKEN_PATH
        text = f'Bearer realm="{realm}",service="{self.service}"'
        if scopes:
            text += f',scope="{" ".join(scopes)}"'
        if isinstance(error, TokenTooSmall):
            text += ',error="insufficient_scope"'
        elif isinstance(error, TokenRefused):
            text += ',error="invalid_token"'
        return text


def asked_scope(name: RepositoryName, action: Action) -> str:
    """The token scope that a client should ask for to do that."""
    actions = "pull,push" if action is Action.PUSH else action.value
    return f"repository:{name}:{actions}"


def account_of(origin: Origin, scope: Scope, caller: Caller) -> str:
    """See `Admission.account_of`."""
    named = origin.account_of_host(scope)
    if named is None:
        return caller.principal.account
    return "" if named == origin.account else named


def authorization_of(scope: Scope) -> str | None:
    """The Authorization header. RequestInvalid where there are several: which of them others saw, nobody knows."""
    values = [value for name, value in scope["headers"] if name == b"authorization"]
    if len(values) > 1:
        raise RequestInvalid("more than one Authorization header")
    return values[0].decode("latin-1") if values else None
