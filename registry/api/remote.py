"""Blobs that another server has: a redirect to it, or its bytes passed on."""

import asyncio
from math import inf

from starlette.responses import Response

from registry import Registry
from registry.api import passing
from registry.api.call import Call
from registry.api.files import Verify
from registry.api.relaying import HandedOver, PassedOn
from registry.api.repeating import repeatable_head
from registry.elsewhere import Elsewhere
from registry.verifying import Reading
from storage.blobs.direct import Wanted
from storage.metadata.blobs import BlobRecord

Span = tuple[int, int]
"""Offset and length."""


async def answer(
    registry: Registry, call: Call, blob: BlobRecord, part: Span | None, headers: dict[str, str]
) -> Response | PassedOn | HandedOver:
    """The answer to GET or HEAD of a blob that is elsewhere. HEAD asks nobody there."""
    elsewhere = registry.pulling.elsewhere
    assert elsewhere is not None
    if call.method == "HEAD":
        response = Response(headers={**headers, "Content-Length": str(blob.size)})
        holds = inf if blob.promised_at is None else registry.pulling.word_holds_for
        repeatable_head(call, response, blob.size, at_most=holds)
        return response
    if elsewhere.redirects(lambda: _came_encrypted(call)):
        where = {"Location": elsewhere.url_of(blob.key), "Docker-Content-Digest": str(blob.digest)}
        # A cache that kept this would send clients to an address that is no longer good.
        return Response(status_code=307, headers={**where, "Content-Length": "0", "Cache-Control": "no-store"})
    # Whoever drives this only to see whether it has to wait finds out before S3 is asked for anything.
    await asyncio.sleep(0)
    offset, length = part or (0, blob.size)
    verify = None if part is not None else _verification(registry, blob, elsewhere)
    if part is not None:
        headers["Content-Range"] = f"bytes {offset}-{offset + length - 1}/{blob.size}"
    if verify is None and length and passing.EXTENSION in (call.scope.get("extensions") or {}):
        wanted = Wanted(offset, length, blob.size)
        body = await registry.pulling.connect(blob, wanted)
        if body is not None:
            return HandedOver(body, wanted, headers, elsewhere, lambda at: registry.pulling.open(blob, at))
    file = await registry.pulling.open(blob, offset)
    status_code = 200 if part is None else 206
    return PassedOn(file, length, headers, elsewhere, status_code=status_code, verify=verify)


def _came_encrypted(call: Call) -> bool:
    return call.admission.origin.base_url(call.scope).startswith("https:")


def _verification(registry: Registry, blob: BlobRecord, elsewhere: Elsewhere) -> Verify | None:
    """How to verify a blob's bytes while they are passed on, None where that has been done."""
    if registry.pulling.proven_for(blob):
        return None
    reading = Reading(blob.digest, blob.size)

    async def verify(piece: bytes, is_last: bool) -> None:
        await asyncio.get_running_loop().run_in_executor(elsewhere.threads, reading.take, piece)
        if is_last and not await registry.pulling.judge(blob, reading):
            raise ConnectionAbortedError("the blob's bytes are wrong")

    return verify
