"""Pulls through the cache, of an image that the upstream of the tests has."""

from estiva.digest import Digest
from estiva.errors import Denied
from estiva.reference import RepositoryName, Tag
from registry.mirroring.arriving import ArrivingBlob
from registry.mirroring.cache import PullThroughCache
from storage.metadata.audit import Actor
from tests.fixtures.documents import image

ACTOR = Actor("user/test")
LAYER = bytes(range(256)) * 8192  # 2 MiB
CONFIG = b'{"architecture":"amd64"}'
IMAGE = image(CONFIG, LAYER)
NAME, THEIRS, TAG = RepositoryName("hub/team/app"), "team/app", Tag("1")


class Anybody:
    """Whoever pulls, and may."""

    def __init__(self, allowed: bool = True) -> None:
        self.allowed = allowed

    async def may_import(self) -> bool:
        return self.allowed

    async def require_import(self, exists: bool) -> None:
        if not self.allowed:
            raise Denied


async def pull(cache: PullThroughCache, name: RepositoryName = NAME, tag: Tag = TAG) -> bytes:
    return (await cache.manifest(name, tag, Anybody())).stored.payload


async def content(cache: PullThroughCache, digest: Digest, name: RepositoryName = NAME) -> bytes:
    found = await cache.blob(name, digest, Anybody())
    if isinstance(found, ArrivingBlob):
        return b"".join([piece async for piece in found.read(0, found.size)])
    with await cache.pulling.open(found) as file:
        return file.read()
