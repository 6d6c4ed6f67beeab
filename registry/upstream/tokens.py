"""Signing in to another registry: what it asks for in its challenge, remembered while it is good."""

import asyncio
import base64
import json
import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field

from registry.upstream.challenges import choose, may_be_trusted, parse_challenges, token_url
from registry.upstream.errors import UpstreamInvalid, UpstreamRefused, UpstreamUnavailable
from registry.upstream.network import Network, origin
from registry.upstream.pacing import retry_after

LONGEST_TOKEN = 128 * 1024
MOST_REMEMBERED = 1000
SHORTEST_LIFE = 60.0
"""How long a token lives where its server does not say (token specification)."""
MARGIN = 10.0


@dataclass(frozen=True, slots=True)
class Credential:
    """A name and a secret for one registry; `token_server` is where they may be sent beside the registry itself."""

    username: str
    secret: str = field(repr=False)
    token_server: str | None = None

    @property
    def basic(self) -> str:
        """The Authorization header that holds them."""
        return "Basic " + base64.b64encode(f"{self.username}:{self.secret}".encode()).decode()


class SignIn:
    """The Authorization headers for one registry, by scope."""

    def __init__(self, network: Network, registry: str, credential: Credential | None) -> None:
        self._network = network
        self._registry = registry
        self._credential = credential
        self._known: OrderedDict[str, tuple[str, float]] = OrderedDict()
        self._asking: dict[str, asyncio.Lock] = {}

    def known(self, scope: str) -> str | None:
        """The header that did for this scope before, while it is good."""
        header, until = self._known.get(scope, ("", 0.0))
        return header if until > time.monotonic() else None

    async def answer(self, challenge: str, scope: str, refused: str | None) -> str:
        """The header that answers a 401's challenge; `refused` is the one that was sent with the request.

        UpstreamRefused where there is none that could do better, UpstreamUnavailable, UpstreamInvalid.
        """
        lock = self._asking.setdefault(scope, asyncio.Lock())
        try:
            # Whoever asks at the same time for the same gets the same token.
            async with lock:
                known = self.known(scope)
                if known is not None and known != refused:
                    return known
                header, life = await self._signed_in(challenge, scope, refused)
                self._remember(scope, header, life)
                return header
        finally:
            if not lock.locked():
                self._asking.pop(scope, None)

    async def _signed_in(self, challenge: str, scope: str, refused: str | None) -> tuple[str, float]:
        chosen = choose(parse_challenges(challenge))
        if chosen is None:
            raise UpstreamRefused(f"{self._registry} wants to see what we don't have", status=401)
        if chosen.scheme == "bearer":
            return await self._token(token_url(chosen, scope), chosen.parameters["realm"])
        if self._credential is None or refused == self._credential.basic:
            raise UpstreamRefused(f"{self._registry} wants a name and a password that are right", status=401)
        return self._credential.basic, float("inf")

    async def _token(self, url: str, realm: str) -> tuple[str, float]:
        headers = {"Accept": "application/json"}
        if self._credential is not None:
            if not may_be_trusted(self._registry, realm, self._credential.token_server):
                raise UpstreamRefused(
                    f"{self._registry} sends us for a token to {origin(realm)}, which its credentials are not for"
                )
            headers["Authorization"] = self._credential.basic
        async with self._network.send("GET", url, headers) as answer:
            if answer.status in (400, 401, 403, 404):
                raise UpstreamRefused(f"{origin(realm)} gives us no token", status=answer.status)
            if answer.status != 200:
                raise UpstreamUnavailable(
                    f"{origin(realm)} gives no token just now",
                    status=answer.status,
                    retry_after=retry_after(answer.headers),
                )
            return _read(await answer.read(LONGEST_TOKEN), origin(realm))

    def _remember(self, scope: str, header: str, life: float) -> None:
        self._known[scope] = (header, time.monotonic() + life)
        self._known.move_to_end(scope)
        if len(self._known) > MOST_REMEMBERED:
            self._known.popitem(last=False)


def _read(body: bytes, place: str) -> tuple[str, float]:
    """The Authorization header of a token server's answer, and for how long."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        value = None
    found: Mapping[str, object] = value if isinstance(value, dict) else {}
    token, life = found.get("token") or found.get("access_token"), found.get("expires_in")
    if not isinstance(token, str) or not token.isascii() or not token.isprintable() or " " in token:
        raise UpstreamInvalid(f"{place} answers with no token")
    seconds = float(life) if isinstance(life, int | float) and not isinstance(life, bool) else SHORTEST_LIFE
    return f"Bearer {token}", max(seconds - MARGIN, 1.0)
