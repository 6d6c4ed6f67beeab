"""Quotas as operators set and see them."""

import re

from estiva.errors import RegistryError, RequestInvalid
from estiva.reference import RepositoryName
from storage.metadata import audit, quotas
from storage.metadata.audit import Actor
from storage.metadata.database import Database, Work
from storage.metadata.quotas import ALL, Quota

LARGEST = 2**62
_ACCOUNT = re.compile(r"~([0-9]{12}):(.*)")
RECOUNTED_AT_ONCE = 1000


class QuotaUnknown(RegistryError):
    """There is no quota of that repository or account."""

    code, status, message = "QUOTA_UNKNOWN", 404, "no such quota"


def parse_subject(text: str) -> RepositoryName:
    """Whom a quota is for: a repository by its name, or `*`, the whole account; `~ACCOUNT:` before it names another.

    NameInvalid.
    """
    match = _ACCOUNT.fullmatch(text)
    account, name = (match[1], match[2]) if match else ("", text)
    subject = RepositoryName(ALL) if name == ALL else RepositoryName.parse(name)
    return subject.within(account)


class Quotas:
    """Keeps the quotas."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def put(self, actor: Actor, subject: RepositoryName, limit: int) -> Quota:
        """Set a quota of so many bytes: what is held now, be it more, stays. RequestInvalid. Idempotent."""
        if not 0 <= limit <= LARGEST:
            raise RequestInvalid(f"a quota is a number of bytes from 0 to {LARGEST}")

        def work() -> Work[None]:
            yield from quotas.put(subject, limit)
            yield from audit.record(actor, "PutQuota", f"quota/{subject.key}", limit=limit)

        await self._database.write(work, serializable=False)
        # Again: whoever was entering content into a repository that is new may not have seen that there is a quota.
        await self._database.write(lambda: quotas.recount(subject), serializable=False)
        return await self.find(subject)

    async def find(self, subject: RepositoryName) -> Quota:
        """The quota. QuotaUnknown."""
        found = await self._database.read(quotas.find(subject))
        if found is None:
            raise QuotaUnknown(detail={"quota": subject.key})
        return found

    async def page(self, last: str, limit: int) -> list[Quota]:
        """At most `limit` quotas after the subject of key `last`, in the order of their keys."""
        return await self._database.read(quotas.page(last, limit))

    async def fullest(self, limit: int) -> list[Quota]:
        """At most `limit` quotas, those with the least room first."""
        return await self._database.read(quotas.fullest(limit))

    async def delete(self, actor: Actor, subject: RepositoryName) -> None:
        """Remove a quota. QuotaUnknown."""

        def work() -> Work[None]:
            if not (yield from quotas.delete(subject)):
                raise QuotaUnknown(detail={"quota": subject.key})
            yield from audit.record(actor, "DeleteQuota", f"quota/{subject.key}")

        await self._database.write(work)

    async def recount(self) -> int:
        """Count anew what everyone who has a quota holds: how many figures were others."""
        corrected, last = 0, ""
        while found := await self.page(last, RECOUNTED_AT_ONCE):
            for quota in found:
                corrected += await self._recount(quota.subject)
            last = found[-1].subject.key
        return corrected

    async def _recount(self, subject: RepositoryName) -> bool:
        return await self._database.write(lambda: quotas.recount(subject), serializable=False)
