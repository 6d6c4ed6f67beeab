"""Every question to the database is answered by seeking in an index, never by reading a table through."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from estiva.digest import Digest
from estiva.manifest import parse_manifest
from estiva.mediatypes import OCI_INDEX, OCI_MANIFEST
from estiva.reference import RepositoryName, Tag
from storage.metadata import (
    blobs,
    collection,
    images,
    manifests,
    principals,
    quotas,
    repositories,
    repository_settings,
    tags,
    uploads,
)
from storage.metadata.blobs import UploadOf
from storage.metadata.database import Statement, Work
from storage.metadata.images import TagStatus
from storage.metadata.manifests import StoredManifest
from storage.metadata.mutability import Mode, TagMutability
from storage.metadata.sqlite import connect
from tests.fixtures.documents import described, image, index
from tests.fixtures.facts import NAME, OTHER

DIGEST = Digest.of(b"{}")
IMAGE, INDEX = image(b"{}"), index(image(b"{}"))


def put(payload: bytes, media_type: str) -> Work[None]:
    stored = StoredManifest(Digest.of(payload), media_type, payload)
    return manifests.put(NAME, parse_manifest(payload, media_type), stored, [Tag("latest")])


def enter(repository: int) -> Work[list[str]]:
    stored = StoredManifest(Digest.of(IMAGE), OCI_MANIFEST, IMAGE)
    return manifests.enter(NAME, repository, parse_manifest(IMAGE, OCI_MANIFEST), stored)


# In this order: what one enters, the next ones find.
EVERY_WORK: dict[str, Callable[[], Work[Any]]] = {
    "repositories.ensure": lambda: repositories.ensure(OTHER),
    "repositories.find": lambda: repositories.find(OTHER),
    "repositories.page": lambda: repositories.page("a", 10),
    "quotas.put": lambda: quotas.put(NAME, 1_000_000),
    "quotas.put, of an account": lambda: quotas.put(RepositoryName("*"), 1_000_000),
    "quotas.of": lambda: quotas.of(NAME),
    "quotas.add": lambda: quotas.add(NAME, 1, DIGEST),
    "quotas.remove": lambda: quotas.remove(NAME, 1, DIGEST),
    "quotas.recount": lambda: quotas.recount(NAME),
    "quotas.recount, of an account": lambda: quotas.recount(RepositoryName("*")),
    "quotas.remove_all": lambda: quotas.remove_all(OTHER),
    "quotas.find": lambda: quotas.find(NAME),
    "quotas.delete": lambda: quotas.delete(OTHER),
    "quotas.page": lambda: quotas.page("", 10),
    "quotas.remove_unneeded": lambda: quotas.remove_unneeded([(1, str(DIGEST), 0)]),
    "repositories.known": lambda: repositories.known(OTHER),
    "uploads.secret": lambda: uploads.secret(b"secret"),
    "uploads.standing": lambda: uploads.standing("upload"),
    "uploads.note": lambda: uploads.note("noted"),
    "uploads.end": lambda: uploads.end("another"),
    "uploads.expire": lambda: uploads.expire("b", "a"),
    "blobs.record": lambda: blobs.record(NAME, None, DIGEST, 2, "key"),
    "blobs.record, of an upload": lambda: blobs.record(NAME, UploadOf("upload", 2), DIGEST, 2, "key"),
    "blobs.find": lambda: blobs.find(NAME, DIGEST),
    "blobs.renew": lambda: blobs.renew(NAME, DIGEST),
    "blobs.holders": lambda: blobs.holders(DIGEST),
    "blobs.mount": lambda: blobs.mount(OTHER, DIGEST, [NAME]),
    "manifests.put": lambda: put(IMAGE, OCI_MANIFEST),
    "manifests.put, an index": lambda: put(INDEX, OCI_INDEX),
    "manifests.put, a referrer": lambda: put(image(b"{}", subject=described(IMAGE, OCI_MANIFEST)), OCI_MANIFEST),
    "manifests.find, by tag": lambda: manifests.find(NAME, Tag("latest")),
    "manifests.find, by digest": lambda: manifests.find(NAME, Digest.of(IMAGE)),
    "manifests.parent": lambda: manifests.parent(NAME, Digest.of(IMAGE)),
    "manifests.referrers": lambda: manifests.referrers(NAME, Digest.of(IMAGE), None, "sha256:", 10),
    "manifests.referrers, filtered": lambda: manifests.referrers(NAME, Digest.of(IMAGE), "application/x", "", 10),
    "manifests.referrer_lengths": lambda: manifests.referrer_lengths(NAME, Digest.of(IMAGE), None, "sha256:", 10),
    "manifests.listed": lambda: manifests.listed(NAME, Tag("latest"), None, "sha256:", 10),
    "manifests.listed_lengths": lambda: manifests.listed_lengths(NAME, Tag("latest"), "application/x", "", 10),
    "manifests.any_in": lambda: manifests.any_in(NAME),
    "repository_settings.find": lambda: repository_settings.find(NAME),
    "repository_settings.page": lambda: repository_settings.page("a", 10, ""),
    "repository_settings.set_scan_on_push": lambda: repository_settings.set_scan_on_push(1, True),
    "repository_settings.set_encryption": lambda: repository_settings.set_encryption(1, "AES256"),
    "repository_settings.set_mutability": lambda: repository_settings.set_mutability(1, TagMutability(Mode.MUTABLE)),
    "repository_settings.put_tags": lambda: repository_settings.put_tags(1, {"a": "b"}),
    "repository_settings.tags": lambda: repository_settings.tags(1),
    "repository_settings.delete_tags": lambda: repository_settings.delete_tags(1, ["a"]),
    "images.enter": lambda: images.enter(1, "sha256:none"),
    "images.weigh": lambda: images.weigh(2, str(Digest.of(IMAGE))),
    "images.page": lambda: images.page(2, "", 10),
    "images.page, tagged": lambda: images.page(2, "", 10, TagStatus.TAGGED),
    "images.page, untagged": lambda: images.page(2, "", 10, TagStatus.UNTAGGED),
    "images.find": lambda: images.find(2, str(Digest.of(IMAGE))),
    "images.digest_of": lambda: images.digest_of(2, "latest"),
    "images.listed": lambda: images.listed(2, ("", ""), 10),
    "images.listed, tagged": lambda: images.listed(2, ("", ""), 10, TagStatus.TAGGED),
    "images.listed, untagged": lambda: images.listed(2, ("", ""), 10, TagStatus.UNTAGGED),
    "images.pulled": lambda: images.pulled({(NAME.key, str(Digest.of(IMAGE))): 1.0}),
    "tags.claim": lambda: tags.claim(2, Tag("fixed"), str(Digest.of(IMAGE))),
    "tags.others": lambda: tags.others(NAME, Tag("fixed"), Digest.of(IMAGE)),
    "uploads.note_short_part": lambda: uploads.note_short_part("upload", 7),
    "uploads.short_part_end": lambda: uploads.short_part_end("upload"),
    "blobs.user": lambda: blobs.user(NAME, DIGEST),
    "tags.page": lambda: tags.page(NAME, "a", 10),
    "tags.of_manifest": lambda: tags.of_manifest(NAME, Digest.of(IMAGE), "a", 10),
    "tags.move": lambda: tags.move(1, [], str(Digest.of(IMAGE))),
    "tags.target": lambda: tags.target(NAME, Tag("latest")),
    "tags.delete": lambda: tags.delete(NAME, Tag("latest")),
    "manifests.delete": lambda: manifests.delete(NAME, Digest.of(INDEX)),
    "manifests.delete_with_tags": lambda: manifests.delete_with_tags(NAME, Digest.of(INDEX), []),
    "blobs.unlink": lambda: blobs.unlink(OTHER, DIGEST),
    "manifests.enter": lambda: enter(1),
    "manifests.point": lambda: manifests.point(OTHER, 1, [Tag("latest")], str(Digest.of(IMAGE))),
    "collection.sweep": lambda: collection.sweep(0, 10),
    "collection.expired_trash": lambda: collection.expired_trash(0, 10),
    "repositories.lock": lambda: repositories.lock(NAME),
    "repositories.delete": lambda: repositories.delete(NAME),
}


@pytest.fixture
def connection(database_file: Path) -> Iterator[sqlite3.Connection]:
    with closing(connect(database_file)) as connection:
        yield connection


def plan(connection: sqlite3.Connection, statement: Statement) -> list[str]:
    """How SQLite will answer the statement, step by step."""
    values = statement.parameters if statement.many is None else next(iter(statement.many), {})
    needed = dict.fromkeys(("repository", "tag", "digest", "manifest"))
    rows = connection.execute(f"EXPLAIN QUERY PLAN {statement.sql}", {**needed, **values, "now": 0.0})
    return [detail for *_, detail in rows]


def plans(connection: sqlite3.Connection, work: Work[Any]) -> Iterator[tuple[str, list[str]]]:
    """Run the work, and give the plan of each of its statements."""
    try:
        statement = next(work)
        while True:
            yield statement.sql, plan(connection, statement)
            sql, parameters, many, *_ = statement
            rows = [] if many is not None else connection.execute(sql, {**parameters, "now": 0.0}).fetchall()
            for values in many or ():
                connection.execute(sql, {**values, "now": 0.0})
            statement = work.send(rows)
    except StopIteration:
        return


def test_no_statement_of_any_work_reads_a_table_through(connection: sqlite3.Connection) -> None:
    explained = 0
    for name, work in EVERY_WORK.items():
        for sql, steps in plans(connection, work()):
            explained += 1
            assert not [step for step in steps if step.startswith("SCAN") and "CONSTANT ROW" not in step], (name, sql)
            assert not [step for step in steps if "TEMP B-TREE" in step and "UNION" not in step], (name, sql)
    assert explained > 40


def test_no_public_work_is_missing_from_the_list() -> None:
    public = {
        f"{module.__name__.rpartition('.')[2]}.{name}"
        for module in (repositories, repository_settings, blobs, images, manifests, quotas, tags, uploads)
        for name, value in vars(module).items()
        if callable(value)
        and getattr(value, "__module__", "") == module.__name__
        and name[0].islower()
        and name[0] != "_"
    }
    listed = {name.partition(",")[0] for name in EVERY_WORK}
    # The fullest quotas are found by reading all there are, which is what it says.
    assert public - {"quotas.fullest"} == listed - {"collection.sweep", "collection.expired_trash"}


def test_a_bcrypt_hash_is_found_by_an_index_of_these_alone(connection: sqlite3.Connection) -> None:
    [(_, steps)] = plans(connection, principals.bcrypt_example())
    assert len(steps) == 1
    assert "principals_with_bcrypt" in steps[0]


def test_a_scan_would_be_noticed(connection: sqlite3.Connection) -> None:
    assert plan(connection, Statement("SELECT * FROM tags WHERE tagged_at > 1")) == ["SCAN tags"]


@pytest.mark.parametrize("work", ["repositories.page", "tags.page", "tags.of_manifest", "manifests.referrers"])
def test_a_page_is_a_range_of_an_index_that_is_in_order_already(connection: sqlite3.Connection, work: str) -> None:
    [(_, steps)] = plans(connection, EVERY_WORK[work]())
    assert any(step.startswith("SEARCH") and (">" in step or "<" in step) for step in steps)
    assert not any("TEMP B-TREE" in step for step in steps)
