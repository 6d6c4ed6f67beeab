"""What the cache, replication and scans ask the database is answered by seeking in an index too."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from estiva.digest import Digest
from estiva.reference import Tag
from storage.metadata import (
    absent,
    pull_through,
    queue,
    registry_settings,
    replications,
    scans,
    templates,
    upstream_credentials,
)
from storage.metadata.database import Work
from storage.metadata.pull_through import RuleRecord
from storage.metadata.queue import QueuedWork
from storage.metadata.replications import COMPLETE, Destination, EndpointRecord, ReplicationRecord
from storage.metadata.sqlite import connect
from storage.metadata.upstream_credentials import CredentialRecord
from tests.fixtures.documents import image
from tests.fixtures.facts import NAME
from tests.storage.metadata.test_query_plans import EVERY_WORK as OF_THE_REGISTRY
from tests.storage.metadata.test_query_plans import plans

MANIFEST = Digest.of(image(b"{}"))
RULE = RuleRecord("hub", "example.org", credential="name")
PLACE = Destination("eu-west-1", "000000000001")
DONE = ReplicationRecord(PLACE, COMPLETE)
TAKEN = QueuedWork(1, "kind", "subject", {}, 1, 0.0)
BEFORE = ("blobs.record", "manifests.put")

MODULES = (absent, pull_through, queue, registry_settings, replications, scans, templates, upstream_credentials)
EVERY_WORK: dict[str, Callable[[], Work[Any]]] = {
    "upstream_credentials.put": lambda: upstream_credentials.put("", CredentialRecord("name", "user", b"sealed")),
    "upstream_credentials.find": lambda: upstream_credentials.find("", "name"),
    "upstream_credentials.page": lambda: upstream_credentials.page("", "a", 10),
    "pull_through.create": lambda: pull_through.create("", RULE),
    "pull_through.update": lambda: pull_through.update("", RULE),
    "pull_through.find": lambda: pull_through.find("", "hub"),
    "pull_through.page": lambda: pull_through.page("", None, 10),
    "pull_through.page, further": lambda: pull_through.page("", "hub", 10),
    "pull_through.tag_checked": lambda: pull_through.tag_checked(NAME, Tag("latest")),
    "pull_through.tag_age": lambda: pull_through.tag_age(NAME, Tag("latest")),
    "pull_through.repository_cached": lambda: pull_through.repository_cached(1),
    "pull_through.is_cached": lambda: pull_through.is_cached(NAME),
    "pull_through.delete": lambda: pull_through.delete("", "hub"),
    "absent.expect": lambda: absent.expect(1, MANIFEST, [str(Digest.of(b"absent"))]),
    "absent.is_expected": lambda: absent.is_expected(NAME, MANIFEST),
    "absent.of_manifest": lambda: absent.of_manifest(NAME, MANIFEST, 10),
    "absent.arrived": lambda: absent.arrived(1, Digest.of(b"absent")),
    "queue.add": lambda: queue.add("kind", "subject", {"a": 1}),
    "queue.is_due": lambda: queue.is_due("kind"),
    "queue.take": lambda: queue.take("kind", 4, 60.0),
    "queue.hold": lambda: queue.hold(TAKEN, 60.0),
    "queue.again": lambda: queue.again(TAKEN, 5.0, "no"),
    "queue.done": lambda: queue.done(TAKEN),
    "registry_settings.put": lambda: registry_settings.put("", registry_settings.POLICY, "{}"),
    "registry_settings.find": lambda: registry_settings.find("", registry_settings.POLICY),
    "registry_settings.delete": lambda: registry_settings.delete("", registry_settings.POLICY),
    "replications.put_endpoint": lambda: replications.put_endpoint("", EndpointRecord(PLACE, "https://a", "name")),
    "replications.find_endpoint": lambda: replications.find_endpoint("", PLACE),
    "replications.endpoints": lambda: replications.endpoints("", 10),
    "replications.set_status": lambda: replications.set_status(NAME, MANIFEST, DONE),
    "replications.statuses": lambda: replications.statuses(NAME, MANIFEST),
    "replications.delete_endpoint": lambda: replications.delete_endpoint("", PLACE),
    "scans.begin": lambda: scans.begin(NAME, MANIFEST),
    "scans.find": lambda: scans.find(NAME, MANIFEST),
    "scans.complete": lambda: scans.complete(NAME, MANIFEST, [{"name": "CVE-1"}], {"LOW": 1}),
    "scans.page": lambda: scans.page(NAME, MANIFEST, 0, 10),
    "scans.fail": lambda: scans.fail(NAME, MANIFEST, scans.FAILED, "no"),
    "templates.create": lambda: templates.create("", "prefix", "{}"),
    "templates.update": lambda: templates.update("", "prefix", "{}"),
    "templates.find": lambda: templates.find("", "prefix"),
    "templates.page": lambda: templates.page("", "", 10),
    "templates.delete": lambda: templates.delete("", "prefix"),
    "upstream_credentials.delete": lambda: upstream_credentials.delete("", "name"),
}


@pytest.fixture
def connection(database_file: Path) -> Iterator[sqlite3.Connection]:
    with closing(connect(database_file)) as connection:
        for name in BEFORE:
            list(plans(connection, OF_THE_REGISTRY[name]()))
        yield connection


def test_no_statement_of_any_work_reads_a_table_through(connection: sqlite3.Connection) -> None:
    explained = 0
    for name, work in EVERY_WORK.items():
        for sql, steps in plans(connection, work()):
            explained += 1
            scans = [step for step in steps if step.startswith("SCAN") and "CONSTANT ROW" not in step]
            assert not scans, (name, sql)
            assert not [step for step in steps if "TEMP B-TREE" in step], (name, sql)
    assert explained >= len(EVERY_WORK)


def test_no_public_work_is_missing_from_the_list() -> None:
    public = {
        f"{module.__name__.rpartition('.')[2]}.{name}"
        for module in MODULES
        for name, value in vars(module).items()
        if callable(value) and getattr(value, "__module__", "") == module.__name__ and name[0].islower()
        if not name.startswith("_")
    }
    assert public == {name.partition(",")[0] for name in EVERY_WORK}
