"""Byte ranges: of a download (RFC 9110 section 14) and of an upload's chunk (specification, "Pushing in chunks")."""

import re

from estiva.errors import BlobUploadInvalid, RangeNotSatisfiable, SizeInvalid

_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")
_CONTENT_RANGE = re.compile(r"(?:bytes )?(\d{1,18})-(\d{1,18})(?:/(?:\d{1,18}|\*))?")


def asked_range(header: str | None, size: int) -> tuple[int, int] | None:
    """Offset and length of the one range that is asked for; None where the whole is to be sent.

    A range set that is malformed or has several ranges is ignored, as RFC 9110 allows. RangeNotSatisfiable
    for one that lies outside.
    """
    match = _RANGE.fullmatch(header.strip()) if header else None
    if match is None or match.groups() == ("", ""):
        return None
    first, last = match.groups()
    if first == "":
        length = min(int(last), size)
        offset = size - length
    else:
        offset = int(first)
        if last and int(last) < offset:
            raise _not_satisfiable(size)
        length = min(int(last) if last else size - 1, size - 1) - offset + 1
    if length <= 0 or offset >= size:
        raise _not_satisfiable(size)
    return offset, length


def chunk_start(header: str | None, content_length: int | None) -> int | None:
    """Where an upload's chunk says that it begins; None where it does not say.

    BlobUploadInvalid for what is no range, SizeInvalid where it contradicts the body's length.
    """
    if header is None:
        return None
    match = _CONTENT_RANGE.fullmatch(header.strip())
    if match is None:
        raise BlobUploadInvalid("malformed Content-Range", detail=header[:64])
    first, last = int(match.group(1)), int(match.group(2))
    if last < first and content_length != 0:
        raise BlobUploadInvalid("Content-Range ends before it begins", detail=header[:64])
    if content_length is not None and content_length not in (last - first + 1, 0):
        raise SizeInvalid("Content-Range and Content-Length differ")
    return first


def _not_satisfiable(size: int) -> RangeNotSatisfiable:
    return RangeNotSatisfiable(headers={"Content-Range": f"bytes */{size}"})
