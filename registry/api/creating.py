"""Create on push: the first push to a name creates its repository, for whoever may create one."""

from registry import Registry
from registry.api.call import Call
from registry.api.rights import CREATE_REPOSITORY


async def require_repository(registry: Registry, call: Call) -> None:
    """Return where the path's repository exists, or the caller may create it. Unauthorized, Denied."""
    if not await registry.listing.exists(call.repository):
        await call.require(CREATE_REPOSITORY)
