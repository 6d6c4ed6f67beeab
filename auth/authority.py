"""Decides by the policies of principals, groups and repositories, and remembers what it decided.

A decision is remembered while nothing that it rests on has changed: the epoch of access tells, and it is looked at
only when the database has been written to at all. Decisions that rest on the request itself (its address, its tag,
the time) are made each time.
"""

import asyncio
import re
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from auth import pull_tokens
from auth.access import Caller, Verdict
from auth.issuers import TrustedIssuers
from auth.keys import SigningKeys
from auth.policy import (
    Document,
    Narrowed,
    Outcome,
    PolicyRequest,
    evaluate,
    parse_identity_policy,
    parse_registry_policy,
    parse_repository_policy,
)
from auth.policy.actions import repository_arn
from auth.policy.keys import PRINCIPAL_KEYS
from auth.policy.managed import MANAGED_POLICIES
from auth.principals import Principal
from auth.sharing import Shared
from estiva.reference import RepositoryName
from storage.metadata import access, policies, registry_settings
from storage.metadata.database import Database

MOST_REMEMBERED = 50_000
# Of these a decision may depend and still be the same for the next request of the same principal.
# Not the claims of a job: two jobs of one name may differ in them.
LASTING_KEYS = PRINCIPAL_KEYS | {"aws:requestedregion"}

_REPOSITORY = re.compile(r"arn:aws:ecr:(?P<region>[^:]+):(?P<account>[0-9]{12}):repository/(?P<name>.+)")

Key = tuple[Principal, str, str]
K = TypeVar("K")
V = TypeVar("V")


class Authority:
    """An `auth.access.Access` for one account. One per process."""

    def __init__(
        self,
        database: Database,
        keys: SigningKeys,
        issuers: TrustedIssuers,
        account: str,
        region: str,
        given: Mapping[str, tuple[str, ...]],
    ) -> None:
        self.account = account
        self.region = region
        self.trusted: Mapping[str, tuple[str, ...]] = given
        """The policies, by name, of principals that are not stored: by what vouches for them."""
        self._given = given
        self._issuers = issuers
        self._database = database
        self._keys = keys
        self._news: int | None = None
        self._epoch = 0
        self._generation = 0
        self._look_together = Shared(self._look)
        self._beginning = asyncio.Lock()
        self._verdicts: OrderedDict[Key, Verdict] = OrderedDict()
        self._identity: OrderedDict[Principal, tuple[Document, ...]] = OrderedDict()
        self._repository: OrderedDict[str, Document | None] = OrderedDict()
        self._registry: OrderedDict[str, Document | None] = OrderedDict()

    def repository_arn(self, name: RepositoryName) -> str:
        """See `Access.repository_arn`."""
        return repository_arn(self.region, name.account or self.account, name)

    async def epoch(self) -> int:
        """A number that grows with every epoch of access; whatever was remembered of an earlier one is forgotten."""
        news = self._database.news()
        if news is None:
            await self._look_together()
        elif news != self._news:
            await self._look()
            self._news = news
        return self._generation

    async def decide(self, caller: Caller, action: str, resource: str, **context: str) -> Verdict:
        """See `Access.decide`."""
        if caller.principal.trust == pull_tokens.TRUST:
            return self._of_task(caller.principal, action, resource)
        if not caller.is_fresh:
            await self.epoch()
        generation = self._generation
        key = (caller.principal, action, resource)
        known = self._verdicts.get(key)
        if known is not None:
            return known
        verdict = await self._evaluate(caller, action, resource, context)
        if verdict.lasting:
            self._remember(generation, self._verdicts, key, verdict)
        return verdict

    def _of_task(self, principal: Principal, action: str, resource: str) -> Verdict:
        """A task may pull one repository, whatever policies say: who ran it was allowed to."""
        repository = self.repository_arn(RepositoryName.of_key(principal.claims[pull_tokens.RESOURCE]))
        return Verdict(pull_tokens.may_pull(principal, action, resource, repository), lasting=False)

    async def allowed_among(self, caller: Caller, action: str, names: Sequence[RepositoryName]) -> list[bool]:
        """See `Access.allowed_among`."""
        if not names:
            return []
        await self.epoch()
        own = set(await self._database.read(policies.repositories_with_policy(names[0], names[-1])))
        documents = await self._identity_documents(caller.principal)
        account = names[0].account
        request = self._request(caller, action, "*", {})
        narrowed = Narrowed(request, documents, await self._registry_document(account))
        allowed = []
        for name in names:
            arn = self.repository_arn(name)
            alone = name.key in own or name.account != account
            allowed.append((await self.decide(caller, action, arn)).allowed if alone else narrowed.allows(arn))
        return allowed

    async def _look(self) -> None:
        epoch = await self._database.read(access.epoch())
        if epoch != self._epoch:
            async with self._beginning:
                if epoch != self._epoch:
                    await self._begin(epoch)

    async def _begin(self, epoch: int) -> None:
        await self._keys.load()
        self.trusted = {**self._given, **(await self._issuers.policies())}
        # At once: what others are about to remember (`_remember`) is of this generation or of none.
        self._verdicts.clear()
        self._identity.clear()
        self._repository.clear()
        self._registry.clear()
        self._epoch = epoch
        self._generation += 1

    def _remember(self, generation: int, kept: OrderedDict[K, V], key: K, value: V) -> None:
        """Keep what was read since that generation began, unless another has begun meanwhile.

        Of all that is kept only the latest stays: whoever asks chooses how many names there are to ask for.
        """
        if generation != self._generation:
            return
        kept[key] = value
        if len(kept) > MOST_REMEMBERED:
            kept.popitem(last=False)

    async def _evaluate(self, caller: Caller, action: str, resource: str, context: dict[str, str]) -> Verdict:
        request = self._request(caller, action, resource, context)
        documents = await self._identity_documents(caller.principal)
        decision = evaluate(request, documents, await self._document_of(resource))
        lasting = decision.depends_on <= LASTING_KEYS
        reason = "" if decision.allowed else decision.reason
        denied = decision.outcome is Outcome.EXPLICIT_DENY
        return Verdict(decision.allowed, lasting, decision.depends_on, reason, denied)

    def _request(self, caller: Caller, action: str, resource: str, context: dict[str, str]) -> PolicyRequest:
        asked = {key: (value,) for key, value in context.items()} | {"aws:requestedregion": (self.region,)}
        who = caller.principal.in_policies(self.account)
        return PolicyRequest(who, action, resource, {**caller.context, **asked})

    async def _identity_documents(self, principal: Principal) -> tuple[Document, ...]:
        known = self._identity.get(principal)
        if known is None:
            generation = self._generation
            known = await self._read_identity_documents(principal)
            self._remember(generation, self._identity, principal, known)
        return known

    async def _read_identity_documents(self, principal: Principal) -> tuple[Document, ...]:
        if principal.id is None:
            names: Sequence[str] = self.trusted.get(principal.trust or "", ())
            texts = [(name, await self._database.read(policies.find(name))) for name in names]
        else:
            attached = await self._database.read(policies.of_principal(principal.id))
            texts = [(policy.name, policy.document) for policy in attached]
        documents = []
        for name, text in texts:
            if text is not None:
                documents.append(parse_identity_policy(text, name))
            elif name in MANAGED_POLICIES:
                documents.append(MANAGED_POLICIES[name])
        return tuple(documents)

    async def _document_of(self, resource: str) -> Document | None:
        """The policy of the repository of that ARN, where it is one and has one."""
        if resource in self._repository:
            return self._repository[resource]
        name = self._repository_of(resource)
        if name is None:
            return None
        generation = self._generation
        text = await self._database.read(policies.of_repository(name))
        own = parse_repository_policy(text) if text is not None else None
        document = _together(own, await self._registry_document(name.account))
        self._remember(generation, self._repository, resource, document)
        return document

    async def _registry_document(self, account: str) -> Document | None:
        """The policy of that account's registry, where it has one: it counts for each of its repositories."""
        if account in self._registry:
            return self._registry[account]
        generation = self._generation
        text = await self._database.read(registry_settings.find(account, registry_settings.POLICY))
        document = parse_registry_policy(text) if text is not None else None
        self._remember(generation, self._registry, account, document)
        return document

    def _repository_of(self, resource: str) -> RepositoryName | None:
        """The repository of that ARN; None where it is that of something else."""
        match = _REPOSITORY.fullmatch(resource)
        if match is None or match["region"] != self.region:
            return None
        account = match["account"]
        return RepositoryName(match["name"], "" if account == self.account else account)


def _together(repository: Document | None, registry: Document | None) -> Document | None:
    """What both say: each allows what it allows, and denies what it denies."""
    if repository is None or registry is None:
        return repository or registry
    return replace(repository, statements=repository.statements + registry.statements)
