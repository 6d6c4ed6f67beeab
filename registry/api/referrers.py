"""/v2/<name>/referrers/<digest>"""

import json

from starlette.responses import Response

from estiva import mediatypes
from estiva.digest import Digest
from registry import Registry
from registry.api.call import Call
from registry.api.creating import Importing
from registry.api.pages import next_link, page_size, page_start
from registry.mirroring.referring import bring_referrers

PAGE = 1000


async def get(registry: Registry, call: Call) -> Response:
    """List what refers to a manifest, as an image index; an empty one where nothing does."""
    subject = Digest.parse(call.path["digest"])
    # No media type has a space: one that arrives here was a plus sign that the client did not encode.
    artifact_type = (call.value("artifactType") or "").replace(" ", "+") or None
    size = page_size(call, PAGE)
    await bring_referrers(registry.cache, registry.listing, call.repository, subject, Importing(call))
    page = await registry.listing.referrers(call.repository, subject, artifact_type, page_start(call), size)
    headers = {"OCI-Filters-Applied": "artifactType"} if artifact_type else {}
    if page.more and page.entries:
        path, last = f"/v2/{call.repository}/referrers/{subject}", str(page.entries[-1].digest)
        headers |= next_link(path, size, last, artifactType=artifact_type)
    index = {
        "schemaVersion": 2,
        "mediaType": mediatypes.OCI_INDEX,
        "manifests": [descriptor.as_json() for descriptor in page.entries],
    }
    # oras compares the Content-Type with ==, so it has no charset.
    return Response(json.dumps(index), headers={**headers, "Content-Type": mediatypes.OCI_INDEX})
