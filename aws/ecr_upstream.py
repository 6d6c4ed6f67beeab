"""ECR's operations on repositories that a pull-through cache rule is about: as `docker pull`, they fetch."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

from auth.policy.actions import BATCH_IMPORT_UPSTREAM_IMAGE, CREATE_REPOSITORY
from aws.call import Call
from aws.ecr_errors import aws_words
from aws.ecr_ids import ImageId
from aws.errors import AwsError
from estiva.digest import Digest
from estiva.errors import ManifestUnknown, TooManyRequests, Unavailable
from estiva.reference import RepositoryName
from registry.deleting import TagElsewhere
from registry.mirroring.arriving import ArrivingBlob
from registry.mirroring.cache import PATIENCE
from registry.mirroring.referring import bring_referrers
from registry.upstream.errors import UpstreamError
from storage.metadata.blobs import BlobRecord
from storage.metadata.manifests import StoredManifest


class Importing:
    """Whoever makes the call, as `registry.mirroring.cache.Importer`."""

    def __init__(self, call: Call, name: RepositoryName) -> None:
        self._call = call
        self._arn = call.arn(name)

    async def may_import(self) -> bool:
        """See `Importer.may_import`."""
        return await self._call.may(BATCH_IMPORT_UPSTREAM_IMAGE, self._arn)

    async def require_import(self, exists: bool) -> None:
        """See `Importer.require_import`. AwsError."""
        await self._call.require(BATCH_IMPORT_UPSTREAM_IMAGE, self._arn)
        if not exists:
            await self._call.require(CREATE_REPOSITORY, self._arn)


async def image_source(call: Call, name: RepositoryName) -> Callable[[ImageId], Awaitable[StoredManifest]]:
    """What finds the image of an id, which raises ManifestUnknown, TagElsewhere. AwsError: there is no repository."""
    registry = call.parts.registry

    async def here(image_id: ImageId) -> StoredManifest:
        image = await registry.images.find(name, image_id.digest, image_id.tag)
        return await registry.pulling.manifest(name, image_id.of(image.digest))

    async def through(image_id: ImageId) -> StoredManifest:
        reference = image_id.tag or image_id.digest
        if reference is None:
            raise ManifestUnknown
        with _upstream_words("UnableToGetUpstreamImageException"):
            served = await registry.cache.manifest(name, reference, Importing(call, name))
        if image_id.digest is not None and served.stored.digest != image_id.digest:
            raise TagElsewhere
        return served.stored

    if await registry.cache.rules.of(name) is not None:
        return through
    with aws_words(call, name):
        await registry.repositories.find(name)
    return here


async def layer(call: Call, name: RepositoryName, digest: Digest) -> BlobRecord:
    """The layer, fetched from the upstream where only that has it. BlobUnknown, AwsError."""
    registry = call.parts.registry
    if await registry.cache.rules.of(name) is None:
        return await registry.pulling.blob(name, digest)
    with _upstream_words("UnableToGetUpstreamLayerException"):
        async with asyncio.timeout(PATIENCE):
            found = await registry.cache.blob(name, digest, Importing(call, name))
            if isinstance(found, ArrivingBlob):
                await found.stored()
                found = await registry.pulling.blob(name, digest)
    return found


async def bring(call: Call, name: RepositoryName, subject: Digest) -> None:
    """Return when what the upstream has that refers to the image is here. AwsError."""
    registry = call.parts.registry
    with _upstream_words("UnableToListUpstreamImageReferrersException"):
        await bring_referrers(registry.cache, registry.listing, name, subject, Importing(call, name))


@contextmanager
def _upstream_words(code: str) -> Iterator[None]:
    """What the upstream does not give now, as the operation's own exception."""
    try:
        yield
    except (TooManyRequests, Unavailable) as error:
        raise AwsError(code, error.text) from None
    except UpstreamError as error:
        raise AwsError(code, str(error)) from None
    except TimeoutError:
        raise AwsError(code, "the upstream registry does not send it in time") from None
