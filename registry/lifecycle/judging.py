"""From a repository's facts to its images that expire."""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

from estiva.digest import Digest
from registry.lifecycle.evaluation import expiring
from registry.lifecycle.images import Image, images_of, needed
from registry.lifecycle.policy import LifecyclePolicy, Rule
from storage.metadata import lifecycle
from storage.metadata.database import Database
from storage.metadata.lifecycle import ManifestFacts

READ_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class Expiring:
    """An image that expires, by which rule, and the facts of its manifests on which that rests."""

    image: Image
    rule: Rule
    facts: Mapping[Digest, ManifestFacts]


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a policy says of a repository: what expires, oldest first; how many images each manifest is in."""

    expiring: Sequence[Expiring]
    need: Counter[Digest]
    images: int


async def judge(database: Database, threads: Executor, repository: int, policy: LifecyclePolicy) -> Judgement:
    """The judgement of that policy now. Facts are read a page at a time, and judged in a thread."""
    now = await database.read(lifecycle.now())
    facts: list[ManifestFacts] = []
    last = ""
    while True:
        page = await database.read(lifecycle.page(repository, last, READ_AT_ONCE))
        facts += page
        if len(page) < READ_AT_ONCE:
            break
        last = str(page[-1].digest)
        await asyncio.sleep(0)  # a read need not give up the loop, and others wait for it
    return await asyncio.get_running_loop().run_in_executor(threads, _judge, policy, facts, now)


def _judge(policy: LifecyclePolicy, facts: Sequence[ManifestFacts], now: float) -> Judgement:
    images = images_of(facts)
    by_digest = {manifest.digest: manifest for manifest in facts}
    rules = expiring(policy, images, now)
    found = [
        Expiring(image, rules[image.digest], {member: by_digest[member] for member in image.members})
        for image in images
        if image.digest in rules
    ]
    found.sort(key=lambda one: (one.image.moved_at, str(one.image.digest)))
    return Judgement(found, needed(images), len(images))


def parents_first(digests: Sequence[Digest], facts: Mapping[Digest, ManifestFacts]) -> list[Digest]:
    """These manifests, every index before what it lists: the order in which they can be deleted."""
    ordered: list[Digest] = []
    wanted = set(digests)
    listed = Counter(child for digest in digests for child in facts[digest].children)
    ready = [digest for digest in digests if not listed[digest]]
    while ready:
        digest = ready.pop()
        ordered.append(digest)
        for child in facts[digest].children:
            listed[child] -= 1
            if not listed[child] and child in wanted:
                ready.append(child)
    return ordered
