"""/v2/<name>/tags/list and /v2/_catalog"""

from starlette.responses import JSONResponse, Response

from estiva.errors import Unauthorized
from estiva.reference import RepositoryName
from registry import Registry
from registry.api.call import Call
from registry.api.pages import next_link, page_size, page_start
from registry.api.rights import LIST_TAGS
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
    while True:
        page = await registry.listing.repositories(last, max(size, 1))
        for entry in page.entries:
            if len(readable) == size:
                return Page(readable, True)
            if await call.admission.may_by_policy(call.caller, LIST_TAGS, RepositoryName(entry)):
                readable.append(entry)
        if not page.more:
            return Page(readable, False)
        last = page.entries[-1]
