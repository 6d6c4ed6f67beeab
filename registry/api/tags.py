"""/v2/<name>/tags/list and /v2/_catalog"""

import asyncio

from starlette.responses import JSONResponse, Response

from estiva.errors import Unauthorized
from estiva.reference import RepositoryName
from registry import Registry
from registry.api.call import Call
from registry.api.pages import next_link, page_size, page_start
from registry.api.rights import GET_MANIFEST

CATALOG_PAGE = 100
LOOKED_AT_ONCE = 1000
MOST_HIDDEN = 5000
"""So many repositories that the caller may not read one request looks through, or one look more."""


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
    entries, last = await _readable(registry, call, call.admission.cursors.reveal(page_start(call)), size)
    headers = None if last is None else next_link("/v2/_catalog", size, last)
    return JSONResponse({"repositories": entries}, headers=headers)


async def _readable(registry: Registry, call: Call, last: str, size: int) -> tuple[list[str], str | None]:
    """At most `size` repositories that policy lets the caller read, and after what a further page begins, if any.

    That there is more is said only of what the caller may read. Where so much else stands in between that one request
    does not look through it, a cursor leads on, perhaps to nothing.
    """
    readable: list[str] = []
    hidden, more = 0, size > 0
    while more and len(readable) <= size:
        if hidden >= MOST_HIDDEN:
            return readable, call.admission.cursors.hide(last)
        batch = LOOKED_AT_ONCE if hidden else min(size + 1, LOOKED_AT_ONCE)
        page = await registry.listing.repositories(last, batch, call.account)
        names = [RepositoryName(name, call.account) for name in page.entries]
        may = await call.admission.may_each(call.caller, GET_MANIFEST, names)
        readable += [name for name, allowed in zip(page.entries, may, strict=True) if allowed]
        hidden += may.count(False)
        more, last = page.more, page.entries[-1] if page.entries else last
        await asyncio.sleep(0)  # others get their turn
    return readable[:size], readable[size - 1] if len(readable) > size else None
