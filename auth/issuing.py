"""Issuing registry tokens: what was asked for, as far as policy allows it."""

import hashlib
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass

from auth.access import IMAGE_TAG, Access, Caller
from auth.policy.actions import EVERY_SCOPE_ACTION, SCOPE_ACTIONS
from auth.principals import Kind, Principal
from auth.scopes import Scope
from auth.tokens import Tokens
from estiva.errors import NameInvalid, Unauthorized
from estiva.reference import RepositoryName
from storage.metadata import principals, signing_keys
from storage.metadata.database import Database, Work
from storage.metadata.principals import PrincipalRecord

REFRESH_LIFE = 30 * 86_400.0
MOST_REFRESH_TOKENS = 100
_REFRESH_BYTES = 32


@dataclass(frozen=True, slots=True)
class Issued:
    """A token, with what its holder is told of it."""

    token: str
    issued_at: float
    expires_in: int
    access: tuple[Scope, ...]


class TokenService:
    """Gives out tokens."""

    def __init__(self, database: Database, access: Access, tokens: Tokens) -> None:
        self._database = database
        self._access = access
        self._tokens = tokens

    @property
    def audience(self) -> str:
        """The service that tokens are for."""
        return self._tokens.audience

    def jwks(self) -> dict[str, list[dict[str, str]]]:
        """The public keys that verify what is issued here (RFC 7517)."""
        return self._tokens.jwks()

    async def issue(self, caller: Caller, wanted: Sequence[Scope], account: str = "") -> Issued:
        """A token for those of the wanted scopes that policy allows; it may be for none.

        `account` says whose repositories are meant (see `RepositoryName.account`).
        """
        answers = [await self._granted(caller, scope, account) for scope in wanted]
        granted = [scope for scope in answers if scope.actions]
        life = await self._life(caller.principal)
        token, issued_at = self._tokens.issue(caller.principal, granted, life)
        return Issued(token, issued_at, int(life), tuple(granted))

    async def refresh_token(self, principal: Principal) -> str | None:
        """A refresh token, good for thirty days and one use; None for a principal that is not stored.

        None for an access key as well: the token would outlive it. Of one principal's only the latest
        MOST_REFRESH_TOKENS are good.
        """
        if principal.id is None or principal.key is not None:
            return None
        text, identifier = secrets.token_urlsafe(_REFRESH_BYTES), principal.id
        until = time.time() + REFRESH_LIFE
        await self._database.write(
            lambda: signing_keys.enter_refresh_token(_digest(text), identifier, until, MOST_REFRESH_TOKENS)
        )
        return text

    async def redeem(self, refresh_token: str) -> Principal:
        """The principal whose refresh token this is; it is good no more. Unauthorized."""

        def work() -> Work[PrincipalRecord | None]:
            taken = yield from signing_keys.take_refresh_token(_digest(refresh_token))
            if taken is None or taken[1] < time.time():
                return None
            return (yield from principals.get(taken[0]))

        found = await self._database.write(work, serializable=False)
        if found is None or found.disabled or (found.expires_at is not None and found.expires_at < time.time()):
            raise Unauthorized("the refresh token is not valid")
        return Principal(Kind(found.kind), found.name, found.id)

    async def forget_expired(self) -> None:
        """Forget the refresh tokens that nobody can use any more."""
        await self._database.write(signing_keys.forget_expired_refresh_tokens, durable=False, serializable=False)

    async def _granted(self, caller: Caller, wanted: Scope, account: str) -> Scope:
        if wanted.type == "registry" and wanted.name == "catalog":
            # The catalog shows only what its reader may pull, so asking for it needs no further right.
            return wanted if not caller.principal.is_anonymous else Scope(wanted.type, wanted.name, frozenset())
        granted: frozenset[str] = frozenset()
        if wanted.type == "repository":
            granted = await self._granted_actions(caller, wanted, account)
        return Scope(wanted.type, wanted.name, granted)

    async def _granted_actions(self, caller: Caller, wanted: Scope, account: str) -> frozenset[str]:
        try:
            name = RepositoryName.parse(wanted.name).within(account)
        except NameInvalid:
            return frozenset()
        asks_all = EVERY_SCOPE_ACTION in wanted.actions
        asked = [action for action in SCOPE_ACTIONS if asks_all or action in wanted.actions]
        return frozenset([action for action in asked if await self._may(caller, action, name)])

    async def _may(self, caller: Caller, action: str, name: RepositoryName) -> bool:
        """Whether policy allows all that the scope's action stands for.

        Where that depends on a tag, which nobody knows yet, the token is granted, and each request decides.
        """
        resource = self._access.repository_arn(name)
        for ecr_action in sorted(SCOPE_ACTIONS[action]):
            verdict = await self._access.decide(caller, ecr_action, resource)
            if not verdict.allowed and IMAGE_TAG not in verdict.depends_on:
                return False
        return True

    async def _life(self, principal: Principal) -> float:
        life = self._tokens.life
        if principal.id is not None:
            found = await self._database.read(principals.get(principal.id))
            if found is not None and found.expires_at is not None:
                life = min(life, max(found.expires_at - time.time(), 1))
        return life


def _digest(refresh_token: str) -> str:
    return hashlib.sha256(refresh_token.encode()).hexdigest()
