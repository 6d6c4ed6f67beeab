"""What a request says of its own origin: address, scheme, host. Nothing of it is trusted further than it must be."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address

from starlette.datastructures import Headers
from starlette.types import Scope

from estiva.errors import RequestInvalid

_HOST = re.compile(r"[A-Za-z0-9.-]{1,255}(:[0-9]{1,5})?|\[[0-9A-Fa-f:.]{2,45}\](:[0-9]{1,5})?")


@dataclass(frozen=True)
class Origin:
    """Reads where requests come from and what this server is called there.

    Only what a trusted proxy says of address and scheme counts in policies. Scheme and host for links to
    ourselves are taken from any request, as they go back to whoever sent them and to nobody else.
    """

    public_url: str | None = None
    trusted_proxies: Sequence[IPv4Network | IPv6Network] = ()
    account: str = "000000000000"
    region: str = "us-east-1"

    @cached_property
    def _accounts_host(self) -> re.Pattern[str] | None:
        """What host names look like that name an account, where they do."""
        if self.public_url is None or "{account}" not in self.public_url:
            return None
        host = re.escape(self.public_url.partition("://")[2].replace("{region}", self.region))
        return re.compile(
            host.replace(re.escape("{account}"), "(?P<account>[0-9]{12})", 1) + "(?::[0-9]{1,5})?", re.IGNORECASE
        )

    def context(self, scope: Scope) -> Mapping[str, tuple[str, ...]]:
        """The condition keys that every request has, as policies name them; found out when first asked for."""
        return _Context(self, scope)

    def conditions(self, scope: Scope) -> dict[str, tuple[str, ...]]:
        """The condition keys that this request has at this moment."""
        headers = Headers(scope=scope)
        address, trusted = self._address(scope, headers)
        scheme = _forwarded_scheme(scope, headers) if trusted else scope["scheme"]
        now = datetime.now(UTC)
        context: dict[str, tuple[str, ...]] = {
            "aws:sourceip": (address,),
            "aws:useragent": (headers.get("user-agent", ""),),
            "aws:securetransport": ("true" if scheme == "https" else "false",),
            "aws:epochtime": (str(int(now.timestamp())),),
            "aws:currenttime": (f"{now:%Y-%m-%dT%H:%M:%SZ}",),
        }
        referer = headers.get("referer")
        return context if referer is None else context | {"aws:referer": (referer,)}

    def address(self, scope: Scope) -> str:
        """The address of whoever makes the request: as a trusted proxy tells it, else the connection's."""
        return self._address(scope, Headers(scope=scope))[0]

    def base_url(self, scope: Scope, account: str | None = None) -> str:
        """Where this server is for the client that asks: the public URL that was configured, else what it used.

        With `account`, where that account's registry is; else the one that the request was for. RequestInvalid for
        what is no host name.
        """
        if self.public_url is not None:
            named = account or self.account_of_host(scope) or self.account
            return self.public_url.rstrip("/").replace("{account}", named).replace("{region}", self.region)
        headers = Headers(scope=scope)
        host = headers.get("x-forwarded-host") or headers.get("host") or ""
        if _HOST.fullmatch(host) is None:
            raise RequestInvalid("malformed Host")
        return f"{_forwarded_scheme(scope, headers)}://{host}"

    @property
    def tells_accounts_by_host(self) -> bool:
        """Whether the host name of a request says whose registry is meant."""
        return self._accounts_host is not None

    def account_of_host(self, scope: Scope) -> str | None:
        """The account whose registry the request's host name is; None where host names tell of none."""
        if self._accounts_host is None:
            return None
        headers = Headers(scope=scope)
        match = self._accounts_host.fullmatch(headers.get("x-forwarded-host") or headers.get("host") or "")
        return match["account"] if match else None

    def _address(self, scope: Scope, headers: Headers) -> tuple[str, bool]:
        """The client's address, and whether a trusted proxy stands before us and told it."""
        client = scope.get("client")
        address = _plain(client[0] if client else "")
        if not self._is_trusted(address):
            return address, False
        # Each proxy adds on the right, or a field after the others; the first from there that is none of ours is the
        # client. What stands before that the client may have written itself.
        for hop in reversed(",".join(headers.getlist("x-forwarded-for")).split(",")):
            if not _is_address(hop.strip()):
                break
            address = _plain(hop.strip())
            if not self._is_trusted(address):
                break
        return address, True

    def _is_trusted(self, address: str) -> bool:
        return _is_address(address) and any(ip_address(address) in network for network in self.trusted_proxies)


class _Context(Mapping[str, tuple[str, ...]]):
    """A request's condition keys. Most requests are decided by what is remembered, and nobody asks for them."""

    __slots__ = ("_known", "_origin", "_scope")

    def __init__(self, origin: Origin, scope: Scope) -> None:
        self._origin = origin
        self._scope = scope
        self._known: dict[str, tuple[str, ...]] | None = None

    @property
    def _all(self) -> dict[str, tuple[str, ...]]:
        if self._known is None:
            self._known = self._origin.conditions(self._scope)
        return self._known

    def __getitem__(self, key: str) -> tuple[str, ...]:
        return self._all[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all)

    def __len__(self) -> int:
        return len(self._all)


def _plain(address: str) -> str:
    """An IPv4 address as such, also where a socket for both families calls it `::ffff:192.0.2.1`."""
    mapped = IPv6Address(address).ipv4_mapped if address.lower().startswith("::ffff:") else None
    return str(mapped) if mapped else address


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _forwarded_scheme(scope: Scope, headers: Headers) -> str:
    forwarded = headers.getlist("x-forwarded-proto")[-1:]
    said = forwarded[0].lower() if forwarded else ""
    scheme: str = said if said in ("http", "https") else scope["scheme"]
    return scheme
