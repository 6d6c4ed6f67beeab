"""/v2/<name>/tags/list and /v2/_catalog"""

import asyncio

from starlette.responses import JSONResponse, Response

from estiva.errors import Unauthorized
from estiva.reference import RepositoryName
from registry import Registry
from registry.api.call import Call
from registry.api.pages import next_link, page_size, page_start
from registry.api.rights import GET_MANIFEST
from registry.listing import Page

CATALOG_PAGE = 100


async def get(registry: Registry, call: Call) -> Response:
    """List the repository's tags in byte order."""
    size = page_size(call)
    page = await registry.listing.tags(call.repository, page_start(call), size)
    path = f"/v2/{call.repository}/tags/list"
    headers = next_link(path, size, page.entries[-1]) if page.more and page.entries else None
    return JSONResponse({"name": call.repository.text, "tags": page.entries}, headers=headers)


async def catalog(registry: Registry, call: Call) -> Response:
    """List the repositories that the caller may pull from, in byte order."""
    if call.caller.principal.is_anonymous and call.caller.token is None:
        raise Unauthorized
    size = page_size(call, CATALOG_PAGE)
    page = await _readable(registry, call, page_start(call), size)
    headers = next_link("/v2/_catalog", size, page.entries[-1]) if page.more and page.entries else None
    return JSONResponse({"repositories": page.entries}, headers=headers)


async def _readable(registry: Registry, call: Call, last: str, size: int) -> Page[str]:
    """A page of repositories that policy lets the caller read, whatever its token was issued for."""
    readable: list[str] = []
    more = size > 0
    while more and len(readable) <= size:
        page = await registry.listing.repositories(last, max(size, CATALOG_PAGE), call.account)
        readable += [entry for entry in page.entries if await _is_readable(call, entry)]
        more, last = page.more, page.entries[-1] if page.entries else last
        await asyncio.sleep(0)  # there may be any number that the caller may not read: others get their turn
    # That there is more is said only of what the caller may read, too.
    return Page(readable[:size], len(readable) > size)


async def _is_readable(call: Call, name: str) -> bool:
    return await call.admission.may_by_policy(call.caller, GET_MANIFEST, RepositoryName(name, call.account))
