"""Creating repositories by the way: by the first push to a name, or the first pull through the cache."""

from registry import Registry
from registry.api.call import Call
from registry.api.rights import CREATE_BY_PULL, CREATE_REPOSITORY, IMPORT_UPSTREAM, REPLICATE
from registry.creating import AppliedFor
from registry.replicating.replicating import HEADER


async def require_repository(registry: Registry, call: Call) -> None:
    """Return where the path's repository exists, or the caller may create it, which is done then.

    Unauthorized, Denied; NameUnknown where pushes create none.
    """
    if is_copy(call):
        await call.require(REPLICATE)
    if not await registry.listing.exists(call.repository):
        await call.require(CREATE_REPOSITORY)
        reason = AppliedFor.REPLICATION if is_copy(call) else AppliedFor.CREATE_ON_PUSH
        await registry.creating.on_push(call.repository, reason, call.caller.actor)


def is_copy(call: Call) -> bool:
    """Whether another registry replicates to here, which takes a right of its own."""
    return HEADER in call.headers


class Importing:
    """Whoever makes the call, as `registry.mirroring.cache.Importer`."""

    def __init__(self, call: Call) -> None:
        self._call = call

    async def may_import(self) -> bool:
        """See `Importer.may_import`."""
        call = self._call
        return await call.admission.may_by_policy(call.caller, IMPORT_UPSTREAM, call.repository)

    async def require_import(self, exists: bool) -> None:
        """See `Importer.require_import`."""
        await self._call.require(IMPORT_UPSTREAM)
        if not exists:
            await self._call.require(CREATE_BY_PULL)
