"""Creating repositories by the way: by the first push to a name, or the first pull through the cache."""

from registry import Registry
from registry.api.call import Call
from registry.api.rights import CREATE_BY_PULL, CREATE_REPOSITORY, IMPORT_UPSTREAM, REPLICATE
from registry.creating import AppliedFor
from registry.pushed import Push
from registry.replicating.replicating import HEADER


async def require_repository(registry: Registry, call: Call) -> None:
    """Return where the path's repository exists, or the caller may create it, which is done then.

    Unauthorized, Denied; NameUnknown where pushes create none.
    """
    if not await _exists_or_may(registry, call):
        await registry.creating.on_push(call.repository, _reason(call), call.caller.actor)


async def require_push(registry: Registry, call: Call) -> Push:
    """The push that the call is: where there is no repository and the caller may create it, one that does so.

    Unauthorized, Denied.
    """
    exists = await _exists_or_may(registry, call)
    actor, name = call.caller.actor, call.repository
    if exists:
        return Push(actor, is_copy(call))
    return Push(actor, is_copy(call), lambda: registry.creating.by_push(name, _reason(call), actor))


async def _exists_or_may(registry: Registry, call: Call) -> bool:
    """Whether the repository exists; where it does not, the caller may create it. Unauthorized, Denied."""
    if is_copy(call):
        await call.require(REPLICATE)
    if await registry.listing.exists(call.repository):
        return True
    await call.require(CREATE_REPOSITORY)
    return False


def _reason(call: Call) -> AppliedFor:
    return AppliedFor.REPLICATION if is_copy(call) else AppliedFor.CREATE_ON_PUSH


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
