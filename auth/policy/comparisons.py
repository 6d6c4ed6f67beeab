"""What conditions compare besides text: numbers, moments, truth values, networks.

A value of the request that is not of the operator's type matches nothing, so that the negated operators hold for it.
"""

import operator
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any, Self, TypeVar

from auth.policy.errors import InvalidPolicyError, quoted
from auth.policy.matching import Reading

_NUMBER = re.compile(r"[+-]?[0-9]{1,40}(?:\.[0-9]{1,40})?")
_MOMENT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?:T[0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,6})?)?(?:Z|[+-][0-9]{2}:[0-9]{2})?)?"
)
_EPOCH = re.compile(r"[0-9]{1,11}")
T = TypeVar("T")
_TRUTH = {"true": True, "false": False}
_MAPPED_PREFIX = 96
_ORDERS: Mapping[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


@dataclass(frozen=True, slots=True)
class Numbers:
    """Matches a number that stands in the `order` to one of these, as in "is less than one of these"."""

    wanted: tuple[Decimal, ...]
    order: str

    @classmethod
    def parse(cls, texts: Sequence[str], order: str) -> Self:
        """The numbers; InvalidPolicyError where a text is none."""
        return cls(tuple(_all(texts, _number, "a number")), order)

    def matches(self, text: str, _: Reading) -> bool:
        """See `auth.policy.matching.Test`."""
        value = _number(text)
        return value is not None and any(_ORDERS[self.order](value, wanted) for wanted in self.wanted)


@dataclass(frozen=True, slots=True)
class Dates:
    """Matches a moment that stands in the `order` to one of these; ISO 8601 or seconds since 1970."""

    wanted: tuple[datetime, ...]
    order: str

    @classmethod
    def parse(cls, texts: Sequence[str], order: str) -> Self:
        """The moments; InvalidPolicyError where a text is none."""
        return cls(tuple(_all(texts, _moment, "a date")), order)

    def matches(self, text: str, _: Reading) -> bool:
        """See `auth.policy.matching.Test`."""
        value = _moment(text)
        return value is not None and any(_ORDERS[self.order](value, wanted) for wanted in self.wanted)


@dataclass(frozen=True, slots=True)
class Booleans:
    """Matches `true` or `false`, in any case."""

    wanted: frozenset[bool]

    @classmethod
    def parse(cls, texts: Sequence[str]) -> Self:
        """The truth values; InvalidPolicyError where a text is none."""
        return cls(frozenset(_all(texts, _truth, "true or false")))

    def matches(self, text: str, _: Reading) -> bool:
        """See `auth.policy.matching.Test`."""
        return _truth(text) in self.wanted


@dataclass(frozen=True, slots=True)
class Networks:
    """Matches an address inside one of these networks. An IPv4 address written as IPv6 is that IPv4 address."""

    wanted: tuple[IPv4Network | IPv6Network, ...]

    @classmethod
    def parse(cls, texts: Sequence[str]) -> Self:
        """The networks; InvalidPolicyError where a text is neither an address nor in CIDR notation."""
        return cls(tuple(_all(texts, _network, "an IP address or network")))

    def matches(self, text: str, _: Reading) -> bool:
        """See `auth.policy.matching.Test`."""
        address = _address(text)
        return address is not None and any(address in network for network in self.wanted)


def _all(texts: Iterable[str], read: Callable[[str], T | None], what: str) -> Iterator[T]:
    for text in texts:
        value = read(text)
        if value is None:
            raise InvalidPolicyError(f"{quoted(text)} is not {what}")
        yield value


def _number(text: str) -> Decimal | None:
    return Decimal(text) if _NUMBER.fullmatch(text) else None


def _truth(text: str) -> bool | None:
    return _TRUTH.get(text.lower())


def _moment(text: str) -> datetime | None:
    try:
        if _EPOCH.fullmatch(text):
            return datetime.fromtimestamp(int(text), UTC)
        moment = datetime.fromisoformat(text) if _MOMENT.fullmatch(text) else None
    except ValueError:
        # Well-formed, but there is no such day or hour.
        return None
    return moment.replace(tzinfo=UTC) if moment is not None and moment.tzinfo is None else moment


def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address


def _network(text: str) -> IPv4Network | IPv6Network | None:
    try:
        network = ip_network(text, strict=False)
    except ValueError:
        return None
    mapped = network.network_address.ipv4_mapped if isinstance(network, IPv6Network) else None
    if mapped is None or network.prefixlen < _MAPPED_PREFIX:
        return network
    return IPv4Network((mapped, network.prefixlen - _MAPPED_PREFIX))
