"""Processors: what an image is for is known from itself, and it is placed nowhere else."""

import json

import pytest

from estiva.digest import Digest
from estiva.mediatypes import OCI_INDEX, OCI_MANIFEST
from estiva.reference import RepositoryName
from estiva_server.small_blobs import SmallBlobs
from orchestrator.parsing import parse
from orchestrator.platforms import NOTHING_IN_COMMON, Platforms
from registry import Registry
from storage.metadata.database import Database
from tests.fixtures.documents import described, image, index
from tests.fixtures.orchestrated import REGISTRY, Cluster, engine
from tests.fixtures.registry import push_blob, push_manifest

WEB = RepositoryName("web")
ARM = json.dumps({"architecture": "arm64", "os": "linux"}).encode()


@pytest.fixture
async def cluster(database: Database, registry: Registry) -> Cluster:
    """A cluster with an engine on amd64, whose images are in a registry."""
    made = Cluster(database, {"e1": engine("e1")})
    made.platforms = Platforms(database, made.own, SmallBlobs(registry.pulling).read)
    await made.create()
    return made


async def push(registry: Registry, config: bytes) -> Digest:
    await push_blob(registry, config, name=WEB)
    return await push_manifest(registry, image(config), name=WEB)


async def test_processors_are_known_from_configurations_and_from_the_platforms_of_an_index(
    cluster: Cluster, registry: Registry
) -> None:
    arm, silent, odd = [await push(registry, config) for config in (ARM, b"{}", b"[1]")]
    old = await push(registry, b'{"architecture":"386"}')
    platforms = [{"architecture": "amd64"}, {"architecture": "arm64"}, {"architecture": "unknown", "os": "unknown"}]
    entries = [described(image(ARM), OCI_MANIFEST, platform=one) for one in platforms]
    both = await push_manifest(registry, index(manifests=entries), name=WEB, media_type=OCI_INDEX)
    partly = index(manifests=[*entries, described(image(ARM), OCI_MANIFEST)])
    unsaid = await push_manifest(registry, partly, name=WEB, media_type=OCI_INDEX)
    assert cluster.platforms is not None
    containers = [{"name": name, "image": f"{REGISTRY}/web:1", "memory": 64} for name in ("a", "b")]
    definition = parse({"family": "web", "containerDefinitions": containers}, 1)

    async def of(first: Digest, second: Digest) -> set[str]:
        assert cluster.platforms is not None
        return set(await cluster.platforms.architectures(definition, {"a": first, "b": second}))

    assert await of(arm, arm) == await of(arm, both) == await of(arm, silent) == {"arm64"}
    assert await of(both, both) == {"amd64", "arm64"}
    assert await of(old, both) == {"amd64"}
    assert await of(silent, odd) == await of(unsaid, Digest.of(b"not here")) == set()
    assert await of(old, arm) == {NOTHING_IN_COMMON}


async def test_a_service_says_that_no_instance_has_the_processor_of_its_image(
    cluster: Cluster, registry: Registry
) -> None:
    await push(registry, ARM)
    revision = await cluster.register()
    await cluster.create_service(revision)
    await cluster.deploy(revision, image=image(ARM))
    async with cluster.acting():
        told = "is missing an attribute required by your task: its processor is amd64, the task is for arm64."
        await cluster.until(lambda: has_said(cluster, told))
    assert all(task.images["web"] != Digest.of(image(ARM)) for task in await cluster.running())


async def has_said(cluster: Cluster, text: str) -> bool:
    return any(text in message for message in await cluster.events())
