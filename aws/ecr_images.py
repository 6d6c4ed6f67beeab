"""ECR operations that describe, list, fetch and delete images."""

from collections.abc import Iterable, Mapping
from typing import Any

from aws.call import Answer, Call
from aws.ecr_errors import aws_words
from aws.ecr_ids import ImageId, failure, parse_ids
from aws.ecr_upstream import image_source
from aws.errors import AwsError, invalid_parameter
from estiva.errors import ImageInUse, ManifestUnknown, StillReferenced
from registry.deleting import TagElsewhere
from registry.permitting import permit_images
from storage.metadata.images import ImageRecord, TagStatus
from storage.metadata.manifests import StoredManifest

NOT_FOUND = "Requested image not found"


async def describe_images(call: Call) -> Answer:
    """Describe the images of these ids, or all of them, page by page."""
    name = call.name()
    if "imageIds" in call.input:
        _require_no_paging(call)
        found: dict[str, ImageRecord] = {}
        for image_id in parse_ids(call.input["imageIds"]):
            image = await _described(call, image_id)
            found[image.digest] = image
        return {"imageDetails": _details(call, found.values())}
    if _filter(call).get("imageStatus", "ACTIVE") not in ("ACTIVE", "ANY"):
        return {"imageDetails": []}  # nothing is ever archived here
    asked = call.page()
    with aws_words(call, name):
        page = await call.parts.registry.images.page(name, asked.position, asked.size, _tag_status(call))
    return {
        "imageDetails": _details(call, page.entries),
        "nextToken": call.next_token(page.entries[-1].digest if page.more else None),
    }


async def list_images(call: Call) -> Answer:
    """List images, once for each tag."""
    name, asked = call.name(), call.page()
    if _filter(call).get("imageStatus", "ACTIVE") not in ("ACTIVE", "ANY"):
        return {"imageIds": []}
    digest, _, tag = asked.position.partition(" ")
    with aws_words(call, name):
        page = await call.parts.registry.images.listed(name, (digest, tag), asked.size, _tag_status(call))
    last = page.entries[-1] if page.more else None
    return {
        "imageIds": [{"imageDigest": digest, "imageTag": tag} for digest, tag in page.entries],
        "nextToken": call.next_token(f"{last[0]} {last[1] or ''}" if last else None),
    }


async def batch_get_image(call: Call) -> Answer:
    """The manifests of these ids, byte for byte; what can't be had is told beside.

    Where a pull-through cache rule is about the repository, they come from its upstream as for `docker pull`.
    """
    name, accepted = call.name(), call.input.get("acceptedMediaTypes")
    get = await image_source(call, name)
    images, failures = [], []
    for image_id in parse_ids(call.input["imageIds"]):
        if image_id.fault is not None:
            failures.append(image_id.fault)
            continue
        try:
            stored = await get(image_id)
        except TagElsewhere:
            failures.append(failure(image_id.given, "ImageTagDoesNotMatchDigest", "The tag is not the digest's"))
        except ManifestUnknown as error:
            reason = error.text if "upstream" in (error.detail or {}) else NOT_FOUND
            failures.append(failure(image_id.given, "ImageNotFound", reason))
        else:
            # As in AWS, an image of a type that is not accepted is as good as none.
            if accepted and stored.media_type not in accepted:
                failures.append(failure(image_id.given, "ImageNotFound", NOT_FOUND))
                continue
            call.parts.registry.pulls.note(name, stored.digest)
            images.append(image_member(call, stored, image_id.tag.text if image_id.tag else None))
    return {"images": images, "failures": failures}


async def batch_delete_image(call: Call) -> Answer:
    """Delete tags, and images with their last tag or by digest."""
    name = call.name()
    with aws_words(call, name):
        await call.parts.registry.repositories.find(name)
    permit = await permit_images(call.parts.access, call.caller, name)
    removed: list[Mapping[str, Any]] = []
    failures = []
    for image_id in parse_ids(call.input["imageIds"]):
        if image_id.fault is not None:
            failures.append(image_id.fault)
            continue
        try:
            digest, tags = await call.parts.registry.deleting.image(
                name, image_id.digest, image_id.tag, call.actor, permit=permit
            )
        except TagElsewhere:
            failures.append(failure(image_id.given, "ImageTagDoesNotMatchDigest", "The tag is not the digest's"))
        except ImageInUse as error:
            reason = f"Requested image is in use by {error.detail['usedBy']}"
            failures.append(failure(image_id.given, "ImageReferencedByManifestList", reason))
        except StillReferenced:
            reason = "Requested image referenced by manifest list"
            failures.append(failure(image_id.given, "ImageReferencedByManifestList", reason))
        except ManifestUnknown:
            failures.append(failure(image_id.given, "ImageNotFound", NOT_FOUND))
        else:
            shown: list[Mapping[str, Any]] = [{"imageDigest": str(digest), "imageTag": tag.text} for tag in tags]
            removed += shown or [{"imageDigest": str(digest)}]
    return {"imageIds": removed, "failures": failures}


def image_member(call: Call, stored: StoredManifest, tag: str | None) -> Mapping[str, Any]:
    """An image with its manifest, as BatchGetImage and PutImage show it."""
    return {
        "registryId": call.account,
        "repositoryName": call.name().text,
        "imageId": {"imageDigest": str(stored.digest), "imageTag": tag},
        "imageManifest": stored.payload.decode(),
        "imageManifestMediaType": stored.media_type,
    }


async def _described(call: Call, image_id: ImageId) -> ImageRecord:
    if image_id.fault is not None:
        raise invalid_parameter("imageIds", image_id.fault["failureReason"])
    name = call.name()
    try:
        with aws_words(call, name):
            return await call.parts.registry.images.find(name, image_id.digest, image_id.tag)
    except ManifestUnknown:
        raise AwsError(
            "ImageNotFoundException",
            f"The image with imageId {image_id.text} does not exist within the repository with name '{name}' in the "
            f"registry with id '{call.account}'",
        ) from None


def _details(call: Call, images: Iterable[ImageRecord]) -> list[Mapping[str, Any]]:
    account, name = call.account, call.name().text
    return [
        {
            "registryId": account,
            "repositoryName": name,
            "imageDigest": image.digest,
            "imageTags": image.tags or None,
            "imageSizeInBytes": image.size,
            "imagePushedAt": image.pushed_at,
            "imageManifestMediaType": image.media_type,
            "artifactMediaType": image.artifact_type,
            "lastRecordedPullTime": image.pulled_at,
            "subjectManifestDigest": image.subject,
            "imageStatus": "ACTIVE",
        }
        for image in images
    ]


def _filter(call: Call) -> Mapping[str, Any]:
    given: Mapping[str, Any] = call.input.get("filter", {})
    return given


def _tag_status(call: Call) -> TagStatus:
    return TagStatus(_filter(call).get("tagStatus", "ANY"))


def _require_no_paging(call: Call) -> None:
    for parameter in ("nextToken", "maxResults", "filter"):
        if parameter in call.input:
            raise invalid_parameter(parameter, "must not be given together with imageIds")
