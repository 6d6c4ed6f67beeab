"""From an Authorization header to a caller: bearer tokens, names with secrets, or nobody."""

import base64
import binascii
import time
from collections import OrderedDict
from collections.abc import Mapping

from auth.access import Caller
from auth.authority import Authority
from auth.credentials import Credentials, is_good
from auth.principals import ANONYMOUS, Principal
from auth.tokens import Token, TokenInvalidError, Tokens
from estiva.errors import Unauthorized
from storage.metadata import principals
from storage.metadata.database import Database

MOST_REMEMBERED = 20_000
LONGEST_HEADER = 20 * 1024


class TokenRefused(Unauthorized):
    """The token is not ours, no longer good, or its principal has been shut out: the client needs another."""


class Gate:
    """Says who is asking. One per process."""

    def __init__(self, database: Database, authority: Authority, credentials: Credentials, tokens: Tokens) -> None:
        self._database = database
        self._authority = authority
        self._credentials = credentials
        self._tokens = tokens
        self._epoch = 0
        self._good: OrderedDict[str, Token] = OrderedDict()

    async def caller(self, authorization: str | None, context: Mapping[str, tuple[str, ...]]) -> Caller:
        """Who makes a request with this Authorization header. Unauthorized, TokenRefused, TooManyRequests."""
        if authorization is None:
            await self._authority.epoch()
            return Caller(ANONYMOUS, None, context, is_fresh=True)
        scheme, _, value = authorization.partition(" ")
        if scheme.lower() == "bearer" and len(value) < LONGEST_HEADER:
            token = await self._token(value.strip())
            return Caller(token.principal, token, context, is_fresh=True)
        if scheme.lower() == "basic" and len(value) < LONGEST_HEADER:
            name, secret = decode_basic(value)
            address = context.get("aws:sourceip", ("",))[0]
            principal = await self._credentials.sign_in(name, secret, address)
            return Caller(principal, None, context, is_fresh=True)
        raise Unauthorized("unsupported Authorization header")

    async def _token(self, text: str) -> Token:
        epoch = await self._authority.epoch()
        if epoch != self._epoch:
            self._good.clear()
            self._epoch = epoch
        token = self._good.get(text)
        if token is None:
            token = await self._verify(text)
            if epoch == self._epoch:  # else it was good, and may be no more
                self._good[text] = token
            if len(self._good) > MOST_REMEMBERED:
                self._good.popitem(last=False)
        if token.expires < time.time():
            self._good.pop(text, None)
            raise TokenRefused("the token has expired")
        return token

    async def _verify(self, text: str) -> Token:
        try:
            token = self._tokens.verify(text)
        except TokenInvalidError:
            raise TokenRefused("the token is not valid") from None
        if not await self._still_good(token.principal):
            raise TokenRefused("the token's owner may not come in")
        return token

    async def _still_good(self, principal: Principal) -> bool:
        if principal.id is None:
            return principal.is_anonymous or principal.trust in self._authority.trusted
        found = await self._database.read(principals.get(principal.id))
        return found is not None and found.name == principal.name and is_good(found)


def decode_basic(value: str) -> tuple[str, str]:
    """Name and secret of a Basic Authorization (RFC 7617). Unauthorized."""
    try:
        name, colon, secret = base64.b64decode(value.strip(), validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        raise Unauthorized("malformed Authorization header") from None
    if not colon:
        raise Unauthorized("malformed Authorization header")
    return name, secret
