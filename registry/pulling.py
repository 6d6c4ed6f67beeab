"""Pulling: manifests by tag or digest, blobs by digest."""

from typing import BinaryIO

from estiva.digest import Digest
from estiva.errors import BlobUnknown, ManifestUnknown
from estiva.reference import Reference, RepositoryName
from storage.blobs import BlobMissingError, BlobStore
from storage.metadata import blobs, manifests
from storage.metadata.blobs import BlobRecord
from storage.metadata.database import Database
from storage.metadata.manifests import StoredManifest


class Pulling:
    """Reads what a repository holds."""

    def __init__(self, database: Database, blob_store: BlobStore) -> None:
        self._database = database
        self._blob_store = blob_store

    def version(self) -> int | None:
        """What `Database.version` says: whatever is read after this call is at least that new."""
        return self._database.version()

    async def manifest(self, name: RepositoryName, reference: Reference) -> StoredManifest:
        """The manifest, byte for byte as it was pushed; ManifestUnknown."""
        found = await self._database.read(manifests.find(name, reference))
        if found is None:
            raise ManifestUnknown(detail={"name": name.text, "reference": str(reference)})
        return found

    async def blob(self, name: RepositoryName, digest: Digest) -> BlobRecord:
        """What is known of the blob; BlobUnknown where this repository does not have it."""
        found = await self._database.read(blobs.find(name, digest))
        if found is None:
            raise BlobUnknown(detail={"digest": str(digest)})
        return found

    def open(self, blob: BlobRecord) -> BinaryIO:
        """The blob's bytes, seekable; BlobUnknown where the store has lost them."""
        try:
            return self._blob_store.open_blob(blob.key)
        except BlobMissingError:
            raise BlobUnknown(detail={"digest": str(blob.digest)}) from None
