"""Deleting: tags, manifests, blobs, whole repositories. Facts go at once, for every process; bytes go later."""

from collections.abc import Collection, Sequence
from functools import partial

from estiva.digest import Digest
from estiva.errors import BlobUnknown, ManifestUnknown, NameUnknown, StillReferenced
from estiva.reference import Reference, RepositoryName, Tag
from registry.permitting import Permit, with_permission
from registry.uploading import Uploading
from registry.users import DigestUsers, NoUsers, require_unused
from storage.metadata import audit, blobs, events, manifests, repositories, tags
from storage.metadata.audit import SERVER, Actor
from storage.metadata.database import ConstraintError, Database, Work
from storage.metadata.events import Action, Event

Removed = tuple[Digest, list[Tag]]
"""An image, and the tags of it that are gone."""


class RepositoryNotEmpty(StillReferenced):
    """The repository was to be deleted if it is empty, and has images."""

    message = "the repository has images"


class TagElsewhere(ManifestUnknown):
    """The tag is there, and points at another digest than the one named with it."""


class Deleting:
    """Takes things out, unless somebody uses them; leaves a line in the audit trail and tells who wants to know."""

    def __init__(self, database: Database, uploading: Uploading, users: DigestUsers | None = None) -> None:
        self._database = database
        self._uploading = uploading
        self._users = users or NoUsers()

    async def manifest(
        self, name: RepositoryName, reference: Reference, actor: Actor = SERVER, *, permit: Permit | None
    ) -> None:
        """Remove a tag and nothing else, or a manifest with every tag on it.

        `permit` is asked about each tag that goes with a manifest; without it, any may go. ManifestUnknown;
        StillReferenced while an index lists the manifest; ImageInUse.
        """
        if isinstance(reference, Tag):
            deleted = await self._database.write(lambda: self._tag(name, reference, actor))
        else:
            deleted = await self._manifest_by_digest(name, reference, actor, permit)
        if not deleted:
            raise ManifestUnknown(detail={"name": name.text, "reference": str(reference)})

    async def image(
        self,
        name: RepositoryName,
        digest: Digest | None,
        tag: Tag | None,
        actor: Actor = SERVER,
        *,
        permit: Permit | None,
    ) -> Removed:
        """As ECR deletes: with a tag, remove it, and the image with its last one; without, the image with all tags.

        `permit` is asked about each tag that goes. ManifestUnknown, TagElsewhere; StillReferenced while an index lists
        the image; ImageInUse.
        """

        def remove(permitted: Collection[str] | None) -> Work[Removed]:
            found = digest if tag is None else (yield from tags.target(name, tag))
            if found is None:
                raise ManifestUnknown
            if digest is not None and found != digest:
                raise TagElsewhere
            if tag is not None and (yield from tags.others(name, tag, found)):
                yield from self._tag(name, tag, actor)
                return found, [tag]
            gone = yield from self._image(name, found, actor, permitted)
            if gone is None:
                raise ManifestUnknown
            return found, gone

        try:
            return await with_permission(self._database, permit, partial(_going, name, digest, tag), remove)
        except ConstraintError:
            raise StillReferenced from None

    async def blob(self, name: RepositoryName, digest: Digest) -> None:
        """Take the blob out of this repository. BlobUnknown; StillReferenced while a manifest needs it."""
        try:
            deleted = await self._database.write(lambda: blobs.unlink(name, digest))
        except ConstraintError:
            needed_by = await self._database.read(blobs.user(name, digest))
            raise StillReferenced(detail={"manifest": needed_by}) from None
        if not deleted:
            raise BlobUnknown(detail={"digest": str(digest)})

    async def repository(
        self, name: RepositoryName, actor: Actor = SERVER, *, permit: Permit | None, if_empty: bool = False
    ) -> None:
        """Remove the repository and everything in it; `permit` is asked about each tag, as above.

        NameUnknown, ImageInUse. With `if_empty`, RepositoryNotEmpty where it has images.
        """

        def remove(permitted: Collection[str] | None) -> Work[int | None]:
            # First, so that nobody pushes to it while this looks.
            yield from repositories.lock(name)
            if if_empty and (yield from manifests.any_in(name)):
                raise RepositoryNotEmpty
            yield from require_unused(self._users, name, None)
            deleted = yield from repositories.delete(name, permitted)
            if deleted is not None:
                yield from audit.record(actor, "DeleteRepository", f"repository/{name}")
            return deleted

        deleted = await with_permission(self._database, permit, partial(tags.page, name), remove, serializable=False)
        if deleted is None:
            raise NameUnknown(detail={"name": name.text})
        await self._uploading.discard_all_of(deleted)

    def _tag(self, name: RepositoryName, tag: Tag, actor: Actor) -> Work[bool]:
        digest = yield from tags.target(name, tag)
        if digest is None:
            return False
        yield from events.record(name, [Event(Action.DELETE, actor, digest, tag)])
        yield from audit.record(actor, "DeleteTag", f"repository/{name}", tag=tag.text, digest=str(digest))
        return (yield from tags.delete(name, tag))

    def _image(
        self, name: RepositoryName, digest: Digest, actor: Actor, permitted: Collection[str] | None
    ) -> Work[list[Tag] | None]:
        """Remove a manifest with its tags, if these are permitted: which these were, None where it was not there."""
        yield from require_unused(self._users, name, [digest])
        gone = yield from manifests.delete_with_tags(name, digest, permitted)
        if gone is not None:
            yield from events.record(name, deleted(actor, digest, gone))
            names = [tag.text for tag in gone]
            yield from audit.record(actor, "DeleteImage", f"repository/{name}", digest=str(digest), tags=names)
        return gone

    async def _manifest_by_digest(
        self, name: RepositoryName, digest: Digest, actor: Actor, permit: Permit | None
    ) -> bool:
        try:
            page, remove = partial(tags.of_manifest, name, digest), partial(self._image, name, digest, actor)
            return await with_permission(self._database, permit, page, remove) is not None
        except ConstraintError:
            listed_by = await self._database.read(manifests.parent(name, digest))
            raise StillReferenced(detail={"manifest": listed_by}) from None


def _going(name: RepositoryName, digest: Digest | None, tag: Tag | None, last: str, limit: int) -> Work[list[str]]:
    """The tags that go with an image (see `Deleting.image`), a page of them: the one that is named, or all."""
    if tag is not None:
        return [] if last else [tag.text]
    return [] if digest is None else (yield from tags.of_manifest(name, digest, last, limit))


def deleted(actor: Actor, digest: Digest, tags: Sequence[Tag]) -> list[Event]:
    """What is told of a manifest that was deleted: one event for each tag that it had, or one without."""
    return [Event(Action.DELETE, actor, digest, tag) for tag in tags or (None,)]
