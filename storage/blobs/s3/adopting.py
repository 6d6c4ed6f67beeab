"""Storing content whose name is known from the beginning."""

from typing import BinaryIO

from storage.blobs.s3.content import Equipment


def adopt(equipment: Equipment, name: str, file: BinaryIO, size: int) -> None:
    """Make the file's content that object, all of it or nothing. OSError, also when there is less of it.

    Multipart uploads to that name are aborted first: one is there where a copy was killed.
    """
    first = _read(file, min(size, equipment.part_size(1)))
    if len(first) == size:
        equipment.bucket.put(name, first)
        return
    for left in equipment.bucket.multiparts(name):
        if left.name == name:
            equipment.bucket.abort_multipart(name, left.id)
    multipart = equipment.bucket.begin_multipart(name)
    try:
        parts = [equipment.bucket.put_part(name, multipart, 1, first)]
        missing = size - len(first)
        while missing:
            piece = _read(file, min(missing, equipment.part_size(len(parts) + 1)))
            parts.append(equipment.bucket.put_part(name, multipart, len(parts) + 1, piece))
            missing -= len(piece)
        equipment.bucket.complete_multipart(name, multipart, parts)
    except BaseException:
        equipment.bucket.abort_multipart(name, multipart)
        raise


def _read(file: BinaryIO, size: int) -> bytes:
    """Exactly so many bytes: an unbuffered file may give fewer at a time."""
    data = bytearray()
    while len(data) < size:
        piece = file.read(size - len(data))
        if not piece:
            raise OSError("the content ended before its size")
        data += piece
    return bytes(data)
