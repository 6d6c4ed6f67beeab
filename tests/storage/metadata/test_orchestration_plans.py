"""What the orchestrator asks the database is answered by seeking in an index too."""

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

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
from storage.metadata.clusters import ClusterKey, ClusterRecord
from storage.metadata.database import Work
from storage.metadata.image_uses import User
from storage.metadata.sqlite import connect
from storage.metadata.task_definitions import DefinitionRecord, Wanted
from tests.fixtures.facts import NAME
from tests.fixtures.orchestration import IMAGE, KEY, deployment, instance, service, task
from tests.storage.metadata.test_query_plans import plans

MODULES = (
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
CLUSTER = ClusterRecord(KEY, "ACTIVE", {}, 1, 0.0)
DEFINITION = DefinitionRecord("", "web", 1, "ACTIVE", {}, {}, [], 0.0)
USER = User(KEY, image_uses.TASK, "t1", "")
EVERY_WORK: dict[str, Callable[[], Work[Any]]] = {
    "account_settings.put": lambda: account_settings.put("", "user/a", "name", "value"),
    "account_settings.of": lambda: account_settings.of("", "user/a"),
    "account_settings.delete": lambda: account_settings.delete("", "user/a", "name"),
    "client_tokens.find": lambda: client_tokens.find("", "RunTask", "a"),
    "client_tokens.enter": lambda: client_tokens.enter("", "RunTask", "a", TokenRecord("a", "b")),
    "clusters.create": lambda: clusters.create(KEY, {}),
    "clusters.find": lambda: clusters.find(KEY),
    "clusters.update": lambda: clusters.update(CLUSTER),
    "clusters.page": lambda: clusters.page("", "", 10),
    "clusters.every": lambda: clusters.every(ClusterKey("", ""), 10),
    "clusters.hold": lambda: clusters.hold(KEY, "one", 1.0),
    "clusters.release": lambda: clusters.release(KEY, "one"),
    "task_definitions.register": lambda: task_definitions.register("", "web", {}, {}, []),
    "task_definitions.find": lambda: task_definitions.find("", "web"),
    "task_definitions.find, one": lambda: task_definitions.find("", "web", 1),
    "task_definitions.set_status": lambda: task_definitions.set_status(DEFINITION, "ACTIVE"),
    "task_definitions.set_tags": lambda: task_definitions.set_tags(DEFINITION, []),
    "task_definitions.page": lambda: task_definitions.page("", Wanted(), ("", 0), 10),
    "task_definitions.page, back": lambda: task_definitions.page("", Wanted(descending=True), ("", 0), 10),
    "task_definitions.families": lambda: task_definitions.families("", Wanted(), "", 10),
    "task_definitions.forget": lambda: task_definitions.forget(DEFINITION),
    "task_definitions.sweep": lambda: task_definitions.sweep(""),
    "container_instances.create": lambda: container_instances.create(instance()),
    "container_instances.find": lambda: container_instances.find(KEY, "i1"),
    "container_instances.update": lambda: container_instances.update(instance()),
    "container_instances.page": lambda: container_instances.page(KEY, "", 10),
    "container_instances.delete": lambda: container_instances.delete(KEY, "i1"),
    "services.create": lambda: services.create(service()),
    "services.find": lambda: services.find(KEY, "web"),
    "services.update": lambda: services.update(service()),
    "services.deployed_on_push": services.deployed_on_push,
    "services.page": lambda: services.page(KEY, "", 10),
    "deployments.create": lambda: deployments.create(deployment("d1"), [IMAGE]),
    "deployments.keep": lambda: deployments.keep(deployment("d1"), [IMAGE]),
    "deployments.find": lambda: deployments.find(KEY, "web", "d1"),
    "deployments.update": lambda: deployments.update(deployment("d1")),
    "deployments.of_service": lambda: deployments.of_service(KEY, "web"),
    "deployments.end": lambda: deployments.end(KEY, "web"),
    "service_events.add": lambda: service_events.add(KEY, "web", "message"),
    "service_events.newest": lambda: service_events.newest(KEY, "web"),
    "tasks.create": lambda: tasks.create(task(service="web", instance="i1"), [IMAGE]),
    "tasks.use": lambda: tasks.use(task(), [IMAGE]),
    "tasks.find": lambda: tasks.find(KEY, "t1"),
    "tasks.live": lambda: tasks.live(KEY),
    "tasks.counts": lambda: tasks.counts(KEY),
    "tasks.page": lambda: tasks.page(KEY, tasks.Wanted(), "", 10),
    "tasks.page, of a service": lambda: tasks.page(KEY, tasks.Wanted(service="web"), "", 10),
    "tasks.page, of an instance": lambda: tasks.page(KEY, tasks.Wanted(instance="i1"), "", 10),
    "image_uses.of_repository": lambda: image_uses.of_repository(NAME),
    "image_uses.belonging": lambda: image_uses.belonging(*IMAGE),
    "image_uses.absent": lambda: image_uses.absent([IMAGE]),
    "image_uses.everything": image_uses.everything,
    "image_uses.enter": lambda: image_uses.enter(USER, [IMAGE]),
    "image_uses.forget": lambda: image_uses.forget(USER),
    "task_logs.put": lambda: task_logs.put(KEY, "t1", "app", []),
    "task_logs.find": lambda: task_logs.find(KEY, "t1", "app"),
    "tasks.update": lambda: tasks.update(task(status=8, stopped_at=1.0)),
    "tasks.forget_stopped": lambda: tasks.forget_stopped(-60.0),
    "secrets.put": lambda: secrets.put("", "db", b"sealed"),
    "secrets.find": lambda: secrets.find("", "db"),
    "secrets.page": lambda: secrets.page("", "", 10),
    "secrets.delete": lambda: secrets.delete("", "db"),
}


def test_no_statement_of_any_work_reads_a_table_through(database_file: Path) -> None:
    explained = 0
    with closing(connect(database_file)) as connection:
        for name, work in EVERY_WORK.items():
            for sql, steps in plans(connection, work()):
                explained += 1
                assert not [step for step in steps if step.startswith("SCAN") and "CONSTANT ROW" not in step], (
                    name,
                    sql,
                )
                if name != "tasks.counts":  # groups what one seek in an index found
                    assert not [step for step in steps if "TEMP B-TREE" in step], (name, sql)
    assert explained >= len(EVERY_WORK)


def test_no_public_work_is_missing_from_the_list() -> None:
    public = {
        f"{module.__name__.rpartition('.')[2]}.{name}"
        for module in MODULES
        for name, value in vars(module).items()
        if callable(value) and getattr(value, "__module__", "") == module.__name__ and name[0].islower()
        if name != "as_json"
    }
    assert public == {name.partition(",")[0] for name in EVERY_WORK}
