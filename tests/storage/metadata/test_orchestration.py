"""Clusters, definitions, instances, services, deployments, tasks and what goes with them, on both databases."""

from dataclasses import replace
from functools import partial

import pytest

from estiva.digest import Digest
from storage.metadata import (
    account_settings,
    client_tokens,
    clusters,
    container_instances,
    deployments,
    image_uses,
    secrets,
    service_events,
    services,
    task_definitions,
    task_logs,
    tasks,
)
from storage.metadata.client_tokens import TokenRecord
from storage.metadata.clusters import ClusterKey
from storage.metadata.database import ConstraintError, Database
from storage.metadata.deployments import DeploymentRecord
from storage.metadata.task_definitions import Wanted
from storage.metadata.task_logs import KeptLine
from tests.fixtures.facts import NAME, OTHER
from tests.fixtures.orchestration import IMAGE, KEY, OTHER_IMAGE, deployment, instance, service, task


async def test_a_clusters_name_is_free_again_when_it_is_deleted(database: Database) -> None:
    first = await database.write(lambda: clusters.create(KEY, {"tags": []}))
    assert first is not None
    assert await database.write(lambda: clusters.create(KEY, {})) is None
    assert await database.write(lambda: clusters.update(replace(first, status=clusters.INACTIVE)))
    assert not await database.write(lambda: clusters.update(replace(first, status=clusters.ACTIVE)))
    assert await database.read(clusters.page("", "", 10)) == []
    found = await database.read(clusters.find(KEY))
    assert found is not None
    assert found.status == clusters.INACTIVE
    again = await database.write(lambda: clusters.create(KEY, {"settings": []}))
    assert again is not None
    assert (again.status, again.document, again.version) == ("ACTIVE", {"settings": []}, 3)


async def test_clusters_of_all_accounts_are_paged_in_order(database: Database) -> None:
    keys = [ClusterKey("", "a"), ClusterKey("", "b"), ClusterKey("000000000001", "a")]
    for key in reversed(keys):
        await database.write(partial(clusters.create, key, {}))
    every = await database.read(clusters.every(ClusterKey("", ""), 10))
    assert [record.key for record in every] == keys
    rest = await database.read(clusters.every(keys[0], 1))
    assert [record.key for record in rest] == keys[1:2]
    assert [record.key for record in await database.read(clusters.page("", "a", 10))] == keys[1:2]


async def test_one_process_acts_for_a_cluster_until_its_time_is_over(database: Database) -> None:
    assert await database.write(lambda: clusters.hold(KEY, "one", 60.0))
    assert not await database.write(lambda: clusters.hold(KEY, "two", 60.0))
    assert await database.write(lambda: clusters.hold(ClusterKey("", "other"), "two", 60.0))
    assert await database.write(lambda: clusters.hold(KEY, "one", -1.0))
    assert await database.write(lambda: clusters.hold(KEY, "two", 60.0))
    assert not await database.write(lambda: clusters.hold(KEY, "one", 60.0))
    await database.write(lambda: clusters.release(KEY, "one"))
    assert not await database.write(lambda: clusters.hold(KEY, "one", 60.0))
    await database.write(lambda: clusters.release(KEY, "two"))
    assert await database.write(lambda: clusters.hold(KEY, "one", 60.0))


async def register(database: Database, family: str) -> task_definitions.DefinitionRecord:
    return await database.write(
        lambda: task_definitions.register("", family, {"cpu": "256"}, {"app": "sha256:1"}, [{"key": "a"}])
    )


async def test_revisions_of_a_family_only_grow(database: Database) -> None:
    first, second = await register(database, "web"), await register(database, "web")
    assert (first.revision, second.revision, second.document) == (1, 2, {"cpu": "256"})
    assert (second.images, second.tags, second.deregistered_at) == ({"app": "sha256:1"}, [{"key": "a"}], None)
    assert await database.write(lambda: task_definitions.set_status(second, task_definitions.INACTIVE))
    assert not await database.write(lambda: task_definitions.set_status(second, task_definitions.DELETING))
    assert await database.read(task_definitions.find("", "web")) == first
    inactive = await database.read(task_definitions.find("", "web", 2))
    assert inactive is not None
    assert inactive.deregistered_at is not None
    assert await database.write(lambda: task_definitions.set_status(inactive, task_definitions.DELETING))
    assert await database.write(lambda: task_definitions.forget(inactive))
    assert await database.read(task_definitions.find("", "web", 2)) is None
    assert (await register(database, "web")).revision == 3
    await database.write(lambda: task_definitions.set_tags(first, []))
    untagged = await database.read(task_definitions.find("", "web", 1))
    assert untagged is not None
    assert untagged.tags == []


async def test_a_revision_that_runs_is_not_forgotten(database: Database) -> None:
    first = await register(database, "web")
    await database.write(lambda: task_definitions.set_status(first, task_definitions.DELETING))
    await database.write(lambda: tasks.create(task(), []))
    assert not await database.write(lambda: task_definitions.forget(first))
    await database.write(lambda: tasks.update(task(status=8, stopped_at=9.0)))
    assert await database.write(lambda: task_definitions.forget(first))


async def test_a_revision_that_a_service_would_go_back_to_is_swept_when_it_would_not_any_more(
    database: Database,
) -> None:
    first = await register(database, "web")
    await register(database, "web")
    await database.write(lambda: services.create(service()))
    await database.write(lambda: deployments.create(deployment("d1", "INACTIVE", "COMPLETED"), []))
    await database.write(lambda: deployments.create(deployment("d2", "PRIMARY", "COMPLETED", revision=2), []))
    inactive = replace(first, status=task_definitions.DELETING)
    await database.write(lambda: task_definitions.set_status(first, task_definitions.DELETING))
    assert not await database.write(lambda: task_definitions.forget(inactive))
    assert await database.write(lambda: task_definitions.sweep("")) == 0
    await database.write(lambda: deployments.create(deployment("d3", "PRIMARY", "COMPLETED", revision=2), []))
    assert await database.write(lambda: task_definitions.sweep("000000000001")) == 0
    assert await database.write(lambda: task_definitions.sweep("")) == 1
    assert await database.read(task_definitions.find("", "web", 1)) is None
    assert await database.read(task_definitions.find("", "web", 2)) is not None


async def test_revisions_of_services_that_are_gone_are_swept(database: Database) -> None:
    first = await register(database, "web")
    await database.write(lambda: services.create(service(status="INACTIVE")))
    await database.write(lambda: deployments.create(deployment("d1", "INACTIVE", "COMPLETED"), []))
    assert await database.write(lambda: task_definitions.sweep("")) == 0
    await database.write(lambda: task_definitions.set_status(first, task_definitions.DELETING))
    assert await database.write(lambda: task_definitions.sweep("")) == 1


async def test_revisions_are_paged_both_ways_by_prefix_and_status(database: Database) -> None:
    for family in ("web", "api", "web", "worker"):
        await register(database, family)

    async def listed(wanted: Wanted, last: tuple[str, int] = ("", 0), limit: int = 10) -> list[tuple[str, int]]:
        records = await database.read(task_definitions.page("", wanted, last, limit))
        return [(record.family, record.revision) for record in records]

    assert await listed(Wanted()) == [("api", 1), ("web", 1), ("web", 2), ("worker", 1)]
    assert await listed(Wanted(), ("web", 1), 2) == [("web", 2), ("worker", 1)]
    assert await listed(Wanted(prefix="w", descending=True)) == [("worker", 1), ("web", 2), ("web", 1)]
    assert await listed(Wanted(descending=True), ("web", 2)) == [("web", 1), ("api", 1)]
    assert await listed(Wanted(status="INACTIVE")) == []
    api = await database.read(task_definitions.find("", "api"))
    assert api is not None
    await database.write(lambda: task_definitions.set_status(api, "INACTIVE"))
    assert await database.read(task_definitions.families("", Wanted("ACTIVE"), "", 10)) == ["web", "worker"]
    assert await database.read(task_definitions.families("", Wanted("INACTIVE"), "", 10)) == ["api"]
    assert await database.read(task_definitions.families("", Wanted("ALL", "w"), "web", 10)) == ["worker"]


async def test_an_instance_is_changed_by_whoever_read_its_newest_version(database: Database) -> None:
    assert await database.write(lambda: container_instances.create(instance()))
    assert not await database.write(lambda: container_instances.create(instance()))
    assert await database.write(lambda: container_instances.update(replace(instance(), status="DRAINING")))
    assert not await database.write(lambda: container_instances.update(replace(instance(), status="ACTIVE")))
    found = await database.read(container_instances.find(KEY, "i1"))
    assert found is not None
    assert (found.status, found.version, found.state) == ("DRAINING", 2, {"cpu": 1})
    assert await database.read(container_instances.page(KEY, "", 10)) == [found]
    assert await database.write(lambda: container_instances.delete(KEY, "i1"))
    assert not await database.write(lambda: container_instances.delete(KEY, "i1"))


async def test_a_service_that_is_gone_leaves_its_name_and_nothing_else(database: Database) -> None:
    assert await database.write(lambda: services.create(service()))
    assert not await database.write(lambda: services.create(service()))
    await database.write(lambda: deployments.create(deployment("d1"), [IMAGE]))
    await database.write(lambda: service_events.add(KEY, "web", "began"))
    assert await database.write(lambda: services.update(service(status="INACTIVE")))
    assert not await database.write(lambda: services.update(service(status="ACTIVE")))
    assert await database.read(services.page(KEY, "", 10)) == []
    assert await database.write(lambda: services.create(service()))
    assert [record.name for record in await database.read(services.page(KEY, "", 10))] == ["web"]
    assert await database.read(deployments.of_service(KEY, "web")) == []
    assert await database.read(service_events.newest(KEY, "web")) == []
    assert await database.read(image_uses.of_repository(NAME)) == {}


async def deploy(database: Database, identifier: str, image: tuple[object, object] = IMAGE) -> DeploymentRecord:
    """A deployment in place of those before it, completed."""
    for record in await database.read(deployments.of_service(KEY, "web")):
        await database.write(partial(deployments.update, replace(record, status="INACTIVE")))
    await database.write(lambda: deployments.create(deployment(identifier), [image]))  # type: ignore[list-item]
    found = await database.read(deployments.find(KEY, "web", identifier))
    assert found is not None
    assert await database.write(lambda: deployments.update(replace(found, rollout="COMPLETED")))
    return found


async def users(database: Database) -> dict[str, list[str]]:
    used = await database.read(image_uses.of_repository(NAME))
    return {str(digest)[7:11]: [user.id for user in by] for digest, by in used.items()}


async def test_every_digest_that_is_used_is_found_over_pages(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image_uses, "PAGE_SIZE", 2)
    assert await database.read(image_uses.everything()) == frozenset()
    images = [(name, Digest.of(b"%d" % number)) for name in (NAME, OTHER) for number in range(3)]
    for user in ("d1", "d2"):
        await database.write(partial(deployments.create, deployment(user), images))
    assert await database.read(image_uses.everything()) == {digest for _, digest in images}


async def test_the_current_deployment_and_the_one_before_keep_their_images(database: Database) -> None:
    await deploy(database, "d1")
    await deploy(database, "d2", OTHER_IMAGE)
    one, two = str(IMAGE[1])[7:11], str(OTHER_IMAGE[1])[7:11]
    assert await users(database) == {one: ["d1"], two: ["d2"]}
    await deploy(database, "d3", OTHER_IMAGE)
    assert await users(database) == {two: ["d2", "d3"]}
    assert await database.read(image_uses.of_repository(OTHER)) == {}
    await database.write(lambda: deployments.end(KEY, "web"))
    assert await users(database) == {}
    assert {record.status for record in await database.read(deployments.of_service(KEY, "web"))} == {"INACTIVE"}


async def test_a_deployment_in_progress_keeps_the_images_of_two_that_completed(database: Database) -> None:
    await deploy(database, "d1")
    await deploy(database, "d2", OTHER_IMAGE)
    await database.write(lambda: deployments.create(deployment("d3"), [OTHER_IMAGE]))
    assert set(await users(database)) == {str(IMAGE[1])[7:11], str(OTHER_IMAGE[1])[7:11]}


async def test_only_the_newest_deployments_of_a_service_are_kept(database: Database) -> None:
    for number in range(deployments.KEPT + 3):
        await deploy(database, f"d{number:03}")
    kept = await database.read(deployments.of_service(KEY, "web"))
    assert len(kept) == deployments.KEPT
    assert kept[0].id == f"d{deployments.KEPT + 2:03}"


async def test_a_task_keeps_its_images_until_it_has_stopped(database: Database) -> None:
    await database.write(lambda: tasks.create(task(), [IMAGE]))
    await database.write(lambda: tasks.use(task(), [OTHER_IMAGE, IMAGE]))
    assert {user.id for by in (await database.read(image_uses.of_repository(NAME))).values() for user in by} == {"t1"}
    assert await database.write(lambda: tasks.update(task(desired="STOPPED", status=6)))
    assert len(await users(database)) == 2
    assert not await database.write(lambda: tasks.update(task(status=8, stopped_at=9.0)))
    assert len(await users(database)) == 2
    assert await database.write(lambda: tasks.update(task(status=8, stopped_at=9.0, version=2)))
    assert await users(database) == {}


async def test_tasks_are_listed_by_all_that_is_asked(database: Database) -> None:
    await database.write(lambda: tasks.create(task("t1", service="web", instance="i1"), []))
    await database.write(lambda: tasks.create(task("t2", family="job", started_by="me"), []))
    await database.write(lambda: tasks.create(task("t3", desired="STOPPED", status=8, stopped_at=1.0), []))

    async def listed(wanted: tasks.Wanted, last: str = "", limit: int = 10) -> list[str]:
        return [record.id for record in await database.read(tasks.page(KEY, wanted, last, limit))]

    assert await listed(tasks.Wanted()) == ["t1", "t2"]
    assert await listed(tasks.Wanted(), "t1", 1) == ["t2"]
    assert await listed(tasks.Wanted(desired="STOPPED")) == ["t3"]
    assert await listed(tasks.Wanted(service="web", instance="i1", family="web")) == ["t1"]
    assert await listed(tasks.Wanted(service="web", family="job")) == []
    assert await listed(tasks.Wanted(started_by="me")) == ["t2"]
    assert [record.id for record in await database.read(tasks.live(KEY))] == ["t1", "t2"]
    assert await database.read(tasks.counts(KEY)) == {("web", 1): 1, (None, 1): 1}
    assert await database.read(tasks.find(KEY, "t2")) == task("t2", family="job", started_by="me")


async def test_a_stopped_task_is_forgotten_with_its_logs_after_its_time(database: Database) -> None:
    await database.write(lambda: tasks.create(task("old", status=8, stopped_at=1.0), []))
    await database.write(lambda: tasks.create(task("runs"), []))
    lines = [KeptLine(float(number), "stdout", f"line {number}\0") for number in range(300)]
    await database.write(lambda: task_logs.put(KEY, "old", "app", lines))
    kept = await database.read(task_logs.find(KEY, "old", "app"))
    assert len(kept) == task_logs.KEPT_LINES
    assert kept[-1] == KeptLine(299.0, "stdout", "line 299\ufffd")
    assert await database.write(tasks.forget_stopped) == 1
    assert await database.read(task_logs.find(KEY, "old", "app")) == []
    assert await database.write(tasks.forget_stopped) == 0
    with pytest.raises(ConstraintError):
        await database.write(lambda: task_logs.put(KEY, "old", "app", lines))


async def test_the_last_hundred_events_of_a_service_are_kept(database: Database) -> None:
    await database.write(lambda: service_events.add(KEY, "other", "stays"))
    for number in range(service_events.KEPT + 5):
        await database.write(partial(service_events.add, KEY, "web", f"event {number}"))
    events = await database.read(service_events.newest(KEY, "web"))
    assert [len(events), events[0].message, events[-1].message] == [100, "event 104", "event 5"]
    assert len(await database.read(service_events.newest(KEY, "other"))) == 1


async def test_an_event_that_says_the_same_is_noted_once_in_its_quiet_time(database: Database) -> None:
    assert await database.write(lambda: service_events.add(KEY, "web", "steady", quiet=60.0))
    assert not await database.write(lambda: service_events.add(KEY, "web", "steady", quiet=60.0))
    assert await database.write(lambda: service_events.add(KEY, "web", "steady"))
    assert await database.write(lambda: service_events.add(KEY, "web", "started"))
    assert await database.write(lambda: service_events.add(KEY, "web", "steady", quiet=60.0))


async def test_a_clients_token_is_used_once_for_each_operation(database: Database) -> None:
    record = TokenRecord("hash", '["t1"]')
    assert await database.write(lambda: client_tokens.find("", "RunTask", "a")) is None
    await database.write(lambda: client_tokens.enter("", "RunTask", "a", record))
    await database.write(lambda: client_tokens.enter("", "CreateService", "a", record))
    assert await database.write(lambda: client_tokens.find("", "RunTask", "a")) == record
    with pytest.raises(ConstraintError):
        await database.write(lambda: client_tokens.enter("", "RunTask", "a", record))


async def test_secrets_are_replaced_listed_and_removed(database: Database) -> None:
    await database.write(lambda: secrets.put("", "db", b"\0one"))
    await database.write(lambda: secrets.put("", "db", b"\0two"))
    found = await database.read(secrets.find("", "db"))
    assert found is not None
    assert found.sealed == b"\0two"
    assert "two" not in repr(found)
    assert await database.read(secrets.page("", "", 10)) == [found]
    assert await database.read(secrets.find("000000000001", "db")) is None
    assert await database.write(lambda: secrets.delete("", "db"))
    assert not await database.write(lambda: secrets.delete("", "db"))


async def test_account_settings_are_each_principals_own(database: Database) -> None:
    await database.write(lambda: account_settings.put("", "user/a", "taskLongArnFormat", "disabled"))
    await database.write(lambda: account_settings.put("", "user/a", "taskLongArnFormat", "enabled"))
    assert await database.read(account_settings.of("", "user/a")) == {"taskLongArnFormat": "enabled"}
    assert await database.read(account_settings.of("", "")) == {}
    assert await database.write(lambda: account_settings.delete("", "user/a", "taskLongArnFormat"))
    assert not await database.write(lambda: account_settings.delete("", "user/a", "taskLongArnFormat"))
