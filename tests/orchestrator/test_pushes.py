"""Deploy on push: the latest push wins, and a deployment that is at work is let be until its end."""

import time
from collections.abc import Sequence
from dataclasses import replace

import pytest

from estiva.digest import Digest
from estiva.reference import RepositoryName, Tag
from orchestrator.pushes import DeployOnPush
from orchestrator.records import as_deployment, deployment_record, task_record
from orchestrator.state import Deployment, DesiredStatus, Task, TaskStatus
from storage.metadata import deployments, image_uses, tasks
from storage.metadata.database import Database
from tests.fixtures.orchestrated import KEY, Cluster, engine

WEB = RepositoryName("web")


def digest(number: int) -> Digest:
    return Digest.of(f"version {number}".encode())


class Pushed(Cluster):
    """A cluster whose service deploys what is pushed."""

    async def push(self, number: int, tag: str = "1") -> None:
        """The tag moves to that version."""
        deploying = DeployOnPush(self.own, self.read)
        await self.database.write(lambda: deploying.after_push((WEB, [Tag(tag)], digest(number))))

    async def newest_first(self) -> Sequence[Deployment]:
        """All deployments of the service."""
        return [as_deployment(one) for one in await self.database.read(deployments.of_service(KEY, "web"))]

    async def begin(self, deployment: Deployment) -> None:
        """A task of the deployment is there, and waits for its engine."""
        task = Task(
            "f" * 32, "default", "web", deployment.revision, DesiredStatus.RUNNING, TaskStatus.PROVISIONING,
            time.time(), group="service:web", service="web", deployment=deployment.deployment_id, instance_id="e1",
            images=deployment.images,
        )  # fmt: skip
        await self.database.write(lambda: tasks.create(task_record(KEY, task, {}), []))

    async def runs(self, number: int) -> bool:
        """Whether two tasks of that version run, and no others."""
        return [task.images["web"] for task in await self.running()] == [digest(number)] * 2

    async def is_complete(self) -> bool:
        """Whether the newest deployment is all there is."""
        return (await self.rollouts())[0] == ("PRIMARY", "COMPLETED")


@pytest.fixture
async def cluster(database: Database) -> Pushed:
    """A cluster with an engine and a service on which nobody acts yet."""
    made = Pushed(database, {"e1": engine("e1")})
    await made.create()
    await made.create_service(await made.register())
    await made.change_service(deploy_on_push=True)
    return made


async def test_pushes_before_anything_was_launched_take_each_others_place(cluster: Pushed) -> None:
    for number in (1, 2, 2):
        await cluster.push(number)
    await cluster.push(3, tag="other")
    newest, *before = await cluster.newest_first()
    assert (newest.images, newest.following, len(before)) == ({"web": digest(2)}, {}, 2)
    async with cluster.acting():
        await cluster.until(lambda: cluster.runs(2))
        await cluster.until(cluster.is_complete)
    assert await cluster.stopped() == []


async def test_of_pushes_during_a_deployment_the_latest_is_deployed_when_it_has_ended(cluster: Pushed) -> None:
    await cluster.push(1)
    at_work = (await cluster.newest_first())[0]
    await cluster.begin(at_work)
    for number in (2, 3, 4):
        await cluster.push(number)
    newest = (await cluster.newest_first())[0]
    assert (newest.deployment_id, newest.images) == (at_work.deployment_id, {"web": digest(1)})
    assert newest.following == {"web": digest(4)}
    kept = await cluster.database.read(image_uses.of_repository(WEB))
    assert {digest(1), digest(4)} <= kept.keys()
    async with cluster.acting():
        await cluster.until(lambda: cluster.runs(4))
        await cluster.until(cluster.is_complete)
    newest, before, *_ = await cluster.newest_first()
    assert (newest.images, newest.following) == ({"web": digest(4)}, {})
    assert (before.deployment_id, before.rollout.value) == (at_work.deployment_id, "COMPLETED")
    told = f"(service web) (deployment {newest.deployment_id}) was entered for what was pushed meanwhile."
    assert told in await cluster.events()


async def test_a_tag_that_is_moved_back_during_a_deployment_leaves_nothing_to_follow(cluster: Pushed) -> None:
    await cluster.push(1)
    at_work = (await cluster.newest_first())[0]
    await cluster.begin(at_work)
    await cluster.push(2)
    await cluster.push(1)
    newest = (await cluster.newest_first())[0]
    assert (newest.deployment_id, newest.following) == (at_work.deployment_id, {})


async def test_what_is_pushed_when_a_deployment_has_begun_to_fail_does_not_wait(cluster: Pushed) -> None:
    await cluster.push(1)
    at_work = (await cluster.newest_first())[0]
    await cluster.begin(at_work)
    await cluster.database.write(lambda: deployments.update(_failed(at_work)))
    await cluster.push(2)
    newest = (await cluster.newest_first())[0]
    assert newest.images == {"web": digest(2)}


def _failed(deployment: Deployment) -> deployments.DeploymentRecord:
    return deployment_record(KEY, replace(deployment, consecutive_failures=1), {})
