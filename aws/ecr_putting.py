"""ECR's PutImage: a manifest, checked and entered as a push does it."""

import json
from typing import Any

from aws.call import Answer, Call
from aws.ecr_errors import aws_words
from aws.ecr_images import image_member
from aws.errors import AwsError, invalid_parameter
from estiva.digest import Digest
from estiva.errors import (
    DigestInvalid,
    ManifestBlobUnknown,
    ManifestInvalid,
    ManifestUnknown,
    TagImmutable,
)
from estiva.mediatypes import DOCKER_MANIFEST, INDEXES, OCI_INDEX, OCI_MANIFEST, essence
from estiva.reference import Reference, Tag
from registry.pushed import Push
from storage.metadata.manifests import StoredManifest

MAX_MANIFEST = 4 * 1024 * 1024
LONGEST_MESSAGE_LIST = 10


async def put_image(call: Call) -> Answer:
    """Enter an image, and its tag."""
    name, payload, tag = call.name(), call.input["imageManifest"].encode(), _tag(call)
    if len(payload) > MAX_MANIFEST:
        raise invalid_parameter("imageManifest", f"Member must have length less than or equal to {MAX_MANIFEST}")
    with aws_words(call, name):
        await call.parts.registry.repositories.find(name)
    digest = Digest.of(payload)
    named = call.input.get("imageDigest")
    if named is not None and named != str(digest):
        raise AwsError("ImageDigestDoesNotMatchException", "The specified image digest does not match the manifest's.")
    media_type = _media_type(call)
    await _require_new(call, digest, tag)
    await _push(call, tag or digest, media_type, payload)
    return {"image": image_member(call, StoredManifest(digest, media_type, payload), tag.text if tag else None)}


def _tag(call: Call) -> Tag | None:
    text = call.input.get("imageTag")
    try:
        return None if text is None else Tag.parse(text)
    except ManifestInvalid:
        raise invalid_parameter(
            "imageTag", "must satisfy regular expression '[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}'"
        ) from None


def _media_type(call: Call) -> str:
    """The type that the request says, else the manifest; else the one that its members are of."""
    given = call.input.get("imageManifestMediaType")
    if given is not None:
        return essence(given)
    try:
        manifest: Any = json.loads(call.input["imageManifest"])
    except (ValueError, RecursionError):
        manifest = None
    declared = manifest.get("mediaType") if isinstance(manifest, dict) else None
    if isinstance(declared, str):
        return essence(declared)
    if isinstance(manifest, dict) and "manifests" in manifest:
        return OCI_INDEX
    if isinstance(manifest, dict) and "layers" in manifest:
        config = manifest.get("config")
        docker = isinstance(config, dict) and str(config.get("mediaType", "")).startswith("application/vnd.docker.")
        return DOCKER_MANIFEST if docker else OCI_MANIFEST
    raise invalid_parameter("imageManifest", "Invalid image manifest: no media type is given, and none can be told")


async def _require_new(call: Call, digest: Digest, tag: Tag | None) -> None:
    """Return where there is something to be done. AwsError where image and tag are there already."""
    try:
        await call.parts.registry.images.find(call.name(), digest, tag)
    except ManifestUnknown:
        return
    what = f"with digest '{digest}'" + (f" and tag '{tag}'" if tag else "")
    raise AwsError(
        "ImageAlreadyExistsException",
        f"Image {what} already exists in the repository with name '{call.name()}' in registry with id '{call.account}'",
    )


async def _push(call: Call, reference: Reference, media_type: str, payload: bytes) -> None:
    name = call.name()
    try:
        with aws_words(call, name):
            await call.parts.registry.pushing.manifest(name, reference, [], media_type, payload, Push(call.actor))
    except TagImmutable as error:
        raise AwsError("ImageTagAlreadyExistsException", error.text) from None
    except ManifestBlobUnknown as error:
        missing = (error.detail or {}).get("digests", [])[:LONGEST_MESSAGE_LIST]
        raise _missing(call, media_type, missing) from None
    except (ManifestInvalid, DigestInvalid) as error:
        raise invalid_parameter("imageManifest", f"Invalid image manifest: {error.text}") from None


def _missing(call: Call, media_type: str, digests: list[str]) -> AwsError:
    where = f"in the repository with name '{call.name()}' in registry with id '{call.account}'"
    named = ", ".join(digests)
    if media_type in INDEXES:
        return AwsError(
            "ReferencedImagesNotFoundException",
            f"Images with digests '{named}' required for pushing image into repository do not exist {where}",
        )
    return AwsError(
        "LayersNotFoundException",
        f"Layers with digests '{named}' required for pushing image into repository do not exist {where}",
    )
