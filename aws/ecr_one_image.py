"""The one image that a call is about, named by `imageId`."""

from typing import Any

from aws.call import Call
from aws.ecr_errors import aws_words
from aws.ecr_ids import parse_ids
from aws.errors import AwsError
from estiva.digest import Digest
from estiva.reference import Reference, RepositoryName


async def one_image(call: Call) -> tuple[RepositoryName, Reference]:
    """The repository, which is there, and the image in it that is named. AwsError."""
    name = call.name()
    with aws_words(call, name):
        await call.parts.registry.repositories.find(name)
    (wanted,) = parse_ids([call.input["imageId"]])
    reference = wanted.digest or wanted.tag
    if wanted.fault is not None or reference is None:
        raise AwsError("InvalidParameterException", (wanted.fault or {}).get("failureReason", "no image is named"))
    return name, reference


def no_image(call: Call, name: RepositoryName) -> AwsError:
    """There is no such image."""
    (wanted,) = parse_ids([call.input["imageId"]])
    return AwsError(
        "ImageNotFoundException",
        f"The image with imageId {wanted.text} does not exist within the repository with name '{name}' in the "
        f"registry with id '{call.account}'",
    )


def of_image(call: Call, name: RepositoryName, digest: Digest) -> dict[str, Any]:
    """The members of an answer that say which image it is about."""
    image_id = {**call.input["imageId"], "imageDigest": str(digest)}
    return {"registryId": call.account, "repositoryName": name.text, "imageId": image_id}
