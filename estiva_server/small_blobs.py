"""Blobs that are read whole: what a signature signs, what an image says of itself."""

import asyncio

from estiva.digest import Digest
from estiva.errors import BlobUnknown
from estiva.reference import RepositoryName
from registry.pulling import Pulling
from storage.metadata.blobs import BlobRecord

LARGEST = 1 << 20


class SmallBlobs:
    """Reads them from the registry's own store."""

    def __init__(self, pulling: Pulling) -> None:
        self._pulling = pulling

    async def read(self, name: RepositoryName, digest: Digest) -> bytes | None:
        """Its bytes, verified; None where it is not in the repository, or larger than 1 MiB. RegistryError."""
        found = await self._pulling.find_blob(name, digest)
        if found is None or found.size > LARGEST:
            return None
        try:
            content = await self._content(found)
        except BlobUnknown:
            return None
        return content if Digest.of(content, digest.algorithm) == digest else None

    async def _content(self, blob: BlobRecord) -> bytes:
        with await self._pulling.open(blob) as opened:
            return await asyncio.to_thread(opened.read, blob.size)
