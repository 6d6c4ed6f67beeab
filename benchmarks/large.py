"""A registry that holds much: starting, listing, pushing and looking after it (``python -m benchmarks.large``).

10,000 repositories of 100 tags each, entered by the registry's own work on its database, one by one and without HTTP.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from time import monotonic
from typing import Any, TypeVar

from benchmarks import load, machine, peers, procfs
from benchmarks.caller import Caller
from benchmarks.contents import Contents
from benchmarks.images import (
    CONFIG,
    LAYERS,
    MANIFEST_TYPE,
    REPOSITORY,
    TAG,
    digest,
    layer,
    manifest,
    repository_name,
    tag_name,
)
from benchmarks.operations import get, put_manifest
from benchmarks.scenario import MIB, Door, Sample, ScenarioFailed, Target
from benchmarks.server import free_port, serving
from estiva.digest import Digest
from estiva.manifest import parse_manifest
from estiva.mediatypes import OCI_LAYER
from estiva.reference import RepositoryName, Tag
from storage.blobs import StoredBlob
from storage.blobs.filesystem import FilesystemBlobStore
from storage.metadata import blobs, manifests
from storage.metadata.database import Database, Work
from storage.metadata.manifests import StoredManifest
from storage.metadata.opening import open_database

T = TypeVar("T")
_PAGE = 100
_CONNECTIONS = 4
_STARTS = 5
_TOGETHER = 10
"""Repositories that are entered in one transaction."""


@dataclass(frozen=True)
class Size:
    """How much the registry holds: each repository has so many images, among which its tags are dealt."""

    repositories: int
    images: int
    tags: int


async def _fill(data: Path, size: Size) -> None:
    database, store = open_database(f"sqlite:///{data}/estiva.db"), FilesystemBlobStore(data)
    try:
        for begin in range(0, size.repositories, _TOGETHER):
            numbers = range(begin, min(begin + _TOGETHER, size.repositories))
            await _enter(database, [_Contents.of(store, number, size.images) for number in numbers], size.tags)
    finally:
        await database.close()


@dataclass(frozen=True)
class _Contents:
    """Of one repository: a layer that no other has, and images that need it and the ten blobs that all have."""

    name: RepositoryName
    layer: StoredBlob
    digest: Digest
    images: list[StoredManifest]

    @classmethod
    def of(cls, store: FilesystemBlobStore, number: int, images: int) -> _Contents:
        content = b"of repository %d" % number
        stored = store.store_whole(f"layer-{number}", Digest.of(content), content)
        if stored is None:
            raise ScenarioFailed(f"an upload layer-{number} is there already")
        own = {"mediaType": OCI_LAYER, "digest": digest(content), "size": len(content)}
        name = RepositoryName.parse(repository_name(number))
        return cls(name, stored, Digest.of(content), [_stored(index, own) for index in range(images)])


def _stored(number: int, own: dict[str, object]) -> StoredManifest:
    value = json.loads(manifest(number))
    value["layers"].append(own)
    content = json.dumps(value).encode()
    return StoredManifest(Digest.of(content), MANIFEST_TYPE, content)


async def _enter(database: Database, contents: list[_Contents], tags: int) -> None:
    def work() -> Work[None]:
        for each in contents:
            yield from _repository(each, tags)

    await database.write(work, durable=False)


def _repository(contents: _Contents, tags: int) -> Work[None]:
    name, source = contents.name, [RepositoryName.parse(REPOSITORY)]
    for content in [CONFIG, *(layer(index) for index in range(LAYERS))]:
        if not (yield from blobs.mount(name, Digest.of(content), source)):
            raise ScenarioFailed(f"{digest(content)} is not in {REPOSITORY}")
    yield from blobs.record(name, None, contents.digest, contents.layer.size, contents.layer.key)
    for number, image in enumerate(contents.images):
        its_tags = [Tag.parse(tag_name(index)) for index in range(number, tags, len(contents.images))]
        yield from manifests.put(name, parse_manifest(image.payload, MANIFEST_TYPE), image, its_tags)


@dataclass(frozen=True)
class Large:
    """The registry under measurement: the peer, its directory, and where it listens each time."""

    peer: peers.Estiva
    directory: Path
    port: int

    @property
    def data(self) -> Path:
        return self.directory / "data"

    @contextmanager
    def running(self) -> Iterator[int]:
        """The id of its process, which answers."""
        with serving(self.peer, self.directory, self.port) as pid:
            yield pid


def _timed(work: Callable[[], T]) -> tuple[float, T]:
    begun = monotonic()
    result = work()
    return monotonic() - begun, result


def _starts(large: Large) -> Iterator[float]:
    for _ in range(_STARTS):
        begun = monotonic()
        with large.running():
            yield monotonic() - begun


def _tell(what: str, figure: str) -> None:
    print(f"{what:44} {figure}", flush=True)


def _tell_sample(what: str, sample: Sample) -> None:
    _tell(what, f"p50 {sample.p50_ms:.2f} ms, p99 {sample.p99_ms:.2f} ms, {sample.operations / sample.seconds:,.0f}/s")


def _catalogue_page(repository: int) -> str:
    return f"/v2/_catalog?n={_PAGE}" + (f"&last={repository_name(repository - 1)}" if repository else "")


def _check_page(caller: Caller, path: str, key: str, first: str) -> None:
    _, body = caller.call(200, "GET", path)
    came = json.loads(body)[key]
    if len(came) != _PAGE or first not in came[:1] + came[-1:]:
        raise ScenarioFailed(f"{path}: {len(came)} entries from {came[:1]} to {came[-1:]}")


def _catalogue_pages(door: Door, caller: Caller, size: Size, seconds: float) -> None:
    last, chance = size.repositories - _PAGE, random.Random(1)
    for what, begin in [("first", 0), ("middle", size.repositories // 2), ("last", last)]:
        if begin:
            _check_page(caller, _catalogue_page(begin), "repositories", repository_name(begin))
        page = get(_catalogue_page(begin))
        _tell_sample(f"{what} page of 100 repositories", load.run(door, 1, seconds, (page for _ in count())))
    pages = (get(_catalogue_page(chance.randint(1, last))) for _ in count())
    _tell_sample(f"any page of 100 repositories, {_CONNECTIONS} at once", load.run(door, _CONNECTIONS, seconds, pages))


def _tag_pages(door: Door, caller: Caller, size: Size, seconds: float) -> None:
    def of(repository: int) -> str:
        return f"/v2/{repository_name(repository)}/tags/list?n={_PAGE}"

    chance = random.Random(3)
    _check_page(caller, of(size.repositories // 2), "tags", tag_name(0))
    for connections in (1, _CONNECTIONS):
        pages = (get(of(chance.randrange(size.repositories))) for _ in count())
        what = f"the 100 tags of any repository, {connections} at once"
        _tell_sample(what, load.run(door, connections, seconds, pages))


def _pushes(door: Door, size: Size, seconds: float) -> None:
    chance = random.Random(2)
    for connections in (1, _CONNECTIONS):
        pushes = (
            put_manifest(
                repository_name(chance.randrange(size.repositories)), "new", manifest(connections * 10_000_000 + number)
            )
            for number in count()
        )
        _tell_sample(f"a new image pushed, {connections} at once", load.run(door, connections, seconds, pushes))


def _looked_after(caller: Caller, garbage: int) -> None:
    taken, done = _timed(lambda: _again(caller, "/api/v1/gc"))
    if done["trashed"]:
        raise ScenarioFailed(f"the collection took what is needed: {done}")
    _tell(f"garbage collected: {done['judged']:,} judged, all needed", f"{taken:.2f} s")
    begun = monotonic()
    for number in range(garbage):
        caller.push_blob(REPOSITORY, b"not needed %d" % number)
    _tell(f"{garbage} blobs pushed that nothing needs", f"{monotonic() - begun:.1f} s")
    taken, done = _timed(lambda: _again(caller, "/api/v1/gc"))
    wanted = {"trashed": garbage, "removed": garbage}
    if any(done[key] != value for key, value in wanted.items()):
        raise ScenarioFailed(f"the collection did {done} instead of {wanted}")
    _tell("garbage collected: all of these", f"{taken:.2f} s")
    taken, done = _timed(lambda: _again(caller, "/api/v1/gc"))
    _tell("garbage collected: nothing there", f"{taken:.3f} s")
    taken, done = _timed(lambda: _again(caller, "/api/v1/fsck"))
    if done["missing"] or done["corrupt"]:
        raise ScenarioFailed(f"fsck found {done}")
    _tell(f"fsck of {done['rows']:,} blobs", f"{taken:.2f} s")


def _again(caller: Caller, path: str) -> dict[str, Any]:
    """What the requests that it takes have done together."""
    total: dict[str, Any] = {}
    query = ""
    while True:
        _, body = caller.call(200, "POST", path + query)
        done = json.loads(body)
        total = {key: total.get(key, 0) + value for key, value in done.items() if isinstance(value, int)}
        if done.get("finished", True) and done.get("after", "~") == "~":
            return total
        query = f"?after={done['after']}" if "after" in done else ""


def _backup(large: Large) -> float:
    command = [large.peer.program, "backup", "--data", str(large.data), str(large.directory / "backup")]
    taken, _ = _timed(lambda: subprocess.run(command, env=large.peer.environment(), check=True, capture_output=True))
    return taken


def _measure(large: Large, size: Size, seconds: float, garbage: int, contents: Contents) -> None:
    with large.running():
        access = large.peer.access(large.port)  # makes its user, once
        Caller(Target(Door("127.0.0.1", large.port, access.filling()), 0, 0, contents)).push_image(REPOSITORY, TAG)
    _tell("start, empty", _spread(_starts(large)))
    taken, _ = _timed(lambda: asyncio.run(_fill(large.data, size)))
    _tell(f"{size.repositories * size.tags:,} tags entered", f"{taken:.0f} s")
    _tell("size of the database", f"{(large.data / 'estiva.db').stat().st_size / MIB:,.0f} MiB")
    _tell("start, full", _spread(_starts(large)))
    with large.running() as pid:
        _tell("memory after the start", f"{procfs.peak_bytes(pid) / MIB:.0f} MiB")
        reading = Door("127.0.0.1", large.port, access.measuring())
        pushing = Door("127.0.0.1", large.port, access.filling())
        caller = Caller(Target(pushing, 0, 0, contents))
        _catalogue_pages(reading, caller, size, seconds)
        _tag_pages(pushing, caller, size, seconds)
        _pushes(pushing, size, seconds)
        _looked_after(Caller(Target(Door("127.0.0.1", large.port, access.administering()), 0, 0, contents)), garbage)
        _tell("backup while it runs", f"{_backup(large):.1f} s")
        _tell("memory at the most", f"{procfs.peak_bytes(pid) / MIB:.0f} MiB")


def _spread(times: Iterator[float]) -> str:
    figures = sorted(times)
    return f"{figures[0]:.2f} to {figures[-1]:.2f} s, of {len(figures)}"


@dataclass(frozen=True)
class _Impatient(peers.Estiva):
    """Collects what nothing needs at once, when it is asked to."""

    def environment(self) -> dict[str, str]:
        return super().environment() | {"ESTIVA_GC_GRACE": "0", "ESTIVA_GC_TRASH": "0", "ESTIVA_GC_EVERY": "86400"}


def main(arguments: Sequence[str]) -> int:
    """Measure and print; 1 where something was not as it has to be."""
    options = _parser().parse_args(arguments)
    program = peers.look_for("estiva")
    if program is None:
        print("benchmarks: estiva was not found", file=sys.stderr)
        return 2
    options.workdir.mkdir(parents=True, exist_ok=True)
    size = Size(options.repositories, options.images, options.tags)
    with (
        tempfile.TemporaryDirectory(prefix="estiva-large-", dir=options.workdir) as name,
        Contents(Path(name), MIB) as contents,
    ):
        large = Large(_Impatient("estiva", program), Path(name), free_port())
        try:
            _measure(large, size, options.seconds, options.garbage, contents)
        except ScenarioFailed as failure:
            print(f"benchmarks: {failure}", file=sys.stderr)
            return 1
    print(machine.description(options.workdir))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.large", description=__doc__)
    add = parser.add_argument
    add("--repositories", type=int, default=10_000, help="at least 200 (default: %(default)s)")
    add("--tags", type=int, default=100, help="of each repository, at least 100 (default: %(default)s)")
    add("--images", type=int, default=10, help="of each repository (default: %(default)s)")
    add("--garbage", type=int, default=500, help="blobs to be collected (default: %(default)s)")
    add("--seconds", type=float, default=5, help="length of a timed part (default: %(default)s)")
    add("--workdir", type=Path, default=peers.REPOSITORY / "build", help="where the data goes; no tmpfs")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
