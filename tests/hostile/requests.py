"""A valid request of every route, in parts that can be replaced."""

import json
from dataclasses import dataclass, replace
from enum import Enum
from random import Random

from estiva import mediatypes
from tests.hostile.conversation import Fields
from tests.hostile.world import BLOB, World, digest_of

Query = tuple[tuple[bytes, bytes], ...]


class Framing(Enum):
    """How a request says where its body ends."""

    NONE = "nothing said"
    LENGTH = "Content-Length"
    CHUNKED = "chunked"
    TOO_SHORT = "Content-Length less than there is"
    TOO_LONG = "Content-Length more than there is"
    BROKEN_CHUNKS = "chunked, and the coding is broken"


@dataclass(frozen=True)
class Request:
    """One request; `path` is its parts, joined without anything between them."""

    method: bytes
    path: tuple[bytes, ...]
    query: Query = ()
    fields: Fields = ()
    body: bytes = b""
    framing: Framing = Framing.NONE
    version: bytes = b"HTTP/1.1"
    prefix: bytes = b""

    @property
    def target(self) -> bytes:
        """As it stands in the request line."""
        query = b"&".join(name + b"=" + value for name, value in self.query)
        return self.prefix + b"".join(self.path) + (b"?" + query if query else b"")

    @property
    def is_well_framed(self) -> bool:
        """Whether the next request on the connection begins where both sides think it does."""
        return self.framing not in (Framing.TOO_SHORT, Framing.TOO_LONG, Framing.BROKEN_CHUNKS)

    def raw(self) -> bytes:
        """Its bytes."""
        lines = [self.method + b" " + self.target + b" " + self.version]
        lines += [name + b": " + value for name, value in (*self.fields, *self._framing_fields())]
        return b"\r\n".join([*lines, b"", b""]) + self._framed_body()

    def _framing_fields(self) -> Fields:
        lengths = {Framing.LENGTH: 0, Framing.TOO_SHORT: -7, Framing.TOO_LONG: 70_000}
        if self.framing in lengths:
            return ((b"Content-Length", b"%d" % max(0, len(self.body) + lengths[self.framing])),)
        if self.framing in (Framing.CHUNKED, Framing.BROKEN_CHUNKS):
            return ((b"Transfer-Encoding", b"chunked"),)
        return ()

    def _framed_body(self) -> bytes:
        if self.framing is Framing.NONE:
            return b""
        if self.framing is Framing.CHUNKED:
            half = len(self.body) // 2
            pieces = [piece for piece in (self.body[:half], self.body[half:]) if piece]
            return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
        if self.framing is Framing.BROKEN_CHUNKS:
            return b"%x;\r\n%b" % (len(self.body) + 1, self.body) + b"\r\n-1\r\n"
        return self.body


def valid_requests(world: World, random: Random) -> list[Request]:
    """At least one of every route and method; what it pushes is new."""
    return [
        replace(request, fields=((b"Host", b"registry.example"), *request.fields))
        for request in (
            *_of_manifests(world, random),
            *_of_blobs(world),
            *_of_uploads(world, random),
            *_of_lists(world),
        )
    ]


def _repository(world: World, *rest: str) -> tuple[bytes, ...]:
    return (b"/v2/", world.name.encode(), *(part.encode() for part in rest))


def _of_manifests(world: World, random: Random) -> list[Request]:
    accept = ((b"Accept", mediatypes.OCI_MANIFEST.encode()),)
    content_type = ((b"Content-Type", mediatypes.OCI_MANIFEST.encode()),)
    known = json.loads(world.manifest)
    new = json.dumps({**known, "annotations": {"number": str(random.random())}}).encode()
    referrer = json.dumps({**known, "artifactType": "a/b", "subject": known["layers"][0]}).encode()
    length = Framing.LENGTH
    return [
        Request(b"GET", _repository(world, "/manifests/", world.tag), fields=accept),
        Request(b"HEAD", _repository(world, "/manifests/", world.manifest_digest)),
        Request(b"GET", _repository(world, "/manifests/", world.manifest_digest),
                fields=((b"If-None-Match", b'"' + world.manifest_digest.encode() + b'"'),)),
        Request(b"PUT", _repository(world, "/manifests/", "v2"), (), content_type, new, length),
        Request(b"PUT", _repository(world, "/manifests/", "v3"), (), content_type, referrer, Framing.CHUNKED),
        Request(b"PUT", _repository(world, "/manifests/", digest_of(new)), ((b"tag", b"a"), (b"tag", b"b")),
                content_type, new, length),
        Request(b"DELETE", _repository(world, "/manifests/", "v2")),
    ]  # fmt: skip


def _of_blobs(world: World) -> list[Request]:
    blob = _repository(world, "/blobs/", world.blob_digest)
    entity_tag = b'"' + world.blob_digest.encode() + b'"'
    return [
        Request(b"GET", blob),
        Request(b"HEAD", blob),
        Request(b"GET", blob, fields=((b"Range", b"bytes=1-100"),)),
        Request(b"GET", blob, fields=((b"Range", b"bytes=-5"), (b"If-Range", entity_tag))),
        Request(b"DELETE", blob),
    ]


def _of_uploads(world: World, random: Random) -> list[Request]:
    uploads, upload = _repository(world, "/blobs/uploads/"), _repository(world, "/blobs/uploads/", world.upload)
    content = random.randbytes(50)
    digest, mount = digest_of(content).encode(), digest_of(BLOB).encode()
    return [
        Request(b"POST", uploads),
        Request(b"POST", uploads, ((b"digest-algorithm", b"sha512"),)),
        Request(b"POST", uploads, ((b"digest", digest),), (), content, Framing.LENGTH),
        Request(b"POST", uploads, ((b"mount", mount), (b"from", world.name.encode()))),
        Request(b"GET", upload),
        Request(b"PATCH", upload, (), ((b"Content-Range", b"1000-1049"),), content, Framing.LENGTH),
        Request(b"PATCH", upload, (), (), content, Framing.CHUNKED),
        Request(b"PUT", upload, ((b"digest", digest),), (), content, Framing.LENGTH),
        Request(b"DELETE", _repository(world, "/blobs/uploads/", "0" * 8 + world.upload[8:])),
    ]


def _of_lists(world: World) -> list[Request]:
    return [
        Request(b"GET", _repository(world, "/tags/list"), ((b"n", b"2"), (b"last", b"a"))),
        Request(b"GET", (b"/v2/", b"_catalog"), ((b"n", b"5"), (b"last", b"a/b"))),
        Request(b"GET", _repository(world, "/referrers/", world.blob_digest), ((b"artifactType", b"a/b"),)),
        Request(b"GET", (b"/v2/",)),
        Request(b"GET", (b"/healthz",)),
        Request(b"GET", (b"/metrics",)),
        Request(b"DELETE", (b"/api/v1/repositories/", b"never/pushed")),
    ]
