"""Ways to spoil a request. Each takes one and gives another; which of many values it takes is `random`'s choice."""

import json
from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import Any

from tests.hostile.requests import Framing, Request

Mutation = Callable[[Request, Random], Request]

HEX = "0123456789abcdef"
NAMES = [
    b"", b"/", b"..", b"../../../etc", b".", b"A/B", b"a//b", b"a/", b"-a", b"a_-b", b"a___b", b"a.-b", b"_catalog",
    b"a%2fb", b"%2e%2e", b"a%00", b"a%0d%0aX-Injected:%201", b"%ff", b"%", b"%zz", b"%ed%a0%80", b"a" * 255,
    b"a" * 256, b"a/" * 2000 + b"a", b"a-" * 120, b"a" + b"-" * 250 + b"!", b"caf\xc3\xa9", b"caf\xe9", b"a b",
    b"a\tb", b"a%20b", b"v2/a/blobs/uploads", b"a/manifests/b", b"a/blobs/sha256", b"'--", b"${jndi:x}", b"%25252e",
]  # fmt: skip
REFERENCES = [
    b"", b".", b"..", b"../x", b"..%2f..%2fx", b"sha256:", b"sha256:" + b"a" * 63, b"sha256:" + b"A" * 64,
    b"sha256:" + b"a" * 65, b"sha256:../../../../etc/passwd", b"sha256:" + b"g" * 64, b"sha256:%00",
    b"md5:" + b"a" * 32, b"sha512:" + b"a" * 64, b"sha256:" + b"a" * 64 + b"%0a", b"sha256%3a" + b"a" * 64, b":",
    b"a:b:c", b"sha256-" + b"a" * 64, b"%0d%0aX-Injected:%201", b"%00", b"-tag", b"t" * 128, b"t" * 129, b"t" * 6000,
    b"%ff%fe", b"%F0%9F%98%80", b"uploads", b"\xff\xfe", b"a%2Fb", b"*", b"sha256:" + b"a" * 64 + b"/x",
    b"sha256:" + b"0" * 64, b"sha512:" + b"0" * 128,
]  # fmt: skip
VALUES = [
    b"", b"0", b"-1", b"+1", b"1e3", b"abc", b"1001", b"100000000000000000000", b"9" * 5000, b"0x10", b"1_0", b"%00",
    b"%ff", b"%0d%0aX-Injected:%201", b"\xd9\xa1", b"%D9%A1", b"1%20", b"a" * 600, b"..%2f..", b"%", b"%%%",
    b"%ed%a0%80", b"sha256:" + b"a" * 63, b"sha256:" + b"A" * 64, b"sha256:../../x", b"sha512:" + b"0" * 128,
    b"sha384", b"a;b", b"'", b"sha256:" + b"0" * 64, b"1" * 18, b"true", b"null", b"[]", b"a/b", b"A/../b",
]  # fmt: skip
PARAMETERS = [
    b"n", b"last", b"digest", b"mount", b"from", b"artifactType", b"tag", b"digest-algorithm", b"", b"x" * 100,
]  # fmt: skip
RANGES = [
    b"bytes=", b"bytes=-", b"bytes=5", b"bytes=9-1", b"bytes=-0", b"bytes=0-0", b"bytes=0-1,2-3", b"bytes=999999-",
    b"bytes=0-" + b"9" * 30, b"bytes=-" + b"9" * 18, b"items=0-1", b"bytes=a-b", b"bytes=\xb2-\xb3", b"bytes 0-1",
    b"0-", b"-5", b"0-99999999999999999999", b"1-0", b"bytes 0-9/5", b"0-9/*", b"0-49", b"1000-1049", b"1049-1000",
    b"999999999999999999-999999999999999999", b"0-0", b"\x80", b"",
]  # fmt: skip
FIELD_VALUES = [
    b"", b" ", b"\t", b"*", b"W/", b'"', b"," * 500, b"\xff" * 50, b"a" * 4000, b"application/json", b"text/html",
    b"application/vnd.oci.image.index.v1+json", b"application/vnd.docker.distribution.manifest.v1+prettyjws",
    b"application/vnd.oci.image.manifest.v1+json; charset=utf-16", b";", b"a/b, c/d", b"%0d%0a",
    b"Bearer " + b"x" * 3000, b"Basic ====", b"chunked", b"gzip", b"100-continue", b"-1", b"close", b"keep-alive",
    b"h2c", b"evil.example", b"../../etc", b"${x}", b"<script>", b"sha256:" + b"0" * 64,
]  # fmt: skip
FIELD_NAMES = [
    b"Content-Type", b"Accept", b"If-None-Match", b"If-Range", b"If-Match", b"If-Modified-Since", b"Authorization",
    b"Accept-Encoding", b"Content-Encoding", b"Expect", b"Connection", b"Upgrade", b"X-Request-Id",
    b"X-Forwarded-Host", b"X-Forwarded-Proto", b"X-Forwarded-For", b"Forwarded", b"X-HTTP-Method-Override", b"Cookie",
    b"Origin", b"Referer", b"User-Agent", b"Docker-Upload-UUID", b"OCI-Chunk-Min-Length", b"TE", b"Trailer", b"Via",
    b"Date", b"Host",
]  # fmt: skip
METHODS = [
    b"GET", b"HEAD", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS", b"TRACE", b"PROPFIND", b"MKCOL", b"PURGE",
    b"LINK", b"SEARCH", b"M-SEARCH", b"REPORT", b"get", b"G\x00ET", b"QUERYX", b"CONNECT",
]  # fmt: skip
JSON_VALUES: list[Any] = [
    None, True, 0, -1, 1.5, 1 << 63, 1 << 64, -(1 << 70), 10**300, "", "x", [], {}, [[]], {"a": {}}, "\0", "\ud800",
    "\U0001f600", "a" * 5000, "sha256:" + "a" * 63, "sha256:" + "A" * 64, "sha256:../../x", {"mediaType": "a/b"},
    [1, "a", None], [[[[]]]] * 50, "application/vnd.oci.image.index.v1+json", {"é": "ü"}, {"": ""}, float("inf"),
    float("nan"),
]  # fmt: skip
TEXTS = [
    b"", b"{", b"}", b"null", b"[]", b"[" * 100_000, b'{"a":' * 40 + b"1" + b"}" * 40, b"NaN", b"1" * 6000,
    b"\xff\xfe{}", b"\xef\xbb\xbf{}", b"\x00", b'{"schemaVersion":2,"schemaVersion":2}', b"{}" * 3, b'"',
    b'{"a":"\\ud800"}', b"\\" * 500, b"-" * 500, b'"\\' * 5000, b'{"schemaVersion":1}', b"1e9999999999", b"{'a':1}",
    b"//", b'{"a":1,}', b"[" + b"[]," * 3000 + b"0]",
]  # fmt: skip

MEMBERS = ("manifests", "layers", "config", "mediaType", "subject", "annotations", "artifactType", "urls")


def path_part(request: Request, random: Random) -> Request:
    """Another name, reference or literal."""
    place = random.randrange(len(request.path))
    value = random.choice(random.choice((NAMES, REFERENCES)))
    if place == 0:
        value = random.choice(
            (b"/v2", b"/v2//", b"//v2/", b"/v2/../v2/", b"/v2/./", b"/V2/", b"/v1/", b"", b"/v2/%2e/")
        )
    return replace(request, path=(*request.path[:place], value, *request.path[place + 1 :]))


def path_byte(request: Request, random: Random) -> Request:
    """One byte of the path replaced, doubled, or percent-encoded once or twice."""
    path = b"".join(request.path) or b"/"
    place = random.randrange(len(path))
    old = path[place : place + 1]
    new = random.choice((b"%%%02x" % old[0], b"%%25%02X" % old[0], old * 2, b"", bytes([random.randrange(256)])))
    return replace(request, path=(path[:place] + new + path[place + 1 :],))


def query_value(request: Request, random: Random) -> Request:
    """A hostile value for a parameter that was there, or for another one."""
    name = random.choice([*(name for name, _ in request.query)] or PARAMETERS)
    kept = tuple(pair for pair in request.query if pair[0] != name or random.random() < 0.2)
    return replace(request, query=(*kept, (name, random.choice(VALUES))))


def query_shape(request: Request, random: Random) -> Request:
    """Many parameters, or what is no query at all."""
    many = tuple((random.choice(PARAMETERS), random.choice(VALUES[:12])) for _ in range(random.choice((2, 20, 400))))
    shapes = (many, ((b"", b""),), ((b"n=1=2", b"3"),), ((b"n;last", b"4"),), ((b"?n", b"?"),), ((b"tag", b"a"),) * 150)
    return replace(request, query=(*request.query, *random.choice(shapes)))


def field(request: Request, random: Random) -> Request:
    """A header field with a hostile value, in place of its first or besides it."""
    name = random.choice(FIELD_NAMES)
    kept = tuple(pair for pair in request.fields if pair[0] != name or random.random() < 0.3)
    return replace(request, fields=(*kept, (name, random.choice(FIELD_VALUES))))


def ranges(request: Request, random: Random) -> Request:
    """Range and Content-Range."""
    name = random.choice((b"Range", b"Content-Range"))
    return replace(request, fields=(*request.fields, (name, random.choice(RANGES))))


def field_shape(request: Request, random: Random) -> Request:
    """Fields whose form is the trouble: long, many, folded, with a space before the colon, with a control byte."""
    shapes: tuple[tuple[tuple[bytes, bytes], ...], ...] = (
        ((b"X-Long", b"a" * random.choice((7000, 30_000, 40_000))),),
        tuple((b"X-%d" % number, b"a") for number in range(random.choice((50, 500)))),
        ((b"X-Folded", b"a\r\n b"),),
        ((b"X-Space ", b"a"),),
        ((b"X-Nul", b"a\0b"),),
        ((b"X-CR", b"a\rX-Injected: 1"),),
        ((b"X-LF", b"a\nX-Injected: 1"),),
        ((b"", b"a"),),
        ((b"Content-Length", random.choice((b"-1", b"+5", b"0x5", b"5, 5", b"1" * 30, b" ", b"5;"))),),
        (
            (
                b"Transfer-Encoding",
                random.choice((b"gzip", b"chunked, chunked", b"identity", b"\x0bchunked", b"xchunked")),
            ),
        ),
    )
    return replace(request, fields=(*request.fields, *random.choice(shapes)))


def method(request: Request, random: Random) -> Request:
    """Another method."""
    return replace(request, method=random.choice(METHODS))


def framing(request: Request, random: Random) -> Request:
    """Another framing, also of a body that nobody expects."""
    body = request.body or random.choice((b"", b"x" * 10, b"GET /v2/ HTTP/1.1\r\n\r\n", b"y" * 200_000))
    return replace(request, body=body, framing=random.choice(list(Framing)))


def version(request: Request, random: Random) -> Request:
    """Another HTTP version."""
    versions = (
        b"HTTP/1.0",
        b"HTTP/1.0",
        b"HTTP/0.9",
        b"HTTP/1.2",
        b"HTTP/2.0",
        b"http/1.1",
        b"HTTP/1.1 ",
        b"",
        b"HTTP/9",
    )
    return replace(request, version=random.choice(versions))


def target_form(request: Request, random: Random) -> Request:
    """Absolute form and worse."""
    forms = (
        b"http://registry.example", b"http://evil.example", b"https://a:b@evil.example:99", b"//evil.example", b"http://",
        b"http://[::1", b"ftp://x", b"javascript:", b"*", b"#", b"?", b"\\", b"/\\", b"registry.example:443", b" ",
    )  # fmt: skip
    return replace(request, prefix=random.choice(forms))


def body(request: Request, random: Random) -> Request:
    """Another body: random bytes, JSON that is none, or the same with one member spoiled."""
    choice = random.random()
    if choice < 0.6 and request.body.startswith(b"{"):
        new = spoiled_json(request.body, random)
    elif choice < 0.8:
        new = random.choice(TEXTS)
    else:
        new = random.randbytes(random.choice((0, 1, 1000, 150_000)))
    framed = request.framing if request.framing is not Framing.NONE else Framing.LENGTH
    return replace(request, body=new, framing=framed)


def spoiled_json(text: bytes, random: Random) -> bytes:
    """The document with one value anywhere in it replaced, one member added or removed, or one byte changed."""
    try:
        document = json.loads(text)
    except ValueError:
        return text[: random.randrange(len(text))]
    places = list(_places(document))
    holder, key = random.choice(places)
    change = random.random()
    if change < 0.6:
        holder[key] = random.choice(JSON_VALUES)
    elif change < 0.75 and isinstance(holder, dict):
        del holder[key]
    elif change < 0.9 and isinstance(holder, dict):
        holder[random.choice(MEMBERS)] = random.choice(JSON_VALUES)
    else:
        spoiled = bytearray(text)
        spoiled[random.randrange(len(spoiled))] = random.randrange(256)
        return bytes(spoiled)
    return json.dumps(document).encode()


def _places(value: Any) -> Any:
    keys = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in keys:
        yield value, key
        yield from _places(value[key])


MUTATIONS: tuple[Mutation, ...] = (
    path_part, path_part, path_byte, query_value, query_value, query_shape, field, field, ranges, field_shape, method,
    framing, version, target_form, body, body, body,
)  # fmt: skip


def mutated(request: Request, random: Random) -> Request:
    """The request, spoiled in one to three ways."""
    for _ in range(random.choice((1, 1, 1, 2, 2, 3))):
        request = random.choice(MUTATIONS)(request, random)
    return request
