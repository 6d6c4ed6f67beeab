"""From a signed request to the principal behind its key: access keys, and the accounts of developer mode."""

import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from math import inf
from typing import NamedTuple, Protocol

from auth import sigv4
from auth.access import Caller
from auth.credentials import is_good
from auth.dev_accounts import DevAccounts
from auth.identities import KEY_PURPOSE
from auth.opening import EVERYBODY
from auth.principals import Kind, Principal
from auth.sealing import Seal, SealBrokenError
from auth.sigv4 import Signature, SignatureError, SignedRequest
from storage.metadata import principals
from storage.metadata.database import Database, Work
from storage.metadata.principals import AccessKeyRecord, PrincipalRecord

MOST_REMEMBERED = 10_000
FRESH = 0.1
"""Seconds that a request may take to come and be verified before rights are looked at again."""
UNKNOWN_KEY = "The security token included in the request is invalid."

Context = Mapping[str, tuple[str, ...]]


class Known(NamedTuple):
    """Who has a key, and the secret."""

    principal: Principal
    secret: str
    expires: float | None


class Signer(NamedTuple):
    """Who says to have signed a request: proved once `Signers.verify` has returned.

    `looked_at` is when the epoch of access was looked at for it, in seconds of the monotonic clock.
    """

    signature: Signature
    principal: Principal
    key: bytes
    looked_at: float = -inf


class Signing(Protocol):
    """Says who signed a request."""

    async def begin(self, request: SignedRequest, service: str) -> Signer:
        """The owner of the key that the request names, before its body has been read. SignatureError."""
        ...

    def verify(self, request: SignedRequest, signer: Signer, payload_hash: str, context: Context) -> Caller:
        """Who makes the request, whose body has that SHA-256 in hexadecimal digits. SignatureError."""
        ...


class Signers:
    """Verifies signed requests. One per process.

    Derived keys are remembered by day, region and service, and only while nobody changed any identity.
    """

    def __init__(
        self,
        database: Database,
        seal: Seal,
        epoch: Callable[[], Awaitable[int]],
        dev_accounts: DevAccounts | None = None,
    ) -> None:
        self._database = database
        self._seal = seal
        self._epoch = epoch
        self._dev_accounts = dev_accounts
        self._remembered_in = 0
        self._remembered: OrderedDict[tuple[str, str], tuple[Known, bytes]] = OrderedDict()

    async def begin(self, request: SignedRequest, service: str) -> Signer:
        """See `Signing.begin`."""
        signature = sigv4.parse(request, service)
        sigv4.check_clock(signature)
        now = time.monotonic()
        epoch = await self._epoch()
        if epoch != self._remembered_in:
            self._remembered.clear()
            self._remembered_in = epoch
        place = (signature.key_id, signature.scope)
        found = self._remembered.get(place)
        if found is None:
            known = await self._known(signature.key_id)
            derived = sigv4.signing_key(known.secret, signature.date, signature.region, signature.service)
            found = (known, derived)
            if epoch == self._remembered_in:  # else it was good, and may be no more
                self._remembered[place] = found
            if len(self._remembered) > MOST_REMEMBERED:
                self._remembered.popitem(last=False)
        known, key = found
        if known.expires is not None and known.expires < time.time():
            raise SignatureError("UnrecognizedClientException", UNKNOWN_KEY)
        return Signer(signature, known.principal, key, now)

    def verify(self, request: SignedRequest, signer: Signer, payload_hash: str, context: Context) -> Caller:
        """See `Signing.verify`."""
        sigv4.verify(request, signer.signature, signer.key, payload_hash)
        # Deciding looks again only where the body was long in coming.
        return Caller(signer.principal, None, context, is_fresh=time.monotonic() - signer.looked_at < FRESH)

    async def _known(self, key_id: str) -> Known:
        dev = self._dev_accounts.secret_of(key_id) if self._dev_accounts else None
        if self._dev_accounts and dev is not None:
            return Known(self._dev_accounts.principal(key_id), dev, None)
        found = await self._database.read(owner_of(key_id))
        if found is None or found[0].disabled or not is_good(found[1]):
            raise SignatureError("UnrecognizedClientException", UNKNOWN_KEY)
        key, owner = found
        try:
            secret = self._seal.unseal(KEY_PURPOSE, key.sealed_secret).decode()
        except (SealBrokenError, UnicodeDecodeError):
            raise SignatureError("UnrecognizedClientException", UNKNOWN_KEY) from None
        return Known(Principal(Kind(owner.kind), owner.name, owner.id, key=key.id), secret, owner.expires_at)


class OpenSigners:
    """Takes everybody for the same somebody, whatever the signature (see `auth.opening`)."""

    def __init__(self, dev_accounts: DevAccounts | None = None) -> None:
        self._dev_accounts = dev_accounts

    async def begin(self, request: SignedRequest, service: str) -> Signer:
        """See `Signing.begin`: it has to look like a signature, as its scope and key say region and account."""
        signature = sigv4.parse(request, service)
        principal = EVERYBODY
        if self._dev_accounts and self._dev_accounts.secret_of(signature.key_id) is not None:
            principal = Principal(EVERYBODY.kind, EVERYBODY.name, account=signature.key_id)
        return Signer(signature, principal, b"")

    def verify(self, request: SignedRequest, signer: Signer, payload_hash: str, context: Context) -> Caller:
        """See `Signing.verify`."""
        return Caller(signer.principal, None, context)


def owner_of(key_id: str) -> Work[tuple[AccessKeyRecord, PrincipalRecord] | None]:
    """The access key of that id and whose it is."""
    key = yield from principals.find_key(key_id)
    owner = None if key is None else (yield from principals.get(key.principal_id))
    return None if key is None or owner is None else (key, owner)
