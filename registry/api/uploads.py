"""/v2/<name>/blobs/uploads/ and /v2/<name>/blobs/uploads/<id>"""

from collections.abc import Iterator
from contextlib import contextmanager

from starlette.responses import Response

from auth.access import Action, TokenTooSmall
from estiva.digest import Algorithm, Digest
from estiva.errors import BlobUploadOutOfOrder, DigestInvalid, NameInvalid
from estiva.reference import RepositoryName
from registry import Registry
from registry.api.access import asked_scope
from registry.api.call import Call
from registry.api.creating import require_repository
from registry.api.ranges import chunk_start
from registry.api.rights import UPLOAD_AT_ONCE
from registry.begun import UploadKey
from registry.upload_ids import UUID_LENGTH


async def post(registry: Registry, call: Call) -> Response:
    """Begin an upload; or take a whole blob in at once; or mount one that another repository has."""
    registry.uploading.require_room()  # first: a push that is refused leaves no repository behind
    mounted, named = call.value("mount"), call.value("digest")
    digest = None if named is None else Digest.parse(named)
    if mounted is None:
        await registry.uploading.require_quota(call.repository, call.content_length or 1, digest)
    await require_repository(registry, call)
    if mounted is not None:
        return await _mount(registry, call, mounted)
    if digest is not None:
        with call.receiving():
            return await _whole(registry, call, digest)
    algorithm = Algorithm.parse(call.value("digest-algorithm") or Algorithm.SHA256.value)
    return _accepted(call, await registry.uploading.start(call.repository, algorithm, call.owner), 0)


async def get(registry: Registry, call: Call) -> Response:
    """Tell how much of the upload is here."""
    upload_id = call.path["upload"]
    return _accepted(call, upload_id, await registry.uploading.offset(_key(call)), status=204)


async def patch(registry: Registry, call: Call) -> Response:
    """Add a chunk, or a stream of any length."""
    upload_id = call.path["upload"]
    start = chunk_start(call.headers.get("content-range"), call.content_length)
    with call.receiving(), _telling_where_it_ends(call, upload_id):
        if start is None and call.content_length is None:
            offset = await registry.uploading.append_stream(_key(call), call.pour)
        else:
            offset = await registry.uploading.append(_key(call), call.pour, start, call.content_length or 0)
    return _accepted(call, upload_id, offset)


async def put(registry: Registry, call: Call) -> Response:
    """Add the last chunk, if any, and close the upload under its digest."""
    upload_id, named = call.path["upload"], call.value("digest")
    if named is None:
        raise DigestInvalid("the digest parameter is missing")
    digest = Digest.parse(named)
    start = chunk_start(call.headers.get("content-range"), call.content_length)
    with call.receiving(), _telling_where_it_ends(call, upload_id):
        content = await call.small_body()
        if content is not None:
            await registry.uploading.finish_whole(_key(call), digest, content, start)
        else:
            await registry.uploading.finish(_key(call), digest, call.pour, start, call.content_length or 0)
    return _created(call, digest)


async def delete(registry: Registry, call: Call) -> Response:
    """Cancel the upload."""
    await registry.uploading.cancel(_key(call))
    return Response(status_code=204)


async def _whole(registry: Registry, call: Call, digest: Digest) -> Response:
    await call.require(UPLOAD_AT_ONCE)
    content = await call.small_body()
    if content is not None:
        await registry.uploading.take(call.repository, digest, content)
        return _created(call, digest)
    upload_id = await registry.uploading.start(call.repository, digest.algorithm, call.owner)
    try:
        await registry.uploading.finish(UploadKey(call.repository, upload_id, call.owner), digest, call.pour)
    except BaseException:
        # Nobody was told of this upload, so nobody will continue it.
        await registry.uploading.discard([upload_id])
        raise
    return _created(call, digest)


async def _mount(registry: Registry, call: Call, named: str) -> Response:
    digest = Digest.parse(named)
    sources = await _readable_sources(registry, call, digest)
    if sources and await registry.uploading.mount(call.repository, digest, sources):
        return _created(call, digest)
    return _accepted(call, await registry.uploading.start(call.repository, digest.algorithm, call.owner), 0)


async def _readable_sources(registry: Registry, call: Call, digest: Digest) -> list[RepositoryName]:
    """Where the blob may be mounted from: the repository named, or any, that this caller may read.

    TokenTooSmall where the caller may and the token does not say so: with a token for both it goes on.
    """
    named = call.value("from")
    try:
        candidates = (
            [RepositoryName.parse(named).within(call.account)] if named else await _holders(registry, call, digest)
        )
    except NameInvalid:
        return []  # what can't exist has no blobs: answered like any other repository that lacks it
    readable = [source for source in candidates if await call.may_read(source)]
    granted = [source for source in readable if call.is_granted(source)]
    if readable and not granted:
        call.further_scopes.append(asked_scope(readable[0], Action.PULL))
        raise TokenTooSmall
    return granted


async def _holders(registry: Registry, call: Call, digest: Digest) -> list[RepositoryName]:
    return [name for name in await registry.uploading.holders(digest) if name.account == call.account]


def _key(call: Call) -> UploadKey:
    return UploadKey(call.repository, call.path["upload"], call.owner)


@contextmanager
def _telling_where_it_ends(call: Call, upload_id: str) -> Iterator[None]:
    try:
        yield
    except BlobUploadOutOfOrder as error:
        error.headers.update(_progress(call, upload_id, error.detail["offset"]))
        raise


def _accepted(call: Call, upload_id: str, offset: int, status: int = 202) -> Response:
    response = Response(status_code=status, headers=_progress(call, upload_id, offset))
    if status != 204:
        response.headers["Content-Length"] = "0"
    return response


def _progress(call: Call, upload_id: str, offset: int) -> dict[str, str]:
    # A relative location is right under every host name and behind every proxy.
    return {
        "Location": f"/v2/{call.repository}/blobs/uploads/{upload_id}",
        "Range": f"0-{max(offset - 1, 0)}",
        "Docker-Upload-UUID": upload_id[:UUID_LENGTH],
    }


def _created(call: Call, digest: Digest) -> Response:
    headers = {
        "Location": f"/v2/{call.repository}/blobs/{digest}",
        "Docker-Content-Digest": str(digest),
        "Content-Length": "0",
    }
    return Response(status_code=201, headers=headers)
