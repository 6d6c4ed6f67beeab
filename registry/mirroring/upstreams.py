"""The registries that rules name, each with its connections, its sign-in, and how it is doing."""

import time
from collections import OrderedDict
from dataclasses import dataclass

from estiva.errors import RegistryError
from registry.mirroring.credentials import UpstreamCredentials
from registry.mirroring.rules import Rule
from registry.upstream.errors import UpstreamError
from registry.upstream.network import Network
from registry.upstream.remote import RemoteRegistry
from registry.upstream.tokens import Credential

MOST_REMEMBERED = 200
REST = 15.0
"""Seconds for which an upstream that failed is not asked about what is cached anyway."""
LONGEST_REST = 300.0


@dataclass(slots=True)
class Upstream:
    """One upstream as one process knows it."""

    remote: RemoteRegistry
    resting_until: float = 0.0

    @property
    def resting(self) -> float:
        """Seconds for which it should be left alone."""
        return max(self.resting_until - time.monotonic(), 0.0)

    def rest(self, asked: float | None = None) -> None:
        """Leave it alone for a while, for as long as it asked where it did."""
        self.resting_until = time.monotonic() + min(max(asked or 0.0, REST), LONGEST_REST)

    def woke(self) -> None:
        """It answers."""
        self.resting_until = 0.0


class Upstreams:
    """Finds the registry of a rule."""

    def __init__(self, network: Network, credentials: UpstreamCredentials) -> None:
        self.network = network
        self._credentials = credentials
        self._known: OrderedDict[tuple[str, Credential | None], Upstream] = OrderedDict()

    async def of(self, rule: Rule) -> Upstream:
        """The rule's upstream. CredentialUnknown, Unavailable."""
        name = rule.record.credential
        credential = await self._credentials.find(rule.account, name) if name is not None else None
        return self.at(rule.base, credential)

    def at(self, base: str, credential: Credential | None) -> Upstream:
        """The registry at that URL, for whoever has that credential."""
        key = (base, credential)
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = Upstream(RemoteRegistry(self.network, base, credential))
            if len(self._known) > MOST_REMEMBERED:
                self._known.popitem(last=False)
        return known

    async def failure(self, rule: Rule) -> str | None:
        """Why the rule's upstream can't be pulled from just now; None where it lets us in."""
        try:
            await (await self.of(rule)).remote.ping()
        except UpstreamError as error:
            return str(error)
        except RegistryError as error:
            return error.text
        return None

    async def close(self) -> None:
        """Let go of every connection."""
        await self.network.close()
