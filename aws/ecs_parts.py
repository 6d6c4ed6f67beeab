"""What ECS's operations have at hand: facts, images, and a way to say that something was asked of a cluster."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from estiva.digest import Digest
from estiva.reference import RepositoryName
from orchestrator.definition import TaskDefinition
from storage.metadata.clusters import ClusterKey
from storage.metadata.database import Database


@dataclass(frozen=True, slots=True)
class ImageFound:
    """What an image's name means: `name` where this registry has the repository, `digest` where it is known.

    Images of other registries stay by their tags.
    """

    name: RepositoryName | None = None
    digest: Digest | None = None


class Images(Protocol):
    """Resolves images by the names that task definitions give them."""

    async def find(self, image: str) -> ImageFound:
        """What the name means now."""
        ...


def nobody_to_wake(key: ClusterKey) -> None:
    """Nothing acts on what is asked, yet."""


def any_tags(tags: Sequence[Mapping[str, str]]) -> str | None:
    """Services can have whatever tags they like."""
    return None


async def any_processor(definition: TaskDefinition, digests: Mapping[str, Digest]) -> frozenset[str]:
    """Nothing is known of which processors images are for."""
    return frozenset()


async def nothing_to_prepare(key: ClusterKey) -> None:
    """Clusters have the instances that are registered, and no others."""


@dataclass(frozen=True, slots=True)
class EcsParts:
    """ECS's own parts. `wake` is called after each commit that asks something of a cluster; it may be lost.

    `prepare` is awaited before tasks are placed in a cluster or a service is made there. `refuse_tags` says why a
    service cannot have these tags, some of which ask for gates. Without an engine nothing can be placed.
    `architectures`: the processors that images are for.
    """

    database: Database
    images: Images
    wake: Callable[[ClusterKey], None] = nobody_to_wake
    prepare: Callable[[ClusterKey], Awaitable[None]] = nothing_to_prepare
    refuse_tags: Callable[[Sequence[Mapping[str, str]]], str | None] = any_tags
    has_engine: bool = True
    architectures: Callable[[TaskDefinition, Mapping[str, Digest]], Awaitable[frozenset[str]]] = any_processor


Found = Mapping[str, ImageFound]
"""By container."""
