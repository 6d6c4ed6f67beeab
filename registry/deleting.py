"""Deleting: tags, manifests, blobs, whole repositories. Facts go at once, for every process; bytes go later."""

from estiva.digest import Digest
from estiva.errors import BlobUnknown, ManifestUnknown, NameUnknown, StillReferenced
from estiva.reference import Reference, RepositoryName, Tag
from registry.uploading import Uploading
from storage.metadata import blobs, manifests, repositories, tags
from storage.metadata.database import ConstraintError, Database


class Deleting:
    """Takes things out."""

    def __init__(self, database: Database, uploading: Uploading) -> None:
        self._database = database
        self._uploading = uploading

    async def manifest(self, name: RepositoryName, reference: Reference) -> None:
        """Remove a tag and nothing else, or a manifest with every tag on it.

        ManifestUnknown; StillReferenced while an index lists the manifest.
        """
        if isinstance(reference, Tag):
            deleted = await self._database.write(lambda: tags.delete(name, reference))
        else:
            deleted = await self._manifest_by_digest(name, reference)
        if not deleted:
            raise ManifestUnknown(detail={"name": name.text, "reference": str(reference)})

    async def blob(self, name: RepositoryName, digest: Digest) -> None:
        """Take the blob out of this repository. BlobUnknown; StillReferenced while a manifest needs it."""
        try:
            deleted = await self._database.write(lambda: blobs.unlink(name, digest))
        except ConstraintError:
            needed_by = await self._database.read(blobs.user(name, digest))
            raise StillReferenced(detail={"manifest": needed_by}) from None
        if not deleted:
            raise BlobUnknown(detail={"digest": str(digest)})

    async def repository(self, name: RepositoryName) -> None:
        """Remove the repository and everything in it. NameUnknown."""
        uploads = await self._database.write(lambda: repositories.delete(name))
        if uploads is None:
            raise NameUnknown(detail={"name": name.text})
        await self._uploading.discard(uploads)

    async def _manifest_by_digest(self, name: RepositoryName, digest: Digest) -> bool:
        try:
            return await self._database.write(lambda: manifests.delete(name, digest))
        except ConstraintError:
            listed_by = await self._database.read(manifests.parent(name, digest))
            raise StillReferenced(detail={"manifest": listed_by}) from None
