"""The stock that the reading scenarios need in a registry, pushed through its API."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from benchmarks import load
from benchmarks.caller import Caller
from benchmarks.images import (
    BLOBS,
    CONFIG,
    REPOSITORY,
    SIZES,
    TAG,
    TAGS,
    digest,
    manifest,
    repository_name,
    small_image,
    tag_name,
)
from benchmarks.operations import mount, put, put_manifest
from benchmarks.scenario import ScenarioFailed, Target

_FILLERS = 16
_FILL_SECONDS = 600.0


def _image(target: Target) -> None:
    Caller(target).push_image(REPOSITORY, TAG)


def _blob(size: int, target: Target) -> None:
    if size < 64 << 10:
        Caller(target).push_blob(BLOBS, bytes(size))
        return
    _fill(target, iter([put(BLOBS, target.contents.fixed(size), target.contents.plain)]), connections=1)


def _tags(target: Target) -> None:
    Caller(target).push_image(TAGS, tag_name(0))
    _fill(target, (put_manifest(TAGS, tag_name(index), manifest()) for index in range(1, target.entries)))


def _catalogue(target: Target) -> None:
    Caller(target).push_blob(REPOSITORY, CONFIG)
    _fill(target, _repositories(target.entries))


def _repositories(entries: int) -> Iterator[load.Operation]:
    for index in range(entries):
        yield _one_repository(repository_name(index))


def _one_repository(repository: str) -> load.Operation:
    config = mount(repository, REPOSITORY, digest(CONFIG))
    image = put_manifest(repository, TAG, small_image())

    def operation(user: load.Connection) -> load.Waiting[int]:
        yield from config(user)
        yield from image(user)
        return 0

    return operation


def _fill(target: Target, operations: Iterator[load.Operation], connections: int = _FILLERS) -> None:
    load.run(target.door, connections, _FILL_SECONDS, operations)
    if next(operations, None) is not None:
        raise ScenarioFailed(f"the registry could not be filled within {_FILL_SECONDS:g} seconds")


PARTS: dict[str, Callable[[Target], object]] = {
    "image": _image,
    **{f"blob-{name}": partial(_blob, size) for name, size in SIZES.items()},
    "tags": _tags,
    "catalogue": _catalogue,
}
"""What a scenario may need, and how it gets into a registry."""
