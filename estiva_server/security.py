"""Puts the parts of `auth` together, for one process."""

from dataclasses import dataclass

from auth.access import Access
from auth.authority import Authority
from auth.credentials import HTPASSWD, Credentials, PassTokens
from auth.dev_accounts import DevAccounts
from auth.gate import Gate
from auth.htpasswd import Htpasswd
from auth.identities import Identities
from auth.issuers import TrustedIssuers
from auth.issuing import TokenService
from auth.keys import SigningKeys
from auth.opening import OpenAccess, OpenDoor
from auth.pass_holders import PassHolders
from auth.passes import USERNAME as AWS
from auth.passes import Passes
from auth.policies import Policies
from auth.pull_tokens import TRUST, PullTokens
from auth.pull_tokens import USERNAME as TASK
from auth.sealing import Seal, load_or_create_key
from auth.signers import OpenSigners, Signers, Signing
from auth.threads import Threads
from auth.tokens import Tokens
from auth.uses import PolicyUses
from estiva_server.config import Settings
from registry.api.access import Admission, Doorkeeper
from registry.api.cursors import Cursors
from registry.api.limits import Allowed, Limits
from registry.api.origin import Origin
from storage.metadata.database import Database
from storage.metadata.opening import sqlite_file

MASTER_KEY_FILE = "master.key"
ISSUER = "estiva"


@dataclass(frozen=True, slots=True)
class Security:
    """Who may come in, and what they may do."""

    account: str
    admission: Admission
    credentials: Credentials
    gate: Gate
    identities: Identities
    issuers: TrustedIssuers
    keys: SigningKeys
    policies: Policies
    seal: Seal
    passes: Passes
    pull_tokens: PullTokens
    signing: Signing
    threads: Threads
    issuer_threads: Threads
    token_service: TokenService

    def close(self) -> None:
        """End the threads when what they run has ended."""
        self.threads.close()
        self.issuer_threads.close()


def build_security(settings: Settings, database: Database) -> Security:
    """The parts of `auth` on this database. `HtpasswdError`, ValueError for a master key that is none."""
    seal = Seal(master_key(settings))
    threads = Threads()
    tokens = Tokens(ISSUER, settings.token_service, settings.token_life)
    keys = SigningKeys(database, seal, tokens)
    htpasswd = Htpasswd(settings.htpasswd) if settings.htpasswd else None
    dev_accounts = DevAccounts() if settings.dev_accounts else None
    given = _policies_of_the_unstored(settings)
    # Of their own, so that an issuer that does not answer keeps nobody from signing in.
    issuer_threads = Threads(4, name="issuer")
    issuers = TrustedIssuers(database, issuer_threads, private=settings.private_issuers)
    authority = Authority(database, keys, issuers, settings.account, settings.region, given)
    passes = Passes(seal)
    pull_tokens = PullTokens(seal)
    passwords: dict[str, PassTokens] = {AWS: PassHolders(database, passes, dev_accounts), TASK: pull_tokens}
    credentials = Credentials(database, seal, threads, authority.epoch, htpasswd, issuers, passwords)
    uses = PolicyUses(frozenset(given.get(HTPASSWD, ())))
    gate = Gate(database, authority, credentials, tokens)
    origin = Origin(settings.public_url, tuple(settings.trusted_proxies), settings.account, settings.region)
    limits = _limits(settings, origin)
    doorkeeper: Doorkeeper = OpenDoor() if settings.open else gate
    access: Access = OpenAccess(authority.repository_arn) if settings.open else authority
    return Security(
        account=settings.account,
        admission=Admission(doorkeeper, access, origin, settings.token_service, Cursors(seal), limits),
        credentials=credentials,
        gate=gate,
        identities=Identities(database, seal, threads, uses),
        issuers=issuers,
        keys=keys,
        policies=Policies(database, uses),
        seal=seal,
        passes=passes,
        pull_tokens=pull_tokens,
        signing=OpenSigners(dev_accounts) if settings.open else Signers(database, seal, authority.epoch, dev_accounts),
        threads=threads,
        issuer_threads=issuer_threads,
        token_service=TokenService(database, authority, tokens),
    )


def _limits(settings: Settings, origin: Origin) -> Limits | None:
    """How often one may come; None where nothing is limited, which then costs nothing."""
    allowed = Allowed(
        settings.requests_per_address,
        settings.requests_per_principal,
        settings.request_burst,
        settings.uploads_per_address,
        settings.uploads_per_principal,
    )
    return Limits(allowed, origin) if allowed.any else None


def _policies_of_the_unstored(settings: Settings) -> dict[str, tuple[str, ...]]:
    """The policies of principals that are in no table, by what vouches for them."""
    given: dict[str, tuple[str, ...]] = {TRUST: ()}  # what a task may do is in its password
    if settings.htpasswd:
        given[HTPASSWD] = tuple(settings.htpasswd_policies)
    if settings.dev_accounts:
        given[DevAccounts.TRUST] = DevAccounts.POLICIES
    return given


def master_key(settings: Settings) -> bytes:
    """The key that seals secrets. ValueError where it is none."""
    if settings.master_key is not None:
        key = bytes.fromhex(settings.master_key.get_secret_value())
        if len(key) != 32:
            raise ValueError("master_key is not 64 hexadecimal digits")
        return key
    file = settings.data / MASTER_KEY_FILE
    if sqlite_file(settings.database) is None and not file.exists():
        # One made here would be this replica's own: the others, or the next container, could unseal nothing.
        raise ValueError("PostgreSQL needs master_key, the same for all replicas: ESTIVA_MASTER_KEY or _FILE")
    return load_or_create_key(file)
