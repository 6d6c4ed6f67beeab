"""ECR operations on what refers to images: signatures, attestations, and the like."""

from aws.call import Answer, Call
from aws.ecr_errors import aws_words
from aws.ecr_upstream import bring
from aws.errors import invalid_parameter
from estiva.digest import Digest
from estiva.errors import DigestInvalid

PAGE = 50


async def list_image_referrers(call: Call) -> Answer:
    """What refers to an image, page by page."""
    name, given = call.name(), call.input.get("filter", {})
    with aws_words(call, name):
        await call.parts.registry.repositories.find(name)
    try:
        subject = Digest.parse(call.input["subjectId"]["imageDigest"])
    except DigestInvalid:
        raise invalid_parameter("subjectId.imageDigest", "must be a digest") from None
    kinds = given.get("artifactTypes") or [None]
    if len(kinds) > 1:
        raise invalid_parameter("filter.artifactTypes", "must name one artifact type")
    asked = call.page(PAGE)
    if given.get("artifactStatus", "ACTIVE") not in ("ACTIVE", "ANY"):
        return {"referrers": []}  # nothing is ever archived here
    await bring(call, name, subject)
    page = await call.parts.registry.listing.referrers(name, subject, kinds[0], asked.position, asked.size)
    shown = [
        {
            "digest": str(one.digest),
            "mediaType": one.media_type,
            "artifactType": one.artifact_type,
            "size": one.size,
            "annotations": dict(one.annotations) or None,
            "artifactStatus": "ACTIVE",
        }
        for one in page.entries
    ]
    return {"referrers": shown, "nextToken": call.next_token(str(page.entries[-1].digest) if page.more else None)}
