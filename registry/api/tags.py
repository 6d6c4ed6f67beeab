"""/v2/<name>/tags/list and /v2/_catalog"""

from starlette.responses import JSONResponse, Response

from registry import Registry
from registry.api.call import Call
from registry.api.pages import next_link, page_size, page_start

CATALOG_PAGE = 100


async def get(registry: Registry, call: Call) -> Response:
    """List the repository's tags in byte order."""
    size = page_size(call)
    page = await registry.listing.tags(call.repository, page_start(call), size)
    path = f"/v2/{call.repository}/tags/list"
    headers = next_link(path, size, page.entries[-1]) if page.more and page.entries else None
    return JSONResponse({"name": call.repository.text, "tags": page.entries}, headers=headers)


async def catalog(registry: Registry, call: Call) -> Response:
    """List the repositories in byte order."""
    size = page_size(call, CATALOG_PAGE)
    page = await registry.listing.repositories(page_start(call), size)
    headers = next_link("/v2/_catalog", size, page.entries[-1]) if page.more and page.entries else None
    return JSONResponse({"repositories": page.entries}, headers=headers)
