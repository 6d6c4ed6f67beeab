"""Links to layers that need no credentials: sealed, and good for an hour."""

import base64
import binascii
import json
import time

from starlette.requests import Request
from starlette.routing import Route

from auth.sealing import Seal, SealBrokenError
from estiva.digest import Digest
from estiva.errors import BlobUnknown
from estiva.reference import RepositoryName
from registry.api.files import FileResponse
from registry.api.ranges import asked_range
from registry.pulling import Pulling

PATH = "/api/v1/layers/"
PURPOSE = "link to a layer"
GOOD_FOR = 3600.0
LONGEST = 2048


class Links:
    """Makes links and follows them. Whoever has a link may fetch that one layer, and nothing else."""

    def __init__(self, seal: Seal, pulling: Pulling) -> None:
        self._seal = seal
        self._pulling = pulling

    def make(self, name: RepositoryName, digest: Digest) -> str:
        """The path of a link to the layer of that repository."""
        said = json.dumps([name.key, str(digest), time.time() + GOOD_FOR]).encode()
        return PATH + base64.urlsafe_b64encode(self._seal.seal(PURPOSE, said)).decode()

    def routes(self) -> list[Route]:
        """The one path of this API."""
        return [Route(f"{PATH}{{link}}", self.get, methods=["GET"])]

    async def get(self, request: Request) -> FileResponse:
        """The layer, or a range of it. BlobUnknown for whatever is no link that is good now."""
        name, digest = self._read(request.path_params["link"])
        blob = await self._pulling.blob(name, digest)
        header = request.headers.get("range") if request.method == "GET" else None
        part = asked_range(header, blob.size)
        headers = {"Content-Type": "application/octet-stream", "Accept-Ranges": "bytes", "ETag": f'"{digest}"'}
        if part is None:
            return FileResponse(await self._pulling.open(blob), 0, blob.size, headers)
        offset, length = part
        headers["Content-Range"] = f"bytes {offset}-{offset + length - 1}/{blob.size}"
        return FileResponse(await self._pulling.open(blob), offset, length, headers, status_code=206)

    def _read(self, link: str) -> tuple[RepositoryName, Digest]:
        try:
            if len(link) > LONGEST:
                raise ValueError
            sealed = base64.b64decode(link.encode(), altchars=b"-_", validate=True)
            key, digest, until = json.loads(self._seal.unseal(PURPOSE, sealed))
        except (SealBrokenError, binascii.Error, ValueError):
            raise BlobUnknown("the link is not valid") from None
        if until < time.time():
            raise BlobUnknown("the link has expired")
        return RepositoryName.of_key(key), Digest.parse(digest)
