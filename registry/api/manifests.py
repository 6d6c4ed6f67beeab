"""/v2/<name>/manifests/<tag or digest>"""

from starlette.responses import Response

from auth.access import IMAGE_TAG
from estiva.digest import Digest
from estiva.errors import ManifestInvalid, ManifestTooLarge
from estiva.mediatypes import essence
from estiva.reference import Tag, parse_reference
from registry import Registry
from registry.api.call import Call
from registry.api.creating import Importing, require_push
from registry.api.repeating import repeatable, unchanged, unchanged_by
from registry.api.rights import PUT_MANIFEST
from registry.permitting import permit_images

MAX_MANIFEST = 4 * 1024 * 1024
MAX_TAGS = 100
NOTED_EVERY = 600.0
"""Seconds that an answer may be given again without anybody noting that the image is pulled."""


async def get(registry: Registry, call: Call) -> Response:
    """Send the manifest as it was pushed, whatever the client says it accepts."""
    served = await registry.cache.manifest(call.repository, parse_reference(call.path["reference"]), Importing(call))
    stored = served.stored
    headers = {
        "Content-Type": stored.media_type,
        "Content-Length": str(len(stored.payload)),
        "Docker-Content-Digest": str(stored.digest),
        "ETag": f'"{stored.digest}"',
    }
    if unchanged_by(call, stored.digest):
        return unchanged(headers)
    if call.method == "GET":
        registry.pulls.note(call.repository, stored.digest)
    response = Response(stored.payload, headers=headers)
    repeatable(call, response, at_most=min(NOTED_EVERY, served.good_for))
    return response


async def put(registry: Registry, call: Call) -> Response:
    """Take a manifest in under a tag, or under its digest with any number of tags."""
    reference = parse_reference(call.path["reference"])
    tags = [Tag.parse(tag) for tag in call.query.get("tag", [])]
    if len(tags) > MAX_TAGS:
        raise ManifestInvalid(f"more than {MAX_TAGS} tags in one request")
    content_type = essence(call.headers.get("content-type", ""))
    if not content_type:
        raise ManifestInvalid("a manifest needs a Content-Type")
    payload = await call.read(MAX_MANIFEST)
    if payload is None:
        raise ManifestTooLarge(detail={"limit": MAX_MANIFEST})
    for tag in tags:
        await call.require(PUT_MANIFEST, **{IMAGE_TAG: tag.text})
    push = await require_push(registry, call)
    digest, manifest = await registry.pushing.manifest(call.repository, reference, tags, content_type, payload, push)
    response = Response(status_code=201, headers=_created(call, digest))
    if manifest.subject:
        response.headers["OCI-Subject"] = str(manifest.subject.digest)
    for tag in tags:
        response.headers.append("OCI-Tag", tag.text)
    return response


async def delete(registry: Registry, call: Call) -> Response:
    """Delete a tag, or a manifest with all its tags."""
    reference = parse_reference(call.path["reference"])
    permit = None
    if not isinstance(reference, Tag):
        permit = await permit_images(call.admission.access, call.caller, call.repository)
    await registry.deleting.manifest(call.repository, reference, call.caller.actor, permit=permit)
    return Response(status_code=202, headers={"Content-Length": "0"})


def _created(call: Call, digest: Digest) -> dict[str, str]:
    return {
        "Location": f"/v2/{call.repository}/manifests/{digest}",
        "Docker-Content-Digest": str(digest),
        "Content-Length": "0",
    }
