"""How often, and with how many uploads at once, one address or one principal may come: what is beyond that gets 429.

Used from the event loop's thread only. Each process counts for itself.
"""

import math
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv6Address
from time import monotonic

from starlette.types import Scope

from auth.access import Caller
from estiva.errors import TooManyRequests
from registry.api.origin import Origin

MOST_KEYS = 20_000
"""Of how many addresses, or principals, something is remembered: beyond that, those that came longest ago go."""

ROUNDING = 1e-6
"""Seconds that count for nothing: sums of floating point are off by less."""


@dataclass(frozen=True, slots=True)
class Allowed:
    """The limits; 0 is none."""

    requests_per_address: float = 0
    """Requests per second."""
    requests_per_principal: float = 0
    burst: float = 10
    """How many seconds' worth of requests may come at once."""
    uploads_per_address: int = 0
    """Bodies of uploads that are received at the same time."""
    uploads_per_principal: int = 0

    @property
    def any(self) -> bool:
        """Whether anything is limited."""
        return any(
            (
                self.requests_per_address,
                self.requests_per_principal,
                self.uploads_per_address,
                self.uploads_per_principal,
            )
        )


class Buckets:
    """A token bucket for each key, kept as the moment at which it will be full again (GCRA)."""

    def __init__(
        self, rate: float, burst: float, clock: Callable[[], float] = monotonic, most: int = MOST_KEYS
    ) -> None:
        """`rate` tokens come per second; 0: none is needed. A full bucket holds `burst` seconds' worth, at least 1."""
        self._interval = 1 / rate if rate else 0.0
        self._span = max(burst, self._interval)
        self._clock = clock
        self._most = most
        self._full_at: OrderedDict[str, float] = OrderedDict()

    def wait(self, key: str) -> float:
        """Seconds until there is a token; 0 where there is one."""
        if not self._interval:
            return 0.0
        now = self._clock()
        wait = max(0.0, self._full_at.get(key, now) - now) + self._interval - self._span
        return wait if wait > ROUNDING else 0.0

    def take(self, key: str) -> float:
        """Take a token and return 0; where there is none, how many seconds to wait."""
        if not self._interval:
            return 0.0
        wait = self.wait(key)
        if not wait:
            now = self._clock()
            self._full_at[key] = max(self._full_at.get(key, now), now) + self._interval
            self._full_at.move_to_end(key)
            if len(self._full_at) > self._most:
                self._full_at.popitem(last=False)
        return wait


class Places:
    """So many places for each key; 0: as many as anybody wants. Holds no more keys than places are taken."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._taken: dict[str, int] = {}

    @contextmanager
    def place(self, key: str) -> Iterator[None]:
        """A place, for as long as the block lasts. TooManyRequests."""
        taken = self._taken.get(key, 0)
        if self._most and taken >= self._most:
            raise TooManyRequests("too many uploads at once", headers={"Retry-After": "1"})
        self._taken[key] = taken + 1
        try:
            yield
        finally:
            self._taken[key] -= 1
            if not self._taken[key]:
                del self._taken[key]


class Limits:
    """Holds those who come to what is allowed."""

    def __init__(self, allowed: Allowed, origin: Origin, clock: Callable[[], float] = monotonic) -> None:
        self._origin = origin
        self._addresses = Buckets(allowed.requests_per_address, allowed.burst, clock)
        self._principals = Buckets(allowed.requests_per_principal, allowed.burst, clock)
        self._uploads_of_addresses = Places(allowed.uploads_per_address)
        self._uploads_of_principals = Places(allowed.uploads_per_principal)
        self._owners: OrderedDict[int, str] = OrderedDict()
        """Whose an Authorization header was, by its hash: remembered answers are given to nobody else."""

    def enter(self, scope: Scope) -> None:
        """Count a request of its address. TooManyRequests."""
        _require(self._addresses.take(self._address(scope)))

    def recognise(self, caller: Caller, authorization: str | None) -> None:
        """Count a request of its principal, where it is not anybody's. TooManyRequests."""
        if caller.principal.is_anonymous:
            return
        owner = caller.principal.owner
        if authorization is not None:
            self._owners[hash(authorization.encode("latin-1"))] = owner
            if len(self._owners) > MOST_KEYS:
                self._owners.popitem(last=False)
        _require(self._principals.take(owner))

    def admits(self, scope: Scope, authorization: bytes) -> bool:
        """Whether a remembered answer may be given now, which then counts; whoever is not known may not have it."""
        address, owner = self._address(scope), ""
        if authorization:
            owner = self._owners.get(hash(authorization), "")
            if not owner or self._principals.wait(owner):
                return False
        if self._addresses.take(address):
            return False
        if owner:
            self._principals.take(owner)
        return True

    @contextmanager
    def uploading(self, scope: Scope, caller: Caller) -> Iterator[None]:
        """Receive the body of an upload in this block. TooManyRequests."""
        with self._uploads_of_addresses.place(self._address(scope)):
            if caller.principal.is_anonymous:
                yield
                return
            with self._uploads_of_principals.place(caller.principal.owner):
                yield

    def _address(self, scope: Scope) -> str:
        return _network(self._origin.address(scope))


def _network(address: str) -> str:
    """The address; of IPv6 the /64, which is what one customer has at least."""
    if ":" not in address:
        return address
    try:
        return str(int(IPv6Address(address.partition("%")[0])) >> 64)
    except ValueError:
        return address


def _require(wait: float) -> None:
    if wait:
        seconds = max(1, math.ceil(wait))
        text = f"too many requests, try again in {seconds} second{'s' if seconds > 1 else ''}"
        raise TooManyRequests(text, headers={"Retry-After": str(seconds)})
