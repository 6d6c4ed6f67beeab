"""ECR operations on layers: the upload in parts, and links to download."""

from collections.abc import Callable

from aws.call import Answer, Call
from aws.ecr_errors import aws_words
from aws.ecr_upstream import layer
from aws.errors import AwsError, invalid_parameter
from estiva.digest import Digest
from estiva.errors import (
    BlobUnknown,
    BlobUploadInvalid,
    BlobUploadOutOfOrder,
    BlobUploadUnknown,
    DigestInvalid,
)
from registry.begun import UploadKey
from registry.uploading import ShortPart

PART_SIZE = 10 * 1024 * 1024
SMALLEST_PART = 5 * 1024 * 1024
"""Of every part but the last."""


async def initiate_layer_upload(call: Call) -> Answer:
    """Begin an upload: the same as one that a push begins."""
    name = call.name()
    with aws_words(call, name):
        await call.parts.registry.repositories.find(name)
    uploading = call.parts.registry.uploading
    await uploading.require_quota(name)
    return {"uploadId": await uploading.start_parts(name, call.owner), "partSize": PART_SIZE}


async def upload_layer_part(call: Call) -> Answer:
    """Add a part, which has to begin where the one before it ended."""
    name, part = call.name(), call.input["layerPartBlob"]
    first, last = call.input["partFirstByte"], call.input["partLastByte"]
    if last - first + 1 != len(part):
        raise invalid_parameter("partLastByte", "must be partFirstByte and the length of layerPartBlob, less 1")
    key = UploadKey(name, call.input["uploadId"], call.owner)

    async def pour(write: Callable[[memoryview], None]) -> int:
        await call.blocking(write, memoryview(part))
        return len(part)

    with aws_words(call, name):
        await call.parts.registry.repositories.find(name)
    try:
        offset = await call.parts.registry.uploading.append_part(key, pour, first, len(part) < SMALLEST_PART)
    except BlobUploadOutOfOrder as error:
        raise AwsError(
            "InvalidLayerPartException",
            f"The part does not begin where the upload ends: after byte {error.detail['offset'] - 1}.",
            registryId=call.account,
            repositoryName=name.text,
            uploadId=key.id,
            lastValidByteReceived=error.detail["offset"] - 1,
        ) from None
    except (BlobUploadUnknown, BlobUploadInvalid) as error:
        raise _no_upload(call, key, error) from None
    return {
        "registryId": call.account,
        "repositoryName": name.text,
        "uploadId": key.id,
        "lastByteReceived": offset - 1,
    }


async def complete_layer_upload(call: Call) -> Answer:
    """Make the upload a layer of that digest."""
    name, digest = call.name(), _only_digest(call)
    key = UploadKey(name, call.input["uploadId"], call.owner)
    registry = call.parts.registry
    with aws_words(call, name):
        await registry.repositories.find(name)
    try:
        if await registry.uploading.offset(key) == 0:
            raise AwsError("EmptyUploadException", f"The upload '{key.id}' has no parts.")
        await _require_absent(call, digest)
        await registry.uploading.finish_parts(key, digest)
    except ShortPart:
        raise AwsError(
            "LayerPartTooSmallException", f"Every part but the last has {SMALLEST_PART} bytes or more."
        ) from None
    except DigestInvalid:
        raise AwsError("InvalidLayerException", f"The upload's digest is not '{digest}'.") from None
    except (BlobUploadUnknown, BlobUploadInvalid) as error:
        raise _no_upload(call, key, error) from None
    return {
        "registryId": call.account,
        "repositoryName": name.text,
        "uploadId": key.id,
        "layerDigest": str(digest),
    }


async def batch_check_layer_availability(call: Call) -> Answer:
    """Which of these layers the repository has."""
    name, given = call.name(), call.input["layerDigests"]
    with aws_words(call, name):
        await call.parts.registry.repositories.find(name)
    layers, failures = [], []
    for text in dict.fromkeys(given):
        try:
            found = await call.parts.registry.pulling.blob(name, Digest.parse(text))
        except DigestInvalid:
            reason = "Invalid layer digest"
            failures.append({"layerDigest": text, "failureCode": "InvalidLayerDigest", "failureReason": reason})
        except BlobUnknown:
            layers.append({"layerDigest": text, "layerAvailability": "UNAVAILABLE"})
        else:
            layers.append({"layerDigest": text, "layerAvailability": "AVAILABLE", "layerSize": found.size})
    return {"layers": layers, "failures": failures}


async def get_download_url_for_layer(call: Call) -> Answer:
    """A link to the layer that needs no credentials, for an hour; what only an upstream has is fetched first."""
    name = call.name()
    digest = _digest(call.input["layerDigest"], "layerDigest")
    with aws_words(call, name):
        await call.parts.registry.repositories.find(name)
    try:
        found = await layer(call, name, digest)
        (await call.parts.registry.pulling.open(found)).close()
    except BlobUnknown:
        raise AwsError(
            "LayersNotFoundException",
            f"Layer with digest '{digest}' does not exist in the repository with name '{name}' in registry with id "
            f"'{call.account}'",
        ) from None
    return {"downloadUrl": f"{call.base_url}{call.parts.links.make(name, digest)}", "layerDigest": str(digest)}


async def _require_absent(call: Call, digest: Digest) -> None:
    try:
        await call.parts.registry.pulling.blob(call.name(), digest)
    except BlobUnknown:
        return
    raise AwsError(
        "LayerAlreadyExistsException",
        f"Layer with digest '{digest}' already exists in the repository with name '{call.name()}' in registry with id "
        f"'{call.account}'",
    )


def _only_digest(call: Call) -> Digest:
    digests = call.input["layerDigests"]
    if len(digests) != 1:
        raise invalid_parameter("layerDigests", "must hold one digest")
    return _digest(digests[0], "layerDigests")


def _digest(text: str, parameter: str) -> Digest:
    try:
        return Digest.parse(text)
    except DigestInvalid:
        raise invalid_parameter(parameter, "must be a digest of sha256 or sha512") from None


def _no_upload(call: Call, key: UploadKey, error: Exception) -> AwsError:
    if isinstance(error, BlobUploadUnknown):
        return AwsError(
            "UploadNotFoundException",
            f"An upload with id '{key.id}' could not be found in the repository with name '{key.repository}' in "
            f"registry with id '{call.account}'",
        )
    return invalid_parameter("uploadId", str(error))
