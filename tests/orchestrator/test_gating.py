"""Gates on a real store: what is recorded of an image decides whether a deployment of it may begin."""

from collections.abc import Sequence

import pytest

from estiva.digest import Digest
from estiva.mediatypes import OCI_INDEX, OCI_MANIFEST
from estiva.reference import RepositoryName
from estiva_server.small_blobs import SmallBlobs
from orchestrator.gating import GateParts
from orchestrator.signatures import BUNDLE, SIMPLE
from registry import Registry
from storage.metadata import mutability, repositories, scans
from storage.metadata.database import Database, Work
from storage.metadata.mutability import Mode, TagMutability
from tests.fixtures.documents import described, image, index
from tests.fixtures.orchestrated import Cluster, engine
from tests.fixtures.registry import push_blob, push_manifest
from tests.fixtures.signing import Signer

WEB = RepositoryName("web")
SIGNER = Signer()


def asking(**tags: str) -> Sequence[dict[str, str]]:
    return [{"key": name.replace("_", "-"), "value": value} for name, value in tags.items()]


@pytest.fixture
async def cluster(database: Database, registry: Registry) -> Cluster:
    """A cluster with an engine, whose images are in a registry."""
    made = Cluster(database, {"e1": engine("e1")})
    blobs = SmallBlobs(registry.pulling)
    made.gates = GateParts(made.own, made.read, blobs.read, {"release": SIGNER.key.public_key()}, scans=True)
    await made.create()
    await push_blob(registry, b"{}", name=WEB)
    return made


def version(number: int) -> bytes:
    return image(annotations={"version": str(number)})


async def push(registry: Registry, number: int) -> Digest:
    return await push_manifest(registry, version(number), "1", name=WEB)


async def sign_by_tag(registry: Registry, subject: Digest) -> None:
    payload, annotations = SIGNER.simple(subject)
    await push_blob(registry, payload, name=WEB)
    layer = described(payload, SIMPLE, annotations=annotations)
    await push_manifest(registry, image(layers=[layer]), f"sha256-{subject.hex}.sig", name=WEB)


async def sign_by_referrer(registry: Registry, subject: bytes) -> None:
    content = SIGNER.bundle(Digest.of(subject))
    await push_blob(registry, content, name=WEB)
    about = described(subject, OCI_MANIFEST)
    signature = image(layers=[described(content, BUNDLE)], subject=about, artifactType=BUNDLE)
    await push_manifest(registry, signature, name=WEB)


async def runs(cluster: Cluster, number: int, *, tasks: int = 2) -> bool:
    wanted = [Digest.of(version(number))] * tasks
    return [task.images["web"] for task in await cluster.running()] == wanted


async def has_said(cluster: Cluster, text: str) -> bool:
    return any(text in message for message in await cluster.events())


async def is_complete(cluster: Cluster) -> bool:
    return (await cluster.rollouts())[0] == ("PRIMARY", "COMPLETED")


async def scanned(cluster: Cluster, digest: Digest, **counts: int) -> None:
    def work() -> Work[None]:
        yield from scans.begin(WEB, digest)
        yield from scans.complete(WEB, digest, [], counts)

    await cluster.database.write(work)


async def test_behaviour_20_a_missing_signature_or_a_finding_holds_a_deployment_back_while_the_old_version_runs(
    cluster: Cluster, registry: Registry
) -> None:
    cluster.tags = asking(gate_scan="HIGH", gate_signature="release")
    first = await push(registry, 1)
    await sign_by_tag(registry, first)
    await scanned(cluster, first, LOW=7)
    revision = await cluster.register()
    await cluster.create_service(revision)
    await cluster.deploy(revision, image=version(1))
    async with cluster.acting():
        await cluster.until(lambda: runs(cluster, 1))
        await cluster.until(lambda: is_complete(cluster))

        second = await push(registry, 2)
        held = await cluster.deploy(revision, image=version(2))
        begins = f"(service web) (deployment {held}) is held back: 127.0.0.1:5000/web:1: "
        await cluster.until(lambda: has_said(cluster, f"{begins}gate-scan: {second} has not been scanned."))
        await scanned(cluster, second, HIGH=1, CRITICAL=2)
        told = f"{begins}gate-scan: {second} has findings: 2 CRITICAL, 1 HIGH."
        await cluster.until(lambda: has_said(cluster, told))
        await scanned(cluster, second, MEDIUM=1)
        told = f"{begins}gate-signature: {second} has no signature by the key 'release'."
        await cluster.until(lambda: has_said(cluster, told))

        victim = (await cluster.running())[0]
        cluster.engines["e1"].kill(victim.task_id, "web")
        await cluster.until(lambda: _is_gone(cluster, victim.task_id))
        await cluster.until(lambda: runs(cluster, 1))
        assert (await cluster.rollouts())[0] == ("PRIMARY", "IN_PROGRESS")
        assert {task.images["web"] for task in await cluster.stopped()} == {first}

        await sign_by_referrer(registry, version(2))
        await cluster.until(lambda: has_said(cluster, f"(deployment {held}) has passed its gates."))
        await cluster.until(lambda: runs(cluster, 2))
        await cluster.until(lambda: is_complete(cluster))


async def _is_gone(cluster: Cluster, task_id: str) -> bool:
    return task_id not in {task.task_id for task in await cluster.running()}


async def test_an_index_passes_when_each_of_its_images_does_and_what_is_for_no_platform_is_not_asked(
    cluster: Cluster, registry: Registry
) -> None:
    cluster.tags = asking(gate_scan="CRITICAL")
    first, second, provenance = (version(number) for number in range(3))
    platforms = ["amd64", "arm64", "unknown"]
    entries = [
        described(one, OCI_MANIFEST, platform={"architecture": name, "os": "linux" if name != "unknown" else name})
        for one, name in zip((first, second, provenance), platforms, strict=True)
    ]
    for one in (first, second, provenance):
        await push_manifest(registry, one, name=WEB)
    whole = index(manifests=entries)
    await push_manifest(registry, whole, "1", name=WEB, media_type=OCI_INDEX)
    await scanned(cluster, Digest.of(first))
    revision = await cluster.register()
    await cluster.create_service(revision)
    await cluster.deploy(revision, image=whole)
    async with cluster.acting():
        await cluster.until(lambda: has_said(cluster, f"gate-scan: {Digest.of(second)} has not been scanned."))
        await scanned(cluster, Digest.of(second), HIGH=3)
        await cluster.until(lambda: is_complete(cluster))


async def test_a_tag_that_can_be_moved_does_not_pass_where_it_must_not(cluster: Cluster, registry: Registry) -> None:
    cluster.tags = asking(gate_immutable_tag="true")
    await push(registry, 1)
    revision = await cluster.register()
    await cluster.create_service(revision)
    await cluster.deploy(revision, image=version(1))
    async with cluster.acting():
        await cluster.until(lambda: has_said(cluster, "gate-immutable-tag: the tag 1 can be moved."))
        assert await cluster.running() == []

        def fix() -> Work[None]:
            repository = yield from repositories.find(WEB)
            assert repository is not None
            yield from mutability.put(repository, TagMutability(Mode.IMMUTABLE))

        await cluster.database.write(fix)
        await cluster.until(lambda: runs(cluster, 1))


async def test_what_is_of_another_registry_passes_no_gate(cluster: Cluster) -> None:
    cluster.tags = asking(gate_signature="release")
    await cluster.create_service(await cluster.register(image="example.org/web:1"))
    async with cluster.acting():
        told = "example.org/web:1: the image is not of this registry, which can say nothing of it."
        await cluster.until(lambda: has_said(cluster, told))
        assert await cluster.running() == []


def test_gates_that_cannot_be_judged_here_are_refused(cluster: Cluster) -> None:
    assert cluster.gates is not None
    assert cluster.gates.refusal(asking(gate_scan="LOW", gate_signature="release")) is None
    unknown = cluster.gates.refusal(asking(gate_signature="other"))
    assert unknown == "gate-signature: this server has no public key of the name 'other'."
    without = GateParts(cluster.own, cluster.read, cluster.gates.blob)
    assert without.refusal(asking(gate_scan="LOW")) == "gate-scan: this server has no scanner."
