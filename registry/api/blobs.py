"""/v2/<name>/blobs/<digest>"""

import asyncio
from math import inf
from typing import BinaryIO

from starlette.responses import Response

from estiva.digest import Digest
from registry import Registry
from registry.api import remote
from registry.api.arriving import ArrivingResponse
from registry.api.call import Call
from registry.api.creating import Importing
from registry.api.files import FileResponse, Verify
from registry.api.ranges import asked_range
from registry.api.relaying import HandedOver, PassedOn
from registry.api.repeating import repeatable, unchanged, unchanged_by
from registry.mirroring.arriving import ArrivingBlob
from registry.mirroring.cache import RemoteSize
from registry.verifying import Reading
from storage.blobs.identity import Identity, identity_of_opened
from storage.metadata.blobs import BlobRecord

READ_INLINE = 64 * 1024
READ_FIRST = 64 * 1024 * 1024


async def get(registry: Registry, call: Call) -> Response | FileResponse | ArrivingResponse | PassedOn | HandedOver:
    """Send the blob, or the range of it that is asked for."""
    digest = Digest.parse(call.path["digest"])
    find = registry.cache.look_at if call.method == "HEAD" else registry.cache.blob
    blob = await find(call.repository, digest, Importing(call))
    headers = {
        "Content-Type": "application/octet-stream",
        "Docker-Content-Digest": str(digest),
        "ETag": f'"{digest}"',
        "Accept-Ranges": "bytes",
        "Cache-Control": "max-age=31536000",
    }
    if unchanged_by(call, digest):
        return unchanged(headers)
    part = asked_range(_range_header(call, digest), blob.size)
    if not isinstance(blob, BlobRecord):
        return _from_upstream(blob, part, headers)
    if registry.pulling.elsewhere is not None:
        return await remote.answer(registry, call, blob, part, headers)
    file = await registry.pulling.open(blob)
    if part is None:
        identity = identity_of_opened(file)
        verify = await _verification(registry, call, blob, file, identity)
        response = FileResponse(file, 0, blob.size, headers, verify=verify, slots=registry.pulling.slots)
        if verify is None:
            proven_for = registry.pulling.proven_for(blob, identity)
            holds = inf if blob.promised_at is None else registry.pulling.word_holds_for
            response.identity = identity
            repeatable(call, response, at_most=min(holds, proven_for or inf), sendable=proven_for > 0)
        return response
    offset, length = part
    headers["Content-Range"] = f"bytes {offset}-{offset + length - 1}/{blob.size}"
    return FileResponse(file, offset, length, headers, status_code=206)


async def _verification(
    registry: Registry, call: Call, blob: BlobRecord, file: BinaryIO, identity: Identity
) -> Verify | None:
    """How to verify a blob's bytes while they are sent, None where that has been done. BlobUnknown.

    What is not too large is read before anything is said of it, once for all who wait for it, and then sent by the
    kernel. The rest would keep its clients waiting for too long.
    """
    if call.method != "GET" or registry.pulling.proven_for(blob, identity):
        return None
    if blob.size <= READ_INLINE:
        await registry.pulling.prove(blob, file)
        return None
    if blob.size <= READ_FIRST:
        try:
            await registry.pulling.prove_apart(blob)
        except BaseException:
            file.close()
            raise
        if registry.pulling.proven_for(blob, identity):
            return None  # otherwise another file came in its place after this one was opened
    reading = Reading(blob.digest, blob.size, identity)

    async def verify(piece: bytes, is_last: bool) -> None:
        await asyncio.to_thread(reading.take, piece)
        if is_last and not await registry.pulling.judge(blob, reading):
            raise ConnectionAbortedError("the blob's bytes are wrong")

    return verify


def _from_upstream(
    blob: RemoteSize | ArrivingBlob, part: tuple[int, int] | None, headers: dict[str, str]
) -> Response | ArrivingResponse:
    """The answer with what is not here yet: only its length, or its bytes as they come."""
    if isinstance(blob, RemoteSize):
        return Response(headers={**headers, "Content-Length": str(blob.size)})
    if part is None:
        return ArrivingResponse(blob, 0, blob.size, headers)
    offset, length = part
    headers["Content-Range"] = f"bytes {offset}-{offset + length - 1}/{blob.size}"
    return ArrivingResponse(blob, offset, length, headers, status_code=206)


async def delete(registry: Registry, call: Call) -> Response:
    """Take the blob out of this repository."""
    await registry.deleting.blob(call.repository, Digest.parse(call.path["digest"]))
    return Response(status_code=202, headers={"Content-Length": "0"})


def _range_header(call: Call, digest: Digest) -> str | None:
    """The Range header of a GET, unless If-Range says that it was meant for other content (RFC 9110 section 13.1.5)."""
    if call.method != "GET":
        return None  # no other method has ranges (RFC 9110 section 14.2)
    condition = call.headers.get("if-range")
    if condition is not None and condition.strip().strip('"') != str(digest):
        return None
    return call.headers.get("range")
