"""Small requests: manifests by tag and digest, blob HEAD, blobs of 1 and 64 KiB."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic_ns

from benchmarks import load, wrk
from benchmarks.caller import Caller
from benchmarks.images import (
    BLOBS,
    MANIFEST_TYPE,
    REPOSITORY,
    SIZES,
    TAG,
    TAGS,
    digest,
    layer,
    manifest,
    tag_name,
)
from benchmarks.operations import get
from benchmarks.scenario import Goal, Sample, Scenario, Target

_MANY = Goal(rate=5, cpu=0.2)
_ACCEPT = f"Accept: {MANIFEST_TYPE}"


def _get(path: Callable[[Target], str], connections: int, *headers: str) -> Callable[[Target], Callable[[], Sample]]:
    def prepare(target: Target) -> Callable[[], Sample]:
        Caller(target).call(200, "GET", path(target), Accept=MANIFEST_TYPE)
        fields = *target.door.fields, *headers
        return lambda: wrk.run(target.url(path(target)), connections, target.seconds, *fields)

    return prepare


def _head(path: Callable[[Target], str], connections: int) -> Callable[[Target], Callable[[], Sample]]:
    def prepare(target: Target) -> Callable[[], Sample]:
        Caller(target).call(200, "HEAD", path(target), Accept=MANIFEST_TYPE)
        lines = f"HEAD {path(target)} HTTP/1.1", *target.door.fields, _ACCEPT, "", ""
        head = "\r\n".join(lines).encode()
        return lambda: load.run_heads(target.door, connections, target.seconds, head)

    return prepare


def _blob(size: str) -> Callable[[Target], str]:
    def path(target: Target) -> str:
        count = SIZES[size]
        value = digest(bytes(count)) if count < SIZES["64k"] else target.contents.fixed(count).digest
        return f"/v2/{BLOBS}/blobs/{value}"

    return path


_PATHS = {
    "tag": lambda _: f"/v2/{REPOSITORY}/manifests/{TAG}",
    "digest": lambda _: f"/v2/{REPOSITORY}/manifests/{digest(manifest())}",
}


def _manifests() -> list[Scenario]:
    return [
        Scenario(
            name=f"manifest-{method}-{by}-{connections}",
            title=f"manifest {method.upper()} by {by}, {connections} connection{'s' * (connections > 1)}",
            unit="ops/s",
            prepare=_get(path, connections, _ACCEPT) if method == "get" else _head(path, connections),
            needs=("image",),
            quick=connections == 16,
            goal=_MANY if connections == 16 else Goal(),
        )
        for method in ("get", "head")
        for by, path in _PATHS.items()
        for connections in (1, 16, 64)
    ]


def _each_tag_once(target: Target) -> Callable[[], Sample]:
    """A push of something new comes first, so that no answer remembered from before may be given unseen."""
    content = manifest(monotonic_ns())
    Caller(target).call(201, "PUT", f"/v2/{TAGS}/manifests/pushed", content, Content_Type=MANIFEST_TYPE)
    size = len(manifest())
    paths = (f"/v2/{TAGS}/manifests/{tag_name(index)}" for index in range(target.entries))
    operations = [get(path, size, _ACCEPT) for path in paths]
    return lambda: load.run(target.door, 16, target.seconds, operations)


SCENARIOS = [
    *_manifests(),
    Scenario(
        name="manifest-get-new-16",
        title="manifest GET, another tag each time, after a push, 16 connections",
        unit="ops/s",
        prepare=_each_tag_once,
        needs=("image", "tags"),
        quick=True,
        goal=_MANY,
    ),
    Scenario(
        name="blob-head-16",
        title="blob HEAD, 16 connections",
        unit="ops/s",
        prepare=_head(lambda _: f"/v2/{REPOSITORY}/blobs/{digest(layer(0))}", 16),
        needs=("image",),
        quick=True,
        goal=_MANY,
    ),
    *(
        Scenario(
            name=f"blob-get-{size}-{connections}",
            title=f"blob GET {size[:-1]} KiB, {connections} connections",
            unit="ops/s",
            prepare=_get(_blob(size), connections),
            needs=(f"blob-{size}",),
            quick=True,
            goal=Goal(rate=10),
        )
        for size, connections in (("1k", 4), ("64k", 16))
    ),
]
