"""An image that runs can't be deleted, nor does a lifecycle policy take it, until whoever used it is gone."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from estiva.digest import Digest
from estiva.errors import ImageInUse
from estiva.mediatypes import OCI_INDEX, OCI_MANIFEST
from estiva.reference import RepositoryName
from orchestrator.pins import Pins
from registry import Registry
from registry.deleting import Deleting
from registry.lifecycle.running import LifecycleRuns
from storage.metadata import deployments, image_uses, tasks
from storage.metadata.audit import Actor
from storage.metadata.database import Database
from tests.fixtures.documents import described, image, index
from tests.fixtures.facts import NAME
from tests.fixtures.orchestration import deployment, task
from tests.fixtures.registry import push_blob, push_manifest
from tests.registry.lifecycle.documents import policy, rule

ABSENT = (RepositoryName("library/absent"), Digest.of(b"absent"))


def deleting(database: Database, registry: Registry) -> Deleting:
    return Deleting(database, registry.uploading, Pins())


async def user_of(database: Database, registry: Registry, digest: Digest) -> str:
    with pytest.raises(ImageInUse) as caught:
        await deleting(database, registry).manifest(NAME, digest, permit=None)
    assert caught.value.status == 409
    return str(caught.value.detail["usedBy"])


async def test_an_image_of_a_task_is_kept_until_the_task_has_stopped(database: Database, registry: Registry) -> None:
    await push_blob(registry, b"{}")
    digest = await push_manifest(registry, image(), "1")
    await database.write(lambda: tasks.create(task(), [(NAME, digest)]))
    assert await user_of(database, registry, digest) == "task default/t1"
    with pytest.raises(ImageInUse):
        await deleting(database, registry).repository(NAME, permit=None)
    await database.write(lambda: tasks.update(task(status=8, stopped_at=1.0)))
    await deleting(database, registry).manifest(NAME, digest, permit=None)


async def test_what_an_image_has_and_what_refers_to_it_is_kept_with_it(database: Database, registry: Registry) -> None:
    await push_blob(registry, b"{}")
    child = await push_manifest(registry, image(annotations={"a": "child"}))
    parent = await push_manifest(registry, index(image(annotations={"a": "child"})), "1", media_type=OCI_INDEX)
    sbom = await push_manifest(
        registry, image(subject=described(image(annotations={"a": "child"}), OCI_MANIFEST), annotations={"a": "sbom"})
    )
    signature = await push_manifest(registry, image(annotations={"a": "sig"}), f"sha256-{parent.hex}.sig")
    other = await push_manifest(registry, image(annotations={"a": "other"}))
    await database.write(lambda: deployments.create(deployment("d1"), [(NAME, parent)]))
    for digest in (child, parent, sbom, signature):
        assert await user_of(database, registry, digest) == "service default/web"
    await deleting(database, registry).manifest(NAME, other, permit=None)
    used = await database.read(Pins().users(NAME, None))
    assert set(used) == {child, parent, sbom, signature}


async def test_a_lifecycle_policy_leaves_what_is_used_and_says_by_whom(
    database: Database, registry: Registry, threads: ThreadPoolExecutor
) -> None:
    await push_blob(registry, b"{}")
    digests = [await push_manifest(registry, image(annotations={"a": str(number)}), str(number)) for number in range(3)]
    await database.write(lambda: deployments.create(deployment("d1"), [(NAME, digests[0])]))
    document = policy(rule(1, countType="imageCountMoreThan", countNumber=1))
    await registry.lifecycle_policies.put(Actor("user/a"), NAME, document)
    run = await LifecycleRuns(database, threads, Pins(), 60).run(NAME)
    assert [(one.digest, one.reason) for one in run.kept] == [(digests[0], "used by service default/web")]
    assert [one.image.digest for one in run.expired] == [digests[1]]
    first = await database.read(deployments.find(deployment("d1").key, "web", "d1"))
    assert first is not None
    await database.write(lambda: deployments.update(replace(first, status="INACTIVE")))
    assert [one.image.digest for one in (await LifecycleRuns(database, threads, Pins(), 60).run(NAME)).expired] == [
        digests[0]
    ]


async def test_what_is_not_here_is_known_before_it_is_used(database: Database, registry: Registry) -> None:
    await push_blob(registry, b"{}")
    here = (NAME, await push_manifest(registry, image(), "1"))
    assert await database.write(lambda: image_uses.absent([here, ABSENT, (NAME, ABSENT[1])])) == [
        ABSENT,
        (NAME, ABSENT[1]),
    ]
