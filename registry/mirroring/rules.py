"""Which repositories come from which other registry."""

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from estiva.errors import NameInvalid, RegistryError
from estiva.reference import MAX_NAME_LENGTH, RepositoryName
from registry.mirroring.credentials import UpstreamCredentials
from storage.metadata import audit, pull_through
from storage.metadata.audit import Actor
from storage.metadata.database import ConstraintError, Database, Work
from storage.metadata.pull_through import RuleRecord

MOST_RULES = 500
ROOT = "ROOT"
"""What AWS's clients write for the empty prefix."""
DOCKER_HUB = "registry-1.docker.io"
ALIASES = {"docker.io": DOCKER_HUB, "index.docker.io": DOCKER_HUB}
"""Names that people use for a registry whose address is another."""
REMEMBERED_FOR = 1.0
"""Seconds that rules are taken as they were, where the database does not say whether anything has changed."""
_URL = re.compile(r"(?:(https?)://)?([A-Za-z0-9.-]{1,253}(?::[0-9]{1,5})?|\[[0-9A-Fa-f:.]{2,45}\](?::[0-9]{1,5})?)/?")


class RuleInvalid(RegistryError):
    """No rule can be like that; the text says why."""

    code, status, message = "RULE_INVALID", 400, "invalid pull-through cache rule"


class RuleExists(RegistryError):
    """There is a rule for that prefix."""

    code, status, message = "RULE_EXISTS", 409, "there is a rule for that prefix"


class RuleUnknown(RegistryError):
    """There is no rule for that prefix."""

    code, status, message = "RULE_UNKNOWN", 404, "no such rule"


@dataclass(frozen=True, slots=True)
class Rule:
    """Repositories under `prefix` of `account`'s registry are those under the upstream's prefix at `base`."""

    account: str
    record: RuleRecord

    @property
    def prefix(self) -> str:
        """What the names here begin with, without a slash at its end; empty for all of them."""
        return self.record.prefix

    @property
    def base(self) -> str:
        """Scheme, host and port of the upstream."""
        return base_of(self.record.upstream_url)

    @property
    def host(self) -> str:
        """Host and port of the upstream."""
        return self.base.partition("://")[2]

    def covers(self, name: RepositoryName) -> bool:
        """Whether the rule is about that repository."""
        return self.account == name.account and (not self.prefix or name.text.startswith(f"{self.prefix}/"))

    def upstream_name(self, name: RepositoryName) -> RepositoryName:
        """What the upstream calls the repository. NameInvalid where that would be too long."""
        rest = name.text.removeprefix(f"{self.prefix}/") if self.prefix else name.text
        if self.host == DOCKER_HUB and not self.record.upstream_prefix and "/" not in rest:
            rest = f"library/{rest}"
        return _joined(self.record.upstream_prefix, rest, "")

    def local_name(self, upstream: RepositoryName) -> RepositoryName | None:
        """What the upstream's repository is called here; None where the rule does not reach it. NameInvalid."""
        inside = f"{self.record.upstream_prefix}/" if self.record.upstream_prefix else ""
        if not upstream.text.startswith(inside):
            return None
        return _joined(self.prefix, upstream.text.removeprefix(inside), self.account)


class PullThroughRules:
    """The rules, and which of them is about what."""

    def __init__(self, database: Database, credentials: UpstreamCredentials, *, plain_http: bool) -> None:
        self._database = database
        self._credentials = credentials
        self._plain_http = plain_http
        self._version: int | None = None
        self._until = 0.0
        self._rules: dict[str, Sequence[Rule]] = {}

    async def of(self, name: RepositoryName) -> Rule | None:
        """The rule with the longest prefix that covers the repository."""
        found = next((rule for rule in await self._all(name.account) if rule.covers(name)), None)
        if found is not None and not found.prefix:
            # A repository of one's own is not to be filled up by whoever has one of its name elsewhere.
            own = await self._database.read(pull_through.is_cached(name)) is False
            return None if own else found
        return found

    async def for_namespace(self, account: str, host: str, name: RepositoryName) -> RepositoryName | None:
        """The repository here for one of the registry `host`; None where no rule is about that registry."""
        wanted = ALIASES.get(host, host)
        for rule in await self._all(account):
            if rule.host == wanted and (found := rule.local_name(name)) is not None:
                return found
        return None

    async def create(self, actor: Actor, account: str, record: RuleRecord) -> Rule:
        """A new rule. RuleInvalid, RuleExists, CredentialUnknown."""
        wanted = replace(
            record,
            prefix=parse_prefix(record.prefix),
            upstream_prefix=parse_prefix(record.upstream_prefix),
            credential=await self._credential(account, record),
        )
        self._check_url(record.upstream_url)

        def work() -> Work[RuleRecord]:
            if len((yield from pull_through.page(account, None, MOST_RULES))) >= MOST_RULES:
                raise RuleInvalid(f"there are {MOST_RULES} rules already")
            if not (yield from pull_through.create(account, wanted)):
                raise RuleExists(detail={"prefix": wanted.prefix or ROOT})
            yield from audit.record(
                actor, "CreatePullThroughCacheRule", f"rule/{wanted.prefix or ROOT}", upstream=wanted.upstream_url
            )
            return (yield from _stored(account, wanted.prefix))

        return await self._written(account, work)

    async def update(self, actor: Actor, account: str, record: RuleRecord) -> Rule:
        """Give a rule another credential, or none. RuleUnknown, CredentialUnknown."""
        wanted = replace(record, prefix=parse_prefix(record.prefix), credential=await self._credential(account, record))

        def work() -> Work[RuleRecord]:
            if not (yield from pull_through.update(account, wanted)):
                raise RuleUnknown(detail={"prefix": wanted.prefix or ROOT})
            yield from audit.record(actor, "UpdatePullThroughCacheRule", f"rule/{wanted.prefix or ROOT}")
            return (yield from _stored(account, wanted.prefix))

        return await self._written(account, work)

    async def delete(self, actor: Actor, account: str, prefix: str) -> Rule:
        """Remove a rule; what was cached stays and can be pulled. The rule as it was. RuleUnknown."""
        wanted = parse_prefix(prefix)

        def work() -> Work[RuleRecord]:
            found = yield from _stored(account, wanted)
            yield from pull_through.delete(account, wanted)
            yield from audit.record(actor, "DeletePullThroughCacheRule", f"rule/{wanted or ROOT}")
            return found

        return await self._written(account, work)

    async def find(self, account: str, prefix: str) -> Rule:
        """The rule of exactly that prefix. RuleUnknown."""
        return Rule(account, await self._database.read(_stored(account, parse_prefix(prefix))))

    async def page(self, account: str, last: str | None, limit: int) -> list[Rule]:
        """At most `limit` rules after prefix `last`, from the first where that is None."""
        return [Rule(account, record) for record in await self._database.read(pull_through.page(account, last, limit))]

    async def _all(self, account: str) -> Sequence[Rule]:
        """Every rule of the account, the longest prefix first."""
        version = self._database.version()
        if version != self._version or (version is None and time.monotonic() > self._until):
            self._rules.clear()
            self._version, self._until = version, time.monotonic() + REMEMBERED_FOR
        known = self._rules.get(account)
        if known is None:
            records = await self._database.read(pull_through.page(account, None, MOST_RULES))
            known = sorted((Rule(account, one) for one in records), key=lambda rule: -len(rule.prefix))
            self._rules[account] = known
        return known

    async def _credential(self, account: str, record: RuleRecord) -> str | None:
        if record.credential is not None:
            await self._credentials.find(account, record.credential)
            return record.credential
        if record.credential_arn is not None:
            return await self._credentials.named_by(account, record.credential_arn)
        return None

    async def _written(self, account: str, work: Callable[[], Work[RuleRecord]]) -> Rule:
        try:
            record = await self._database.write(work)
        except ConstraintError:
            raise RuleInvalid("its credential was removed just now") from None
        self._rules.pop(account, None)
        return Rule(account, record)

    def _check_url(self, url: str) -> None:
        match = _URL.fullmatch(url)
        if match is None:
            raise RuleInvalid("the upstream registry's URL is a host, with a port where it needs one")
        if match.group(1) == "http" and not self._plain_http:
            raise RuleInvalid("plain http is spoken with ESTIVA_PRIVATE_UPSTREAMS=true only")


def parse_prefix(text: str) -> str:
    """A prefix as it is stored: `ROOT` is the empty one, a slash at the end counts for nothing. RuleInvalid."""
    prefix = "" if text == ROOT else text.removesuffix("/")
    if prefix:
        try:
            RepositoryName.parse(prefix)
        except NameInvalid:
            raise RuleInvalid("a prefix is the first part of a repository's name, or ROOT") from None
    return prefix


def base_of(url: str) -> str:
    """Scheme, host and port: https where the URL names no scheme."""
    url = url.removesuffix("/")
    return url if "://" in url else f"https://{url}"


def _stored(account: str, prefix: str) -> Work[RuleRecord]:
    found = yield from pull_through.find(account, prefix)
    if found is None:
        raise RuleUnknown(detail={"prefix": prefix or ROOT})
    return found


def _joined(prefix: str, rest: str, account: str) -> RepositoryName:
    text = f"{prefix}/{rest}" if prefix else rest
    if len(text) > MAX_NAME_LENGTH:
        raise NameInvalid(detail=text[:MAX_NAME_LENGTH])
    return RepositoryName(text, account)
