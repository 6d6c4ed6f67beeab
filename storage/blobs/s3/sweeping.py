"""Removing what unfinished uploads leave in a bucket."""

from collections.abc import Collection, Iterator
from contextlib import suppress
from time import time

from storage.blobs import UploadUnknownError
from storage.blobs.names import is_upload_id
from storage.blobs.s3.bucket import Bucket
from storage.blobs.s3.names import Names
from storage.blobs.s3.state import StateObject, UploadState, lease_is_over

GENERATION = 32
"""The length of a generation, which stands for an upload where the upload's own id is lost."""


def stale_uploads(bucket: Bucket, names: Names, older_than: float, held: Collection[str]) -> Iterator[str]:
    """Ids of uploads whose every object is that old and that nobody holds, here or (as far as is known) elsewhere.

    Multipart uploads that no state names (their process died before it could say so) come up under the generation
    of the content that they would have become.
    """
    latest = time() - older_than
    written: dict[str, float] = {}
    for found in bucket.listed(names.uploads):
        upload_id = names.upload_of(found.name)
        if upload_id is not None:
            written[upload_id] = max(found.modified, written.get(upload_id, 0.0))
    for upload_id, moment in written.items():
        if moment <= latest and upload_id not in held and not _is_held(bucket, names, upload_id):
            yield upload_id
    yield from _orphans(bucket, names, latest, written)


def _is_held(bucket: Bucket, names: Names, upload_id: str) -> bool:
    record = StateObject(bucket, names.state(upload_id), upload_id)
    try:
        age = record.load()
    except UploadUnknownError:
        return False  # only a tail is left
    return record.state.holder != "" and not lease_is_over(age)


def _orphans(bucket: Bucket, names: Names, latest: float, upload_ids: Collection[str]) -> Iterator[str]:
    old = [multipart for multipart in bucket.multiparts(names.large_content) if multipart.initiated <= latest]
    if not old:
        return
    known = {
        large.generation for large in (_state(bucket, names, upload_id).large for upload_id in upload_ids) if large
    }
    yield from sorted({multipart.name.removeprefix(names.large_content) for multipart in old} - known)


def _state(bucket: Bucket, names: Names, upload_id: str) -> UploadState:
    record = StateObject(bucket, names.state(upload_id), upload_id)
    with suppress(UploadUnknownError):
        record.load()
    return record.state


def discard(bucket: Bucket, names: Names, upload_id: str) -> None:
    """Remove an upload's state, so that it can't be continued or committed, and then everything it stored."""
    large = (state := _state(bucket, names, upload_id)).large
    bucket.delete([names.state(upload_id)])
    if large is not None and large.multipart is not None:
        bucket.abort_multipart(names.large(large.generation), large.multipart)
    if large is not None and not state.ending:
        # It may have been put together by a commit that ended there. Once it is `ending`, it may be a blob.
        bucket.delete([names.large(large.generation)])
    if state.tail is not None:
        bucket.delete([state.tail.name])
    _discard_lost(bucket, names, upload_id)


def _discard_lost(bucket: Bucket, names: Names, upload_id: str) -> None:
    bucket.delete([found.name for found in bucket.listed(names.uploads + upload_id + "/")])
    if len(upload_id) == GENERATION and is_upload_id(upload_id):
        for multipart in bucket.multiparts(names.large(upload_id)):
            bucket.abort_multipart(multipart.name, multipart.id)
