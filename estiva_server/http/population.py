"""All connections of one process: how many there may be, and one timer that looks at the time limits of all."""

import asyncio
import itertools
from time import monotonic
from typing import Protocol

from .settings import ConnectionSettings

_LOOKED_AT = 64  # connections considered, oldest first, when one must give way
_WAITED_ENOUGH = 1.0
_MOST_LEAVING = 64


class Member(Protocol):
    """What the population needs of a connection."""

    client: tuple[str, int] | None

    def sweep(self, now: float) -> None:
        """Act on time limits that have passed."""

    def waiting_since(self) -> float | None:
        """Since when it has been waiting for a (whole) request; None while it has one."""

    def give_way(self) -> None:
        """Close at once."""


class Population:
    """Admits connections up to the caps, and sweeps them while there are any."""

    def __init__(self, settings: ConnectionSettings) -> None:
        self._settings = settings
        self._members: dict[Member, None] = {}
        self._per_client: dict[str, int] = {}
        self._leaving: dict[Member, None] = {}
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._members)

    def admit(self, member: Member, loop: asyncio.AbstractEventLoop) -> bool:
        """Take `member` in, unless a cap is reached. At the overall cap one that only waits gives way."""
        address = _address(member)
        if self._per_client.get(address, 0) >= self._settings.max_connections_per_client:
            return False
        if len(self._members) >= self._settings.max_connections and not self._make_room():
            return False
        self._members[member] = None
        self._per_client[address] = self._per_client.get(address, 0) + 1
        if self._timer is None:
            self._arm(loop)
        return True

    def see_out(self, member: Member, loop: asyncio.AbstractEventLoop) -> bool:
        """Sweep a member that was not admitted while it is told so; False when too many are being told already."""
        if len(self._leaving) >= _MOST_LEAVING:
            return False
        self._leaving[member] = None
        if self._timer is None:
            self._arm(loop)
        return True

    def leave(self, member: Member) -> None:
        """Forget `member`, if it is known."""
        self._leaving.pop(member, None)
        if member not in self._members:
            return
        del self._members[member]
        address = _address(member)
        left = self._per_client[address] - 1
        if left:
            self._per_client[address] = left
        else:
            del self._per_client[address]

    def _make_room(self) -> bool:
        limit = monotonic() - _WAITED_ENOUGH
        for member in itertools.islice(self._members, _LOOKED_AT):
            since = member.waiting_since()
            if since is not None and since < limit:
                self.leave(member)
                member.give_way()
                return True
        return False

    def _arm(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = loop.call_later(self._settings.sweep_interval, self._sweep, loop)

    def _sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        now = monotonic()
        for member in (*self._members, *self._leaving):
            member.sweep(now)
        if self._members or self._leaving:
            self._arm(loop)
        else:
            self._timer = None


def _address(member: Member) -> str:
    return member.client[0] if member.client else ""
